"""Folders of one's own, written as people write them: real GeoTIFFs by rasterio, pictures, tables and lists."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

from sar_data import synth

SIDE = 16


def values(index: int, bands: int = 2, side: int = SIDE) -> npt.NDArray[np.float32]:
    """Return [band, y, x] of linear power."""
    power = np.full((bands, side, side), 0.02 * (1 + index % 3), np.float32)
    return synth.from_db(synth.speckle(power, 4.4, synth.generator(7, index)))


def tif(path: Path, image: npt.NDArray[Any], *, place: int | None = None, **profile: Any) -> Path:
    """Write a GeoTIFF as rasterio does; `place` puts it on a grid of places that do not touch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands, height, width = image.shape
    options = {"driver": "GTiff", "count": bands, "height": height, "width": width, "dtype": image.dtype.name}
    if place is not None:
        left, top = 500_000 + 400 * (place % 10), 5_400_000 - 400 * (place // 10)
        options |= {"crs": "EPSG:32632", "transform": Affine(10, 0, left, 0, -10, top)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **options, **profile) as file:
            file.write(image)
    return path


def png(path: Path, index: int = 0) -> Path:
    """Write an 8-bit picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(index).integers(0, 255, (SIDE, SIDE), dtype=np.uint8)
    path.write_bytes(synth.png(picture))
    return path
