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

PATIENCE = timedelta(hours=2)  # for another rank's share of a probe; a rank that dies ends the job by torchrun


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
            dist.barrier(device_ids=None if self.device.index is None else [self.device.index])


@contextmanager
def started(device: str | None, environment: Mapping[str, str] | None = None) -> Iterator[Ranks]:
    """Join the processes that torchrun started (it says so in the environment), or be the only one.

    Inside another block the processes stay joined: who parts and joins again may meet connections of before.
    `device` None takes a GPU where there is one. NCCL connects GPUs, gloo processors. UsageError for a device that is
    neither, or not here, and for a port that is in use.
    """
    told = os.environ if environment is None else environment
    rank, world, local = (
        int(told.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    where = _device(device or ("cuda" if torch.cuda.is_available() else "cpu"), local)
    if where.type == "cuda":
        torch.cuda.set_device(where)
    if world == 1:
        yield Ranks(0, 1, where)
        return
    if dist.is_initialized():
        yield Ranks(rank, world, where)
        return
    try:
        dist.init_process_group("nccl" if where.type == "cuda" else "gloo", timeout=PATIENCE)
    except dist.DistNetworkError as error:
        place = f"{told.get('MASTER_ADDR')}:{told.get('MASTER_PORT')}"
        raise UsageError(
            f"{place}: expected a port that rank 0 can listen at and the others reach, found none ({error}): give "
            "torchrun another port"
        ) from error
    well = False
    try:
        yield Ranks(rank, world, where)
        well = True
    finally:
        if well or where.type != "cuda":  # NCCL's are left together: a rank that fails alone would wait for the others
            dist.destroy_process_group()


def _device(name: str, local: int) -> torch.device:
    """Return a device by name; "cuda" is the GPU of this rank among those of its machine."""
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise UsageError(f"device {name}: expected cpu, cuda or cuda:N")
    if kind == "cpu":
        return torch.device("cpu")
    place, there = int(number or local), torch.cuda.device_count()
    if place >= there:
        found = f"{there} GPUs" if there else "no GPU"
        raise UsageError(f"device {kind}:{place}: torch {torch.__version__} finds {found} here: take `device=cpu`")
    return torch.device("cuda", place)
