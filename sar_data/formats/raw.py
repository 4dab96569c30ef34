"""Reading of one uncompressed image or mask in a shard file, at its offset in the index."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from sar_data.errors import BuildError
from sar_data.record import Image
from sar_data.system.regular import open_regular


def read_at(path: Path, offset: int | None, shape: tuple[int, ...], dtype: str) -> Image:
    """Return the array whose raw bytes begin at `offset`; raise BuildError where the file is missing or short."""
    return np.frombuffer(read_bytes(path, offset, math.prod(shape) * np.dtype(dtype).itemsize), dtype).reshape(shape)


def read_bytes(path: Path, offset: int | None, size: int) -> bytes:
    """Return `size` bytes of a regular file; raise BuildError where the file does not have all of them."""
    file = open_regular(path)
    try:
        room = os.fstat(file).st_size
        if offset is None or not 0 <= offset <= room - size:  # before memory of that size is allocated
            raise BuildError(f"{path}: expected {size} bytes at offset {offset}, found a file of {room}")
        data = os.pread(file, size, offset)
    except OSError as error:
        raise BuildError(f"{path}: cannot read: {error.strerror}") from error
    finally:
        os.close(file)
    if len(data) != size:
        raise BuildError(f"{path}: expected {size} bytes at offset {offset}, found {len(data)}")
    return data
