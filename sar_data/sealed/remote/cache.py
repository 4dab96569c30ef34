"""A bounded folder of fetched files that several processes share: nothing is fetched twice, nothing in use is dropped.

    CACHE/DIGEST/…      whole files, as they lie in the build whose manifest has this sha256
    CACHE/fetching/…    files on their way; each has its full length, sparse, from the moment its room is taken
    CACHE/room          the bytes taken, an estimate that every clearance replaces by a count

Every agreement is a flock, which the system drops with its process, so that a kill leaves nothing to repair. A file on
its way is locked by who fetches it, a whole one is shared by who is about to open it, `room` is locked by who takes or
makes room. A file that can be locked for oneself is in nobody's hands and may be unlinked; who has it open or mapped
goes on reading it. Locks are dropped explicitly, because a forked child holds copies of its parent's descriptors.

The folder is one user's own. What else lies in it is left alone.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

from sar_data.errors import TargetError, UsageError
from sar_data.system import durable, locks, private
from sar_data.system.checksum import sha256_of

PATIENCE = 60.0  # seconds to wait until others let go of what fills the cache
POLL = 0.01
DIGEST = re.compile("[0-9a-f]{64}")
FIGURE = re.compile(b"[0-9]{20}")
FLAGS = os.O_RDWR | os.O_CREAT
OPTION = "cache"
FETCHING, ROOM = "fetching", "room"
Identity = tuple[int, int, int, int]
"""Device, inode, bytes and last change of a file: another file has another, and so has one that was edited."""
SPARE = 10  # a clearance frees a tenth more than it must, so that the next one is far


class Part:
    """A file on its way into the cache; `keep` it, or it is gone when its turn ends."""

    def __init__(self, cache: Cache, descriptor: int, path: Path) -> None:
        self._cache, self._descriptor, self._path = cache, descriptor, path
        self.kept = False

    def begin(self, size: int, patience: float) -> None:
        """Take room for `size` bytes and start from the first; raises UsageError where the cache has none."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.ftruncate(self._descriptor, 0)
        self._cache.take(self._descriptor, size, patience)

    def write(self, data: bytes) -> None:
        """Write every byte; raises TargetError where the disk is full."""
        with durable.explain_errors(self._path, OPTION):
            durable.write_all(self._descriptor, data)

    def keep(self, target: Path) -> Identity:
        """Let the file appear whole at `target`; its contents are on the disk before its name is."""
        with durable.explain_errors(target, OPTION):
            os.ftruncate(self._descriptor, os.lseek(self._descriptor, 0, os.SEEK_CUR))
            os.fsync(self._descriptor)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._path, target)
        self.kept = True
        return _identity(self._descriptor)


class Hold:
    """A shared lock on a file in the cache, let go when nothing refers to it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._pid = descriptor, os.getpid()

    def __del__(self) -> None:
        if self._pid == os.getpid():
            locks.release(self._descriptor)
        else:  # after a fork this is a copy, and the lock the parent's
            os.close(self._descriptor)

    @property
    def identity(self) -> Identity:
        return _identity(self._descriptor)

    def sha256(self) -> str:
        """Return the sha256 of the file's bytes."""
        return sha256_of(self._descriptor)

    def drop(self, path: Path) -> None:
        """Unlink the file, whoever else holds it, unless another one took its name."""
        if locks.is_at(self._descriptor, path):
            path.unlink(missing_ok=True)


