"""Files that are whole or not there: written as .partial, flushed to disk, then renamed into place."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sar_data.errors import TargetError

PARTIAL = ".partial"
WRITEBACK = 4 << 20
SYNC_FILE_RANGE_WRITE = 2


class Partial:
    """A file being written. Blocks go to the disk as they fill, so that the final fsync finds little left to do."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._size = 0
        self._flushed = 0

    def write(self, data: bytes | memoryview) -> int:
        """Write every byte, however short the system's writes are; return their number."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            done += os.write(self.descriptor, view[done:] if done else view)
        self._size += done
        if self._size - self._flushed >= WRITEBACK:
            _start_writeback(self.descriptor, self._flushed, self._size - self._flushed)
            self._flushed = self._size
        return done


@contextmanager
def publish(path: Path, *, sync: bool = True) -> Iterator[Partial]:
    """Open a file that appears at `path` when the block ends well and leaves nothing when it does not.

    The partial name carries the process id, so that a worker outliving its killed builder cannot tear the file
    of the next one. Raises TargetError where the disk is full or the folder cannot be written. `sync=False`
    is for scratch that nothing relies on after a power cut.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    with explained(path):
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            yield Partial(descriptor)
            if sync:
                os.fsync(descriptor)
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        if sync:
            sync_folder(path.parent)


@cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    function: Callable[[int, int, int, int], int] | None
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return function


def _start_writeback(descriptor: int, offset: int, size: int) -> None:
    """Ask the system to begin writing a range, without waiting; only a hint, and only Linux has it."""
    function = _sync_file_range()
    if function is not None:
        function(descriptor, offset, size, SYNC_FILE_RANGE_WRITE)


def write(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Publish `data` at `path`."""
    with publish(path, sync=sync) as file:
        file.write(data)


def sync_folder(path: Path) -> None:
    """Flush a folder's entries, so that a rename survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the system's refusals to write at `path` into a TargetError that says what to do."""
    try:
        yield
    except TargetError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(path.parent).free
            raise TargetError(
                f"{path}: disk full, {free / 1e6:.1f} MB free. Free some space and run the same command again: "
                "what is finished is kept."
            ) from error
        raise TargetError(f"{path}: cannot write: {error.strerror or error}. Choose another --out.") from error
