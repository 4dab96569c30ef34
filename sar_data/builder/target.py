"""Where a build is made and sealed: the one seam between the builder and what stores its files.

A target gives a local working folder, keeps other builders away while one works, and makes a finished build visible at
once and whole. A folder does so by a lock on the working folder, fsync and rename; a prefix of a store has to do so by
a lease and by writing the manifest last.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from sar_data.errors import TargetError
from sar_data.system import durable, locks, private
from sar_data.system.store import Place

if TYPE_CHECKING:
    from sar_data.builder.deposit import Deposit

BUILDING, DROPPED, ASIDE = ".building", ".dropped", ".damaged-"


class Target(Protocol):
    """What the builder asks of a place that builds are sealed in."""

    @property
    def place(self) -> Place:
        """Where the sealed build stands."""

    @property
    def deposit(self) -> Deposit | None:
        """Where workers upload finished shards; None where these stay in the working folder."""

    @property
    def work(self) -> Path:
        """The local folder in which shards, proofs and documents are made."""

    def exists(self) -> bool:
        """Say whether something stands at the place."""

    def hold(self, recipe: str) -> None:
        """Keep other builders away and clear the working folder of what is of another recipe; raise TargetError."""

    def release(self) -> None:
        """Let other builders in; what is done stays for the next one."""

    def confirm(self) -> None:
        """Raise TargetError where another builder has taken the target over."""

    def check_space(self, need: int) -> None:
        """Raise TargetError unless there is room for so many bytes."""

    def set_aside(self) -> str:
        """Let what stands at the place be no build any more; return what became of it, as a sentence."""

    def sums(self) -> dict[str, str]:
        """Return name → sha256 of the files that are at the place already."""

    def publish(self, build: Path) -> None:
        """Make a finished build, whose manifest was written last, stand at the place, whole and at once."""

    def discard(self) -> None:
        """Remove the working folder, if it is our own; what cannot be removed stays for the next builder."""


@dataclass(slots=True)
class FolderTarget:
    """A folder `place` on a local or shared file system that locks and renames."""

    place: Path
    lock: int | None = None
    deposit: ClassVar[None] = None

    @property
    def work(self) -> Path:
        return self.place.with_name(f".{self.place.name}{BUILDING}")

    def exists(self) -> bool:
        return self.place.exists()

    def hold(self, recipe: str) -> None:
        self.lock = lock_folder(self.work, self.place, recipe)

    def release(self) -> None:
        if self.lock is not None:
            locks.release(self.lock)
            self.lock = None

    def confirm(self) -> None:
        """Do nothing: the system keeps the lock."""

    def check_space(self, need: int) -> None:
        free = shutil.disk_usage(self.work).free
        if free < need:
            raise TargetError(
                f"{self.place}: needs {need / 1e6:.1f} MB, {free / 1e6:.1f} MB free. "
                "Free some space or choose another `out=…`."
            )

    def set_aside(self) -> str:
        names = (self.place.with_name(f"{self.place.name}{ASIDE}{number}") for number in count(1))
        aside = next(name for name in names if not name.exists())
        with durable.explain_errors(self.place):
            os.rename(self.place, aside)
            durable.sync_path(self.place.parent)
        return f"What is left of it is {aside.name}"

    def sums(self) -> dict[str, str]:
        return {}

    def publish(self, build: Path) -> None:
        with durable.explain_errors(self.place):
            os.rename(build, self.place)
            durable.sync_path(self.place.parent)

    def discard(self) -> None:
        discard(self.work)


def lock_folder(work: Path, place: Place, recipe: str) -> int:
    """Create and lock the working folder of a target; raise TargetError naming the process that has it.

    The lock is on the folder itself, so the system drops it with the process and nothing is left behind. It is a
    real folder of our own; one of another recipe under the same short name, in which others could write, or with
    links or pipes in it, is emptied.
    """

    def open_lock() -> int:
        work.parent.mkdir(parents=True, exist_ok=True)
        return private.open_folder(work)

    def busy() -> None:
        owner = work / "owner.json"
        who = owner.read_text().strip() if owner.exists() else "unknown"
        raise TargetError(f"{place}: another build is making it ({who}). Wait for it, or stop it.")

    with durable.explain_errors(work):
        lock = locks.acquire(work, open_lock, busy)
        try:
            _clear(work, recipe, believed=not private.make_private(lock) and private.is_plain(work))
        except BaseException:
            locks.release(lock)
            raise
    return lock


def discard(folder: Path) -> None:
    """Remove a hidden folder that is not needed any more, if it is our own; what cannot be removed stays."""
    with suppress(OSError, TargetError):
        if folder.exists():
            os.close(private.open_folder(folder))
            shutil.rmtree(folder, ignore_errors=True)


def _clear(work: Path, recipe: str, *, believed: bool) -> None:
    """Sign a folder that is ours now; remove what is of another recipe, of somebody else or was never finished."""
    marker = work / "recipe"
    if not believed or (marker.exists() and marker.read_bytes() != recipe.encode()):
        private.clear_folder(work)
    for stale in work.rglob(f"*{durable.PARTIAL}"):
        stale.unlink(missing_ok=True)
    durable.write(
        work / "owner.json", json.dumps({"pid": os.getpid(), "host": os.uname().nodename}).encode(), sync=False
    )
    durable.write(marker, recipe.encode())
