"""Loaders for anyone's training job: batches of tensors, where they are wanted.

    from sar_data.torch import loader
    train = loader("builds/…/zarr-3fa91c07", split="train", batch_size=256, bands=("VV", "VH"), seed=0)
    for batch in train:
        batch["image"], batch["target"], batch["key"]

`Samples` is the same as a map-style dataset for a DataLoader of one's own, `tars` a webdataset pipeline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from sar_data.errors import UsageError, missing_extra
from sar_data.stream.buffers import Buffers
from sar_data.stream.collection import Batch, Collection
from sar_data.stream.dataset import Stream
from sar_data.stream.normalise import Normaliser
from sar_data.stream.order import subset
from sar_data.stream.quantiles import HIGH, LEVELS, LOW
from sar_data.stream.store import Integers

try:
    import torch
    from torch import Tensor
except ImportError:
    raise missing_extra("torch", "train") from None


class Options(TypedDict, total=False):
    """What `loader` takes besides its own arguments; see sar_data.stream.dataset.Stream."""

    task: str | None
    normalise: str | None
    fill: float | None
    shuffle: bool | str | None
    window: int
    fraction: float | None
    keys: Iterable[str] | None
    where: Any
    weights: str | Mapping[str, float] | None
    mix: Sequence[float] | None
    threads: int
    ahead: int
    io: str
    verify: bool
    cache: Path | None
    cache_bytes: int | None


def loader(
    path: str | Path | Sequence[str | Path],
    *,
    split: str = "train",
    batch_size: int = 256,
    bands: Sequence[str] | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    rank: int | None = None,
    world: int | None = None,
    **options: Unpack[Options],
) -> Loader:
    """Return an iterable over one split of a sealed build, or of several.

    Each batch is {"image": float32 [B, C, H, W], normalised with the build's train statistics, "target": int64 [B] or
    float32 [B, classes], "key": list of str}; outside of training also "weight", float32 [B]. With `device` the stored
    bytes are sent there and normalised there. `rank` and `world` default to those of torch.distributed where it is
    initialised. Further options, and what an epoch is, are explained by sar_data.stream.dataset.Stream.
    """
    if rank is None and world is None:
        initialised = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank, world = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if initialised else (0, 1)
    if rank is None or world is None:
        raise UsageError(f"rank and world belong together: found rank {rank}, world {world}")
    return Loader(
        path,
        split=split,
        batch_size=batch_size,
        bands=bands,
        seed=seed,
        device=device,
        rank=rank,
        world=world,
        **options,
    )


class Loader(Stream):
    """A Stream whose batches are tensors; see `loader`."""

    def __init__(self, builds: Any, *, device: str | torch.device | None = None, **options: Any) -> None:
        super().__init__(builds, **options)
        self._arguments = {"builds": builds, "device": device, **options, "keys": self._arguments["keys"]}
        self._device = None if device is None else torch.device(device)
        self._flying: deque[tuple[Any, Tensor]] = deque()
        if self._device is not None and self._device.type == "cuda":
            self.collection.buffers = Buffers(_pinned)

    def _made(self, rows: Integers) -> Batch:
        return super()._made(rows) if self._device is None else self.collection.stored(rows)

    def _handed(self, start: int, made: Future[Batch], turn: int) -> Batch:
        batch = super()._handed(start, made, turn)
        if self._device is None:
            return tensors(batch)
        stored, parts = torch.from_numpy(batch.pop("stored")), batch.pop("parts")
        there = self._sent(stored)
        images = [
            normalised(there if len(parts) == 1 else there[torch.from_numpy(places).to(self._device)], how, planes)
            for how, planes, places in parts
        ]
        image = images[0]
        if len(parts) > 1:
            back = np.argsort(np.concatenate([places for _, _, places in parts]))
            image = torch.cat(images)[torch.from_numpy(back).to(self._device)]
        return {"image": image, **tensors(batch, self._device)}

    def _sent(self, stored: Tensor) -> Tensor:
        """Send a batch; from pinned memory without waiting, and keep that memory until it has arrived."""
        there = stored.to(self._device, non_blocking=True)
        if there.is_cuda:
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record(torch.cuda.current_stream(there.device))
            self._flying.append((arrived, stored))
            while len(self._flying) > 2:
                self._flying.popleft()[0].synchronize()
        return there


def _pinned(size: int) -> Any:
    return torch.empty(size, dtype=torch.uint8, pin_memory=True).numpy()


def tensors(batch: Mapping[str, Any], device: torch.device | None = None) -> Batch:
    """Return a batch with tensors for its arrays, of the same memory where they stay on the CPU."""
    return {
        name: torch.from_numpy(value).to(device, non_blocking=True) if isinstance(value, np.ndarray) else value
        for name, value in batch.items()
    }


def normalised(stored: Tensor, how: Normaliser, planes: Integers) -> Tensor:
    """Return float32 [sample, channel, y, x] of stored images [sample, plane, y, x], on their device.

    The same operations in the same order as the CPU's compiled loop, on the whole batch at once.
    """

    def there(values: Any) -> Tensor:
        return torch.as_tensor(values, device=stored.device)

    raw = stored.index_select(1, there(planes[how.first])).float()
    if not np.isnan(how.missing):
        raw.masked_fill_(raw == float(how.missing), torch.nan)
    pairs = np.flatnonzero(how.second >= 0)
    if len(pairs):
        other = stored.index_select(1, there(planes[how.second[pairs]])).float()
        if not np.isnan(how.missing):
            other.masked_fill_(other == float(how.missing), torch.nan)
        raw[:, there(pairs)] -= other
    terms = there(how.terms)[:, :, None, None]
    image = raw.sub_(terms[:, 0]).mul_(terms[:, 1])
    fill = float(how.fill)
    if how.stretch is None:
        return image.nan_to_num_(nan=fill, posinf=fill, neginf=fill)
    image.nan_to_num_(nan=torch.nan, posinf=torch.nan, neginf=torch.nan)
    floor, span = there(how.grey)[:, 0, None, None], there(how.grey)[:, 1, None, None]
    low, high = _quantiles(image.flatten(2))
    if how.stretch == "range":
        floor, span = low, torch.where(high > low, high - low, 1.0)
    image = image.clamp_(low, high).sub_(floor).div_(span)
    if how.stretch == "grey":
        image = image.mul_(LEVELS).clamp_(0, LEVELS).floor_().div_(LEVELS)
    return image.nan_to_num_(nan=fill)


def _quantiles(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return both quantiles [sample, channel, 1, 1] of the valid values of [sample, channel, pixel]."""
    last = (~values.isnan()).sum(dim=-1, keepdim=True) - 1
    ascending = values.sort(dim=-1).values.double()
    found = []
    for share in (LOW, HIGH):
        at = last.double() * share
        rank = at.floor().clamp_min(0).long()
        low = ascending.gather(-1, rank)
        high = ascending.gather(-1, torch.minimum(rank + 1, last.clamp_min(0)))
        found.append((low + (high - low) * (at - rank)).float().unsqueeze(-1))
    return found[0], found[1]


