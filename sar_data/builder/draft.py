"""A build under way: the hidden folder beside the target, its lock, and the documents that pass between stages."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sar_data import formats
from sar_data.builder.origin import Origin
from sar_data.builder.plan import Plan
from sar_data.builder.request import BadRecords
from sar_data.errors import TargetError
from sar_data.formats.container import Format, Layout, Shard
from sar_data.sealed.documents import PlannedSplit
from sar_data.system import durable, locks, own

BUILDING = ".building"


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

    target: Path
    job: Job
    plan: Plan
    splits: dict[str, PlannedSplit]
    shards: list[Shard]
    sealed: bool = False
    lock: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Give the target's lock back; what is done stays for the next builder."""
        if self.lock is not None:
            locks.release(self.lock)
            self.lock = None


def hold(target: Path, work: Path, recipe: str) -> int:
    """Create and lock the hidden folder; return the lock. Raises TargetError naming the process that has it.

    The lock is on the folder itself, so the system drops it with the process and nothing is left behind. It is a real
    folder of our own; one of another recipe under the same short name, or in which others could write, is emptied.
    """

    def opened() -> int:
        work.parent.mkdir(parents=True, exist_ok=True)
        return own.open_folder(work)

    def busy() -> None:
        owner = work / "owner.json"
        who = owner.read_text().strip() if owner.exists() else "unknown"
        raise TargetError(f"{target}: another build is making it ({who}). Wait for it, or stop it.")

    with durable.explained(work):
        lock = locks.acquired(work, opened, busy)
        try:
            _clear(work, recipe, believed=not own.was_shared(lock))
        except BaseException:
            locks.release(lock)
            raise
    return lock


def discard(work: Path) -> None:
    """Remove a hidden folder that is not needed any more, if it is our own; what cannot be removed stays."""
    with suppress(OSError, TargetError):
        if work.exists():
            os.close(own.open_folder(work))
            shutil.rmtree(work, ignore_errors=True)


def _clear(work: Path, recipe: str, *, believed: bool) -> None:
    """Sign a folder that is ours now; remove what is of another recipe, of somebody else or was never finished."""
    marker = work / "recipe"
    if not believed or (marker.exists() and marker.read_text() != recipe):
        own.empty(work)
    for stale in work.rglob(f"*{durable.PARTIAL}"):
        stale.unlink(missing_ok=True)
    durable.write(
        work / "owner.json", json.dumps({"pid": os.getpid(), "host": os.uname().nodename}).encode(), sync=False
    )
    durable.write(marker, recipe.encode())