class Cache:
    """The folder `root`, of at most `limit` bytes, by default half of what is free there and what the cache has."""

    def __init__(self, root: Path, limit: int | None = None) -> None:
        self.root = root.resolve()  # a user may have linked it to another disk
        with durable.explain_errors(self.root, OPTION):
            self.root.parent.mkdir(parents=True, exist_ok=True)
            folder = private.open_folder(self.root)
            try:
                if private.make_private(folder):
                    self._empty()
            finally:
                os.close(folder)
            os.close(private.open_folder(self.root / FETCHING))
            for left in (self.root / FETCHING).iterdir():
                _drop(left)  # whoever was fetching it is dead
        with self._room() as room:
            self.limit = limit if limit is not None else (shutil.disk_usage(root).free + _figure(room)) // 2

    def _empty(self) -> None:
        """Remove what somebody else may have put here."""
        for child in self.root.iterdir():
            if child.name in (FETCHING, ROOM) or DIGEST.fullmatch(child.name):
                shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()

    def hold(self, path: Path) -> Hold | None:
        """Keep `path` from being dropped for as long as the hold is kept; None where it is not there.

        Raises TargetError where something else than a file of our own is there.
        """
        self._check_home(path)
        try:
            descriptor = private.open_file(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        hold = Hold(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        facts = os.fstat(descriptor)
        if not facts.st_nlink:  # dropped between the two calls
            return None
        now = time.time_ns()  # the system's own stamps are too coarse to tell who was asked for last
        os.utime(descriptor, ns=(now, facts.st_mtime_ns))
        return hold

    def _check_home(self, path: Path) -> None:
        """Raise TargetError where a link leads out of the cache on the way to a file."""
        for folder in path.parents[: len(path.relative_to(self.root).parents) - 1]:
            if folder.is_symlink():
                raise TargetError(f"{folder}: expected a folder of our own, found a link. {private.REMEDY}")

    @contextmanager
    def turn(self, target: Path) -> Iterator[Part | None]:
        """Wait until nobody else is fetching `target`; yield its part, or None where it is there by then."""
        path = self.root / FETCHING / quote(str(target.relative_to(self.root)), safe="")
        with durable.explain_errors(path, OPTION):
            # Not by waiting for the lock: whoever is about to open the file, once it is whole, has one on it too.
            descriptor = locks.acquire(path, partial(private.open_file, path, FLAGS), partial(time.sleep, POLL))
        part = Part(self, descriptor, path)
        try:
            yield None if target.exists() else part
        finally:
            if not part.kept:
                path.unlink(missing_ok=True)
            locks.release(descriptor)

    def take(self, descriptor: int, size: int, patience: float) -> None:
        """Give the file its full length once there is room for it, others' files being dropped as need be."""
        deadline = time.monotonic() + patience
        while size <= self.limit:
            with self._room() as room:
                taken = _figure(room)
                if taken + size > self.limit:
                    taken = self._clear(self.limit - size - self.limit // SPARE)
                if taken + size <= self.limit:
                    os.ftruncate(descriptor, size)
                    os.pwrite(room, b"%020d" % (taken + size), 0)
                    return
                os.pwrite(room, b"%020d" % taken, 0)
            if time.monotonic() >= deadline:
                break
            time.sleep(10 * POLL)
        raise UsageError(
            f"{self.root}: expected room for a file of {size / 1e6:.1f} MB, found a cache of {self.limit / 1e6:.1f} MB"
            f"{' full of files in use' if size <= self.limit else ''}. Give a larger cache_bytes, or smaller shards."
        )

    @contextmanager
    def _room(self) -> Iterator[int]:
        with durable.explain_errors(self.root / ROOM, OPTION):
            descriptor = private.open_file(self.root / ROOM, FLAGS)
        with locks.exclusive_lock(descriptor):
            yield descriptor

    def _clear(self, goal: int) -> int:
        """Drop files that nobody holds, least recently asked for first, down to `goal` bytes; return what is left."""
        files = self._files()
        taken = sum(facts.st_size for _, facts in files)
        for path, facts in sorted(files, key=lambda file: file[1].st_atime_ns):
            if taken <= goal:
                break
            taken -= facts.st_size if _drop(path) else 0
        return taken

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        """Return every file of the cache once.

        Those on their way come first: one that arrives during the walk is seen there, or in its build's folder, or in
        both, but never in neither.
        """
        files: dict[int, tuple[Path, os.stat_result]] = {}
        builds = [top for top in self.root.iterdir() if DIGEST.fullmatch(top.name) and not top.is_symlink()]
        for top in [self.root / FETCHING, *builds]:
            for folder, _, names in os.walk(top):
                for name in names:
                    path = Path(folder, name)
                    with suppress(FileNotFoundError):
                        facts = path.lstat()
                        files[facts.st_ino] = path, facts
        return list(files.values())


def _identity(descriptor: int) -> Identity:
    facts = os.fstat(descriptor)
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _drop(path: Path) -> bool:
    """Unlink a file unless somebody has its lock; raise TargetError where it is none of our own."""
    try:
        descriptor = private.open_file(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        if not locks.try_lock(descriptor):
            return False
        if locks.is_at(descriptor, path):  # and not another file that took the name
            path.unlink()
        return True
    finally:
        locks.release(descriptor)


def _figure(room: int) -> int:
    """Return the estimate in the file `room`; 0 where it has none: a clearance counts again."""
    written = os.pread(room, 20, 0)
    return int(written) if FIGURE.fullmatch(written) else 0
