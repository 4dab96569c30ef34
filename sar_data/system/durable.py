"""Write files that are either complete or absent: first as .partial, then flushed to disk, then renamed."""

from __future__ import annotations

import ctypes
import errno
import glob
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from sar_data.errors import SarDataError, TargetError
from sar_data.system import locks, private

PARTIAL = ".partial"
WRITEBACK = 4 << 20
SYNC_FILE_RANGE_WRITE = 2
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux


class Partial:
    """A file that is being written; `early` sends full blocks to the disk, so that fsync has little left to do.

    `size` is the number of bytes that a resumed file has already.
    """

    def __init__(self, descriptor: int, *, early: bool, size: int = 0) -> None:
        self.descriptor = descriptor
        self._early = early
        self._size = self._flushed = size

    def write(self, data: bytes | memoryview) -> int:
        """Write every byte; return their number."""
        count = write_all(self.descriptor, data)
        self._size += count
        if self._early and self._size - self._flushed >= WRITEBACK:
            start_writeback(self.descriptor, self._flushed, self._size - self._flushed)
            self._flushed = self._size
        return count


def create_partial(path: Path) -> tuple[Path, int]:
    """Create the empty partial file of `path`; return its own path and its descriptor, locked while it is open.

    The name cannot be guessed, so that nobody can put a link there. A worker that outlives its killed builder
    cannot damage the file of the next one. The lock shows `sweep` which files are still being written.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(8)}{PARTIAL}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(partial, flags, 0o666)
    with suppress(OSError):  # some shared file systems have no locks
        locks.try_lock(descriptor)
    return partial, descriptor


def sweep(folder: Path, name: str = "*") -> None:
    """Remove the partial files of dead processes from a folder: those of one file name, or all."""
    for partial in folder.glob(f"{name if name == '*' else glob.escape(name)}.*{PARTIAL}"):
        with suppress(OSError, TargetError):  # another user's, or removed meanwhile
            descriptor = private.open_file(partial, os.O_RDONLY)
            try:
                if locks.try_lock(descriptor) and locks.is_at(descriptor, partial):
                    partial.unlink()
            finally:
                locks.release(descriptor)


def write_all(descriptor: int, data: bytes | memoryview, at: int | None = None) -> int:
    """Write every byte, at an offset if one is given, also where the system writes in parts; return their number."""
    view = memoryview(data).cast("B")
    count = 0
    while count < len(view):
        rest = view[count:] if count else view
        count += os.write(descriptor, rest) if at is None else os.pwrite(descriptor, rest, at + count)
    return count


@contextmanager
def publish(path: Path, *, sync: bool = True) -> Iterator[Partial]:
    """Open a file that appears at `path` when the block succeeds; a block that fails leaves nothing.

    Raises TargetError where the disk is full or the folder cannot be written.
    The contents are on the disk before the name is. `write` and `sync_tree` flush the name itself. Use `sync=False`
    for files that are checked when they are read, or flushed later.
    """
    with explain_errors(path):
        partial, descriptor = create_partial(path)
        try:
            yield Partial(descriptor, early=sync)
            if sync:
                os.fsync(descriptor)
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)


@contextmanager
def publish_file(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Open a file that appears at `path` as `publish` says, for a library that writes to one."""
    with publish(path, sync=sync) as partial, open(partial.descriptor, "wb", closefd=False) as file:
        yield file


@cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    function: Callable[[int, int, int, int], int] | None
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return function


def start_writeback(descriptor: int, offset: int, size: int) -> None:
    """Ask the system to start writing a range to disk, without waiting; a hint that only Linux knows."""
    function = _sync_file_range()
    if function is not None:
        function(descriptor, offset, size, SYNC_FILE_RANGE_WRITE)


def write(path: Path, data: bytes | memoryview, *, sync: bool = True) -> None:
    """Publish `data` at `path`; unless `sync` is False, the file and its name then survive a power cut."""
    with publish(path, sync=sync) as file:
        file.write(data)
    if sync:
        with explain_errors(path):
            sync_path(path.parent)


def sync_path(path: Path) -> None:
    """Flush a file's contents, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def exchange(first: Path, second: Path) -> bool:
    """Swap the names of two folders in one step; return False where the system or its file system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    status = rename(AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second), ctypes.c_uint(RENAME_EXCHANGE))
    error = ctypes.get_errno()
    if status and error not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        raise OSError(error, os.strerror(error), str(second))
    return not status


def sync_tree(folder: Path) -> None:
    """Flush everything below a folder; this costs little where it is already on the disk."""
    for path in folder.rglob("*"):
        sync_path(path)
    sync_path(folder)


@contextmanager
def explain_errors(path: Path, option: str = "out") -> Iterator[None]:
    """Turn OSErrors of writing at `path`, which `option` chose, into a TargetError that says what to do."""
    try:
        yield
    except SarDataError:
        raise
    except OSError as error:
        if is_full(error):
            free = shutil.disk_usage(next(folder for folder in path.parents if folder.exists())).free
            raise TargetError(
                f"{path}: disk full, {free / 1e6:.1f} MB free. Free some space and run the same command again: "
                "finished parts are kept."
            ) from error
        raise TargetError(f"{path}: cannot write: {error.strerror or error}. Choose another `{option}=…`.") from error


def is_full(error: OSError) -> bool:
    """Say whether an error means a full disk or an exhausted quota."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
