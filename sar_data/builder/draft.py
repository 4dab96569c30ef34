"""A build under way: the hidden folder beside the target, its lock, and the documents that pass between stages."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
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
from sar_data.system import durable

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
            os.close(self.lock)
            self.lock = None


def hold(target: Path, work: Path, recipe: str) -> int:
    """Create and lock the hidden folder; return the lock. Raises TargetError naming the process that has it.

    The lock is on the folder itself, so the system drops it with the process and nothing is left behind.
    A folder of another recipe under the same short name is emptied.
    """
    with durable.explained(work):
        while (lock := _lock(target, work)) is None:
            continue
        try:
            _clear(work, recipe)
        except BaseException:
            os.close(lock)
            raise
    return lock


def _lock(target: Path, work: Path) -> int | None:
    """Return the lock, or None where the folder's owner sealed and removed it in the meantime."""
    work.mkdir(parents=True, exist_ok=True)
    ours = False
    try:
        lock = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = work.exists() and os.path.samestat(os.fstat(lock), os.stat(work))
    except BlockingIOError:
        owner = work / "owner.json"
        who = owner.read_text().strip() if owner.exists() else "unknown"
        raise TargetError(f"{target}: another build is making it ({who}). Wait for it, or stop it.") from None
    finally:
        if not ours:
            os.close(lock)
    return lock if ours else None


def _clear(work: Path, recipe: str) -> None:
    """Sign a folder that is ours now; remove what is of another recipe or was never finished."""
    marker = work / "recipe"
    if marker.exists() and marker.read_text() != recipe:
        for child in work.iterdir():
            shutil.rmtree(child) if child.is_dir() else child.unlink()
    for stale in work.rglob(f"*{durable.PARTIAL}"):
        stale.unlink(missing_ok=True)
    durable.write(
        work / "owner.json", json.dumps({"pid": os.getpid(), "host": os.uname().nodename}).encode(), sync=False
    )
    durable.write(marker, recipe.encode())
