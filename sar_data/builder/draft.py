"""A build under way: its target, its plan, and what a worker needs of both."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sar_data import formats
from sar_data.builder.deposit import PROOFS, SUMS, Deposit
from sar_data.builder.origin import Origin
from sar_data.builder.plan import Plan
from sar_data.builder.proof import Proof
from sar_data.builder.request import BadRecords
from sar_data.builder.target import Target
from sar_data.formats.container import Format, Layout, Shard
from sar_data.sealed.documents import PlannedSplit

PENDING = ".pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a worker needs to pack any shard of a build; `recipe` ties a proof to its plan."""

    work: Path
    recipe: str
    origin: Origin
    format: str
    compression: str | None
    layout: Layout
    bad_records: BadRecords
    statistics: bool
    may_be_empty: bool
    deposit: Deposit | None = None  # where finished shards are uploaded

    @property
    def container(self) -> Format:
        return formats.get(self.format, self.compression)

    @property
    def build(self) -> Path:
        """The folder that becomes the sealed build."""
        return self.work / "build"

    @property
    def spool(self) -> Path:
        return self.work / "spool"

    def proof(self, shard: Shard) -> Path:
        return self.work / PROOFS / f"{stem_of(shard)}.arrow"

    def has_files(self, shard: Shard, size: int) -> bool:
        """Say whether the files of a shard are there; that of its images has `size` bytes."""
        if self.deposit is not None:
            return (self.work / SUMS / stem_of(shard)).exists()
        if self.layout.mask and not (self.build / self.container.mask_file(shard, self.layout)).exists():
            return False
        path = self.build / self.container.file(shard, self.layout)
        return path.exists() and (self.container.spooled or path.stat().st_size == size)

    def finish(self, shard: Shard, proof: Proof) -> None:
        """Save the proof of a shard that was written: in a store once the shard is there."""
        path = self.proof(shard)
        if self.deposit is None and not self.container.spooled:
            proof.save(path)
            return
        proof.save(pending := path.with_suffix(PENDING))
        if self.deposit is not None:
            files = self.container.file(shard, self.layout), self.container.mask_file(shard, self.layout)
            self.deposit.put(self.work, files[: 1 + self.layout.mask], pending, stem_of(shard))
            os.replace(pending, path)


def stem_of(shard: Shard) -> str:
    """Return the name of a shard among proofs."""
    return f"{shard.split}-{shard.number:06d}"


@dataclass(slots=True)
class Draft:
    """A planned build: pack it, then seal it. Use as a context manager, which holds the target's lock.

    `sealed` says that the target exists already, of the same recipe, and nothing is left to do.
    """

    target: Target
    job: Job
    plan: Plan
    splits: dict[str, PlannedSplit]
    shards: list[Shard]
    sealed: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.target.release()
