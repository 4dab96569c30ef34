"""Files that are whole or not there: written as .partial, flushed to disk, then renamed into place."""

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

from sar_data.errors import SarDataError, TargetError
from sar_data.system import locks, own

PARTIAL = ".partial"
WRITEBACK = 4 << 20
SYNC_FILE_RANGE_WRITE = 2


class Partial:
    """A file being written; `early` sends blocks to the disk as they fill, so that an fsync finds little left to do.

    `size` is what the file has already, for one that is gone on with.
    """

    def __init__(self, descriptor: int, *, early: bool, size: int = 0) -> None:
        self.descriptor = descriptor
        self._early = early
        self._size = self._flushed = size

    def write(self, data: bytes | memoryview) -> int:
        """Write every byte; return their number."""
        done = write_all(self.descriptor, data)
        self._size += done
        if self._early and self._size - self._flushed >= WRITEBACK:
            start_writeback(self.descriptor, self._flushed, self._size - self._flushed)
            self._flushed = self._size
        return done


def begin(path: Path) -> tuple[Path, int]:
    """Make the empty partial file of `path`; return its own path and its descriptor, locked for as long as it is open.

    The name cannot be guessed, so that nobody can put a link there, and a worker that outlives its killed builder
    cannot tear the file of the next one. By the lock `sweep` knows what is still being written.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(8)}{PARTIAL}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(partial, flags, 0o666)
    with suppress(OSError):  # some shared file systems have no locks
        locks.locked(descriptor)
    return partial, descriptor


def sweep(folder: Path, name: str = "*") -> None:
    """Remove what processes that died left in a folder of files with this name, or of all."""
    for partial in folder.glob(f"{name if name == '*' else glob.escape(name)}.*{PARTIAL}"):
        with suppress(OSError, TargetError):  # of somebody else, or gone
            descriptor = own.open_file(partial, os.O_RDONLY)
            try:
                if locks.locked(descriptor) and locks.is_at(descriptor, partial):
                    partial.unlink()
            finally:
                locks.release(descriptor)


def write_all(descriptor: int, data: bytes | memoryview, at: int | None = None) -> int:
    """Write every byte, however short the system's writes are, at an offset if one is given; return their number."""
    view = memoryview(data).cast("B")
    done = 0
    while done < len(view):
        rest = view[done:] if done else view
        done += os.write(descriptor, rest) if at is None else os.pwrite(descriptor, rest, at + done)
    return done


@contextmanager
def publish(path: Path, *, sync: bool = True) -> Iterator[Partial]:
    """Open a file that appears at `path` when the block ends well and leaves nothing when it does not.

    Raises TargetError where the disk is full or the folder cannot be written.
    The contents are on the disk before the name is; the name itself is flushed by `write` and `sync_tree`. `sync=False`
    is for what is checked when it is read, or flushed later.
    """
    with explained(path):
        partial, descriptor = begin(path)
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


@cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    function: Callable[[int, int, int, int], int] | None
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return function


def start_writeback(descriptor: int, offset: int, size: int) -> None:
    """Ask the system to begin writing a range, without waiting; only a hint, and only Linux has it."""
    function = _sync_file_range()
    if function is not None:
        function(descriptor, offset, size, SYNC_FILE_RANGE_WRITE)


def write(path: Path, data: bytes | memoryview, *, sync: bool = True) -> None:
    """Publish `data` at `path`; unless `sync` is False, the file and its name survive a power cut from here on."""
    with publish(path, sync=sync) as file:
        file.write(data)
    if sync:
        with explained(path):
            sync_path(path.parent)


def sync_path(path: Path) -> None:
    """Flush a file's contents, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush everything below a folder, which costs little where it is on the disk already."""
    for path in folder.rglob("*"):
        sync_path(path)
    sync_path(folder)


@contextmanager
def explained(path: Path, option: str = "out") -> Iterator[None]:
    """Turn the system's refusals to write at `path`, which `option` chose, into a TargetError that says what to do."""
    try:
        yield
    except SarDataError:
        raise
    except OSError as error:
        if is_full(error):
            free = shutil.disk_usage(next(folder for folder in path.parents if folder.exists())).free
            raise TargetError(
                f"{path}: disk full, {free / 1e6:.1f} MB free. Free some space and run the same command again: "
                "what is finished is kept."
            ) from error
        raise TargetError(f"{path}: cannot write: {error.strerror or error}. Choose another `{option}=…`.") from error


def is_full(error: OSError) -> bool:
    """Say whether a disk, or one's share of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
