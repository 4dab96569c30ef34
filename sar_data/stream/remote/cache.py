"""A bounded folder of fetched files that several processes share: nothing is fetched twice, nothing in use is dropped.

    CACHE/DIGEST/…      whole files, as they lie in the build whose manifest has this sha256
    CACHE/fetching/…    files on their way; each has its full length, sparse, from the moment its room is taken
    CACHE/room          the bytes taken, an estimate that every clearance replaces by a count

Every agreement is a flock, which the system drops with its process, so that a kill leaves nothing to repair. A file on
its way is locked by who fetches it, a whole one is shared by who is about to open it, `room` is locked by who takes or
makes room. A file that can be locked for oneself is in nobody's hands and may be unlinked; who has it open or mapped
goes on reading it. Locks are dropped explicitly, because a forked child holds copies of its parent's descriptors.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sar_data.errors import TargetError, UsageError

PATIENCE = 60.0  # seconds to wait until others let go of what fills the cache
POLL = 0.01
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
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise _explained(self._path, error) from error

    def keep(self, target: Path) -> None:
        """Let the file appear whole at `target`; its contents are on the disk before its name is."""
        try:
            os.ftruncate(self._descriptor, os.lseek(self._descriptor, 0, os.SEEK_CUR))
            os.fsync(self._descriptor)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self._path, target)
        except OSError as error:
            raise _explained(target, error) from error
        self.kept = True


class Hold:
    """A shared lock on a file in the cache, let go when nothing refers to it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._pid = descriptor, os.getpid()

    def __del__(self) -> None:
        if self._pid == os.getpid():
            release(self._descriptor)
        else:  # after a fork this is a copy, and the lock the parent's
            os.close(self._descriptor)


class Cache:
    """The folder `root`, of at most `limit` bytes, by default half of what is free there and what the cache has."""

    def __init__(self, root: Path, limit: int | None = None) -> None:
        self.root = root.absolute()
        try:
            (self.root / "fetching").mkdir(parents=True, exist_ok=True)
            for left in (self.root / "fetching").iterdir():
                _drop(left)  # whoever was fetching it is dead
        except OSError as error:
            raise _explained(self.root, error) from error
        with self._room() as room:
            self.limit = limit if limit is not None else (shutil.disk_usage(root).free + _figure(room)) // 2

    def hold(self, path: Path) -> Hold | None:
        """Keep `path` from being dropped for as long as the hold is kept; None where it is not there."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        hold = Hold(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not os.fstat(descriptor).st_nlink:  # dropped between the two calls
            return None
        now = time.time_ns()  # the system's own stamps are too coarse to tell who was asked for last
        os.utime(descriptor, ns=(now, now))
        return hold

    @contextmanager
    def turn(self, target: Path) -> Iterator[Part | None]:
        """Wait until nobody else is fetching `target`; yield its part, or None where it is there by then."""
        path = self.root / "fetching" / quote(str(target.relative_to(self.root)), safe="")
        descriptor = self._own(path)
        part = Part(self, descriptor, path)
        try:
            yield None if target.exists() else part
        finally:
            if not part.kept:
                path.unlink(missing_ok=True)
            release(descriptor)

    def _own(self, path: Path) -> int:
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise _explained(path, error) from error
            # Not by waiting in flock: whoever is about to open the file, once it is whole, has a lock on it too.
            while not (locked := _locked(descriptor)) and _is_at(descriptor, path):
                time.sleep(POLL)
            if locked and _is_at(descriptor, path):
                return descriptor
            release(descriptor)  # it was kept or given up meanwhile

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
        descriptor = os.open(self.root / "room", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            release(descriptor)

    def _clear(self, goal: int) -> int:
        """Drop files that nobody holds, least recently asked for first, down to `goal` bytes; return what is left."""
        found = []
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    facts = os.stat(path)
                except FileNotFoundError:
                    continue
                found.append((facts.st_mtime_ns, facts.st_size, path))
        found = [entry for entry in found if entry[2] != str(self.root / "room")]
        taken = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if taken <= goal:
                break
            taken -= size if _drop(Path(path)) else 0
        return taken


def release(descriptor: int) -> None:
    """Drop a lock and close its descriptor."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _drop(path: Path) -> bool:
    """Unlink a file unless somebody has its lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        if not _locked(descriptor):
            return False
        if _is_at(descriptor, path):  # and not another file that took the name
            path.unlink()
        return True
    finally:
        release(descriptor)


def _locked(descriptor: int) -> bool:
    """Lock a file for oneself, unless somebody has a lock on it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _figure(room: int) -> int:
    return int(os.pread(room, 20, 0) or 0)


def _explained(path: Path, error: OSError) -> TargetError:
    what = "disk full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"cannot write ({error.strerror})"
    return TargetError(f"{path}: {what}. Free some space, or give the cache another folder or a smaller cache_bytes.")
