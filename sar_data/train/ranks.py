"""The processes of a job: one, or those that torchrun started. All that crosses between them goes through here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from sar_data.errors import UsageError

PATIENCE = timedelta(minutes=30)  # an epoch's checkpoint on a slow disk; a rank that dies ends the job by torchrun


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among `world`, and the device it computes on."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Say whether this is the rank that writes."""
        return self.rank == 0

    def total(self, tensor: Tensor) -> Tensor:
        """Return the sum over all ranks, detached."""
        found = tensor.detach().clone()
        if self.world > 1:
            dist.all_reduce(found)
        return found

    def gather(self, value: Any) -> list[Any]:
        """Return one value of every rank, in their order, on every rank."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value)
        return found

    def share(self, tensors: list[Tensor]) -> None:
        """Overwrite tensors in place by those of the first rank."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def wait(self) -> None:
        """Wait until every rank is here."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def started(device: str | None, environment: Mapping[str, str] | None = None) -> Iterator[Ranks]:
    """Join the processes that torchrun started (it says so in the environment), or be the only one.

    `device` None takes a GPU where there is one. NCCL connects GPUs, gloo processors.
    """
    told = os.environ if environment is None else environment
    rank, world, local = (int(told.get(name, default)) for name, default in
                          (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))  # fmt: skip
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if kind.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(f"device {kind}: torch {torch.__version__} finds no GPU here; --device cpu")
    where = torch.device("cuda", local) if kind == "cuda" else torch.device(kind)
    if where.type == "cuda":
        torch.cuda.set_device(where)
    if world == 1:
        yield Ranks(0, 1, where)
        return
    dist.init_process_group("nccl" if where.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Ranks(rank, world, where)
    finally:
        dist.destroy_process_group()
