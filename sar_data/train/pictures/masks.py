"""Masks as files: PNGs with a palette, whose pixels are class numbers and which any viewer shows in colours."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sar_data.views.palette import palette

Array = npt.NDArray[Any]
FAST = 1  # zlib's level: a mask of 256 × 256 takes a fraction of a millisecond, and some per cent more bytes


def encode(mask: Array, classes: int) -> bytes:
    """Return a mask [y, x] of class numbers as PNG."""
    image = Image.fromarray(np.ascontiguousarray(mask, np.uint8))
    image.putpalette(palette(classes).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=FAST)
    return buffer.getvalue()


def decode(png: bytes) -> npt.NDArray[np.uint8]:
    """Return the class numbers uint8 [y, x] of a mask that `encode` wrote."""
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        return np.array(image)


def resize(mask: Array, shape: tuple[int, int]) -> Array:
    """Return a mask at another height and width, of the nearest pixels."""
    rows, columns = ((np.arange(to) + 0.5) * length // to for to, length in zip(shape, mask.shape, strict=True))
    pixels: Array = mask[rows.astype(np.intp)[:, None], columns.astype(np.intp)]
    return pixels
