"""Read one image or mask that lies uncompressed in a shard file, at an offset the index gives."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from sar_data.errors import BuildError
from sar_data.record import Image


def read_at(path: Path, offset: int | None, shape: tuple[int, ...], dtype: str) -> Image:
    """Return the array whose raw bytes begin at `offset`; raise BuildError where the file is missing or short."""
    need = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        with open(path, "rb", buffering=0) as file:
            data = os.pread(file.fileno(), need, offset or 0)
    except OSError as error:
        raise BuildError(f"{path}: cannot read: {error.strerror}") from error
    if len(data) != need:
        raise BuildError(f"{path}: expected {need} bytes at offset {offset}, found {len(data)}")
    return np.frombuffer(data, dtype).reshape(shape)
