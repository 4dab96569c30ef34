"""Regular files only: a pipe or a device in place of a file would block its reader, or never end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sar_data.errors import BuildError

MOST_BYTES = 1 << 28  # of a document that is read into memory
AT_ONCE = 1 << 30  # bytes; Linux gives at most 2 GiB


def open_regular(path: Path | str, size: int | None = None) -> int:
    """Return a descriptor of a build's file, open for reading; the caller closes it.

    Raises BuildError where it is no regular file (a link to one is), or does not have `size` bytes.
    """
    try:
        # Opening a pipe without a writer would block for ever; the flag does not affect regular files.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        lost = isinstance(error, FileNotFoundError)
        remedy = ". It was deleted, or is not copied yet" if lost else ""
        raise BuildError(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}{remedy}") from error
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and size in (None, status.st_size):
        return descriptor
    os.close(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise BuildError(f"{path}: expected a regular file, found a folder, a pipe or a device")
    raise BuildError(
        f"{path}: expected {size} bytes, found {status.st_size}: it is truncated or was replaced. `verify(full=True)` "
        "lists all damage."
    )


def read_regular(path: Path) -> bytes:
    """Return a document of a build; raise BuildError where it is no regular file, or too large for a document."""
    with os.fdopen(open_regular(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST_BYTES:
            raise BuildError(f"{path}: expected at most {MOST_BYTES} bytes, found {size}")
        return file.read(size)


def read_range(descriptor: int, offset: int, size: int) -> bytes:
    """Return `size` bytes of an open file from `offset` on, fewer where it ends. They are in memory once."""
    if size > AT_ONCE:  # to join what several calls give would take the memory twice
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            file.seek(offset)
            return file.read(size)
    data = os.pread(descriptor, size, offset)
    while len(data) < size and (more := os.pread(descriptor, size - len(data), offset + len(data))):
        data += more
    return data
