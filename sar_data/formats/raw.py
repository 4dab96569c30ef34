"""Read one image that lies uncompressed in a shard file, at an offset the index gives."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from sar_data.errors import BuildError
from sar_data.formats.container import Layout
from sar_data.record import Image


def read_at(path: Path, offset: int, layout: Layout) -> Image:
    """Return the image whose raw bytes begin at `offset`; raise BuildError where the file is missing or short."""
    try:
        with open(path, "rb", buffering=0) as file:
            data = os.pread(file.fileno(), layout.image_bytes, offset)
    except OSError as error:
        raise BuildError(f"{path}: cannot read: {error.strerror}") from error
    if len(data) != layout.image_bytes:
        raise BuildError(f"{path}: expected {layout.image_bytes} bytes at offset {offset}, found {len(data)}")
    return np.frombuffer(data, layout.dtype).reshape(len(layout.bands), *layout.shape)
