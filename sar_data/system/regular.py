"""Regular files only: a pipe or a device in the place of a file would hang its reader, or never end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sar_data.errors import BuildError

MOST_BYTES = 1 << 28  # of a document that is read as a whole


def open_regular(path: Path | str, size: int | None = None) -> int:
    """Return a descriptor of a build's file, open for reading; whoever asks closes it.

    Raises BuildError where there is no regular file (a link to one is), or where it does not have `size` bytes.
    """
    try:
        # A pipe that nobody writes to would wait here for ever; on a regular file the flag changes nothing.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise BuildError(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}") from error
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and size in (None, found.st_size):
        return descriptor
    os.close(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise BuildError(f"{path}: expected a regular file, found a folder, a pipe or a device: take the build anew")
    raise BuildError(
        f"{path}: expected {size} bytes, found {found.st_size}: it was cut off or replaced. `verify(full=True)` lists "
        "all that is wrong."
    )


def read_regular(path: Path) -> bytes:
    """Return a document of a build; raise BuildError where it is no regular file, or too large for a document."""
    with os.fdopen(open_regular(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST_BYTES:
            raise BuildError(f"{path}: expected at most {MOST_BYTES} bytes, found {size}")
        return file.read(size)
