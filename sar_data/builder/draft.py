"""A build under way: its target, its plan, and what a worker needs of both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sar_data import formats
from sar_data.builder.origin import Origin
from sar_data.builder.plan import Plan
from sar_data.builder.request import BadRecords
from sar_data.builder.target import Target
from sar_data.formats.container import Format, Layout, Shard
from sar_data.sealed.documents import PlannedSplit


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
        return self.work / "proofs" / f"{shard.split}-{shard.number:06d}.arrow"


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
