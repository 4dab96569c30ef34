"""One-channel pictures, TIFF or PNG, of a dataset that does not say what numbers they hold: look, and be sure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from sar_data.errors import BadRecord, SourceError
from sar_data.raster import image, tiff
from sar_data.record import Image
from sar_data.spec import Tree

DTYPES = ("uint8", "uint16", "int16", "float32")


class Kind(NamedTuple):
    """What pictures have in common: dtype, (height, width), and whether values below zero occur."""

    dtype: str
    shape: tuple[int, int]
    negative: bool


def read(
    tree: Tree, path: str, *, shape: tuple[int, int] | None = None, dtypes: tuple[str, ...] = DTYPES
) -> tuple[Image, bool]:
    """Return [1, y, x] as it is stored, and whether the fast TIFF parser left it to GDAL; raise BadRecord.

    Three channels are one where they are equal.
    """
    data = tree.read(path)
    if path.lower().endswith(".png"):
        return image.grey(data, path, shape=shape), False
    raster = tiff.read(data, path, shape=shape, dtypes=dtypes, bands=None)
    bands, height, width = raster.pixels.shape
    if bands not in (1, 3):
        raise BadRecord(path, f"expected 1 band of {height}x{width} pixels, found {bands} bands")
    if any(not np.array_equal(raster.pixels[0], other) for other in raster.pixels[1:]):
        raise BadRecord(path, "expected one channel, or three equal ones, found three that differ")
    return np.ascontiguousarray(raster.pixels[:1]), raster.fallback


def one_kind(tree: Tree, paths: Iterable[str]) -> Kind:
    """Return the kind of which all these pictures are; raise SourceError where there are several."""
    found: dict[Kind, str] = {}
    for path in paths:
        pixels, _ = read(tree, path)
        height, width = pixels.shape[1:]
        found.setdefault(Kind(pixels.dtype.name, (height, width), bool(np.any(np.less(pixels, 0)))), path)
    if len(found) != 1:
        several = "; ".join(
            f"{k.dtype} {k.shape[0]}x{k.shape[1]}{' with values below zero' * k.negative} in {path}"
            for k, path in found.items()
        )
        raise SourceError(
            f"expected pictures of one dtype, size and sign, found {several or 'no picture'}: keep one kind"
        )
    return next(iter(found))
