"""One-channel pictures, TIFF or PNG, of a dataset that does not document its pixel type: it is taken from the files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sar_data.errors import BadRecord, SourceError
from sar_data.raster import image, tiff
from sar_data.record import Sample
from sar_data.spec import Tree

DTYPES = ("uint8", "uint16", "int16", "float32")


class PixelKind(NamedTuple):
    """What pictures share: dtype, (height, width), and whether negative values occur."""

    dtype: str
    shape: tuple[int, int]
    negative: bool


def read(tree: Tree, path: str, *, shape: tuple[int, int] | None = None, dtypes: tuple[str, ...] = DTYPES) -> Sample:
    """Return the one band [1, y, x] as it is stored, NaN where the file declares no data; raise BadRecord.

    Three channels are one where they are equal.
    """
    raster = _read_stored(tree, path, shape, dtypes)
    pixels, filled = raster.image()
    return Sample(image=pixels, nodata=filled, fallbacks=int(raster.fallback))


def _read_stored(tree: Tree, path: str, shape: tuple[int, int] | None, dtypes: tuple[str, ...]) -> tiff.Raster:
    data = tree.read(path)
    if path.lower().endswith(".png"):
        kinds = tuple(kind for kind in dtypes if kind.startswith("uint"))
        return tiff.Raster(image.grey(data, path, shape=shape, dtypes=kinds), (b"", b""), fallback=False)
    raster = tiff.read(data, path, shape=shape, dtypes=dtypes, bands=None)
    if raster.flaw:
        raise BadRecord(path, raster.flaw)
    bands, height, width = raster.pixels.shape
    if bands not in (1, 3):
        raise BadRecord(path, f"expected 1 band of {height}x{width} pixels, found {bands} bands")
    if any(raster.pixels[0].tobytes() != other.tobytes() for other in raster.pixels[1:]):  # NaN equals NaN here
        raise BadRecord(path, "expected one channel, or three equal ones, found three that differ")
    return replace(raster, pixels=np.ascontiguousarray(raster.pixels[:1]), filled=raster.filled[:1])


def single_kind(tree: Tree, paths: Iterable[str]) -> PixelKind:
    """Return the one kind of all these pictures; raise SourceError where there are several."""
    kinds: dict[PixelKind, str] = {}
    for path in paths:
        raster = _read_stored(tree, path, None, DTYPES)
        height, width = raster.pixels.shape[1:]
        negative = bool(np.any(np.less(raster.image()[0], 0)))
        kinds.setdefault(PixelKind(raster.pixels.dtype.name, (height, width), negative), path)
    if len(kinds) != 1:
        several = "; ".join(
            f"{k.dtype} {k.shape[0]}x{k.shape[1]}{' with values below zero' * k.negative} in {path}"
            for k, path in kinds.items()
        )
        raise SourceError(
            f"expected pictures of one dtype, size and sign, found {several or 'no picture'}: keep one kind"
        )
    return next(iter(kinds))
