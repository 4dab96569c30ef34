"""One optimiser step: forward, sums over ranks and micro-batches, the gradient of the whole batch's loss."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from sar_data.errors import UsageError
from sar_data.stream.bits import Purpose, mix
from sar_data.train.jobs import Batch, Learner
from sar_data.train.losses import backward
from sar_data.train.ranks import Ranks
from sar_data.train.run.precision import precision
from sar_data.train.settings import Tuned


class Stepper:
    """A job's model with its optimiser, which takes steps. `model` may have the wrapper for several ranks."""

    def __init__(self, job: Learner, optimiser: torch.optim.Optimizer, settings: Tuned, ranks: Ranks) -> None:
        self._job, self._settings, self._ranks = job, settings, ranks
        self.optimiser = optimiser
        kind = ranks.device.type
        if settings.amp == "fp16" and kind != "cuda":
            raise UsageError("amp fp16: expected a GPU; on a processor take `amp=bf16` or `amp=none`")
        self.scaler = torch.amp.GradScaler(kind, enabled=settings.amp == "fp16")
        model: Any = job.model
        if settings.sync_bn:
            if kind != "cuda":
                raise UsageError(
                    "sync_bn: expected GPUs, found a processor, for which torch has no such statistics: leave it out"
                )
            # torch's own conversion would drop the activations inside timm's norms
            model = convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        if settings.channels_last:
            model = model.to(memory_format=torch.channels_last)
        if settings.compile:
            model = torch.compile(model)
        if ranks.world > 1:
            model = DistributedDataParallel(model, device_ids=[ranks.device] if kind == "cuda" else None)
        self.model: Any = model

    def precision(self) -> Any:
        """Return the context for a forward pass."""
        return precision(self._settings.amp, self._ranks.device)

    def step(self, batches: Sequence[Batch], number: int, stop: bool) -> Tensor:
        """Take step `number` on this rank's micro-batches; return [loss, ranks that ask to stop], of all ranks.

        The gradient is that of the loss over all ranks and micro-batches, not of a mean of their losses. Dropout and
        stochastic depth depend on the seed, the step and the rank alone, so that a checkpoint needs no random state.
        """
        asked = torch.full((1,), float(stop), dtype=torch.float64, device=self._ranks.device)  # no wait
        known = self._known(batches, number) if len(batches) > 1 else None
        self._seed(number)
        self.optimiser.zero_grad(set_to_none=True)
        losses: list[Tensor] = []
        for i, batch in enumerate(batches):
            with ExitStack() as stack:
                if i < len(batches) - 1 and self._ranks.world > 1:
                    stack.enter_context(self.model.no_sync())
                sums = self._sums(batch)
                losses.append(sums.detach())
                # The sums of a single batch are those of the step: one short message has all that ranks share.
                totals = self._ranks.total(torch.cat([losses[0], asked])) if known is None else known
                total = totals[:-1] if known is None else totals
                self.scaler.scale(backward(sums, total, self._job.value, self._ranks.world)).backward()  # type: ignore[no-untyped-call]
        if known is not None:
            totals = self._ranks.total(torch.cat([torch.stack(losses).sum(dim=0), asked]))
        self.scaler.step(self.optimiser)
        self.scaler.update()
        with torch.no_grad():
            return torch.stack([self._job.value(totals[:-1]).double(), totals[-1]])

    def _sums(self, batch: Batch) -> Tensor:
        if self._settings.channels_last:
            batch = {**batch, "image": batch["image"].contiguous(memory_format=torch.channels_last)}
        with self.precision():
            try:
                return self._job.sums(self.model, batch).double()
            except ValueError as error:
                if "more than 1 value per channel" not in str(error):
                    raise
                raise UsageError(
                    f"batch_size {len(batch['image'])}: a norm of this network has a single value per channel, which "
                    "has no variance: take a larger `batch_size=…`"
                ) from None

    def _known(self, batches: Sequence[Batch], number: int) -> Tensor:
        """Return the sums of the whole step, which the gradient of each micro-batch needs.

        Where the loss is linear in the model's output, the targets alone give them; else every micro-batch goes
        through the model twice, with the same random numbers, and buffers are restored.
        """
        if self._job.linear:
            sums = torch.stack([self._job.known(batch).double() for batch in batches]).sum(dim=0)
            return self._ranks.total(sums)
        kept = [buffer.clone() for buffer in self._job.model.buffers()]
        self._seed(number)
        with torch.no_grad():
            sums = torch.stack([self._sums(batch) for batch in batches]).sum(dim=0)
        for buffer, before in zip(self._job.model.buffers(), kept, strict=True):
            buffer.copy_(before)
        return self._ranks.total(sums)

    def _seed(self, number: int) -> None:
        torch.manual_seed(mix(Purpose.CHANCE, self._settings.seed, number, self._ranks.rank) >> 1)


class Late:
    """A result that is read one step later, so that the GPU always has work."""

    def __init__(self, result: Tensor, keys: Sequence[str]) -> None:
        self.keys = list(keys)
        self._arrived: Any = None
        self._result = result
        if result.is_cuda:
            self._result = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
            self._result.copy_(result, non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record()

    def read(self) -> list[float]:
        """Return the numbers, waiting for them where they have not arrived."""
        if self._arrived is not None:
            self._arrived.synchronize()
        numbers: list[float] = self._result.tolist()
        return numbers