class _Ready(list[Batch]):
    """Samples that are views of one batch, which `Samples.collate` takes as it is."""

    batch: Batch


class Samples(torch.utils.data.Dataset[Batch]):
    """A map-style dataset of one split: a sample by its number, or a whole batch at once.

    Give a DataLoader `collate_fn=Samples.collate`, and what `__getitems__` gathered is handed on without a copy. Safe
    under fork and spawn; pickled by its arguments. Options as for `loader`.
    """

    def __init__(
        self,
        path: str | Path | Sequence[str | Path],
        *,
        split: str = "train",
        bands: Sequence[str] | None = None,
        fraction: float | None = None,
        keys: Iterable[str] | None = None,
        where: Any = None,
        **options: Any,
    ) -> None:
        self._collection = Collection(path, split=split, bands=bands, **options)
        self._rows = self._collection.select(keys, where)
        if fraction is not None:
            self._rows = self._rows[subset(len(self._rows), fraction, seed=0)]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Batch]:
        batch = tensors(self._collection.batch(self._rows[np.asarray(indices, np.int64)]))
        samples = _Ready({name: values[i] for name, values in batch.items()} for i in range(len(indices)))
        samples.batch = batch
        return samples

    @staticmethod
    def collate(samples: list[Batch]) -> Batch:
        """Return the batch that samples of `__getitems__` are views of."""
        if isinstance(samples, _Ready):
            return samples.batch
        return torch.utils.data.default_collate(samples)  # type: ignore[no-any-return]
