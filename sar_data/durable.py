"""Files that are whole or not there: written as .partial, flushed to disk, then renamed into place."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sar_data.errors import TargetError

PARTIAL = ".partial"


@contextmanager
def publish(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Open a file that appears at `path` when the block ends well and leaves nothing when it does not.

    The partial name carries the process id, so that a worker outliving its killed builder cannot tear the file
    of the next one. Raises TargetError where the disk is full or the folder cannot be written. `sync=False`
    is for scratch that nothing relies on after a power cut.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    with explained(path):
        with open(partial, "wb", buffering=0) as file:
            try:
                yield file  # type: ignore[misc]  # unbuffered: a FileIO, whose writes may be short; see write_all
                if sync:
                    os.fsync(file.fileno())
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
        os.replace(partial, path)
        if sync:
            sync_folder(path.parent)


def write_all(file: BinaryIO, data: bytes | memoryview) -> int:
    """Write every byte, however short the system's writes are; return their number."""
    view = memoryview(data).cast("B")
    done = 0
    while done < len(view):
        done += file.write(view[done:])
    return len(view)


def write(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Publish `data` at `path`."""
    with publish(path, sync=sync) as file:
        write_all(file, data)


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
