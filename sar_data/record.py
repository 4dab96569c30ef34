"""A record says everything about one sample but its pixels; a sample is the pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the source: path relative to the tree's root, size in bytes, xxh3_128 hex once it was read."""

    path: str
    size: int
    xxh3: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One sample before its pixels are read; what scan.parquet and index.parquet hold.

    `labels` maps a task's name to canonical class indices, ascending. `footprint` is (min x, min y, max x,
    max y) in `crs`; `transform` the six GDAL-style affine terms (a, b, c, d, e, f) of rasterio's Affine.
    `time` is UTC. `unused` gives the reason why a record, though sound, belongs to no split.
    """

    key: str
    files: tuple[SourceFile, ...]
    labels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    group: str | None = None
    time: datetime | None = None
    orbit_pass: str | None = None
    relative_orbit: int | None = None
    crs: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None
    footprint: tuple[float, float, float, float] | None = None
    unused: str | None = None
    attrs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The pixels of one record.

    `image` is C-contiguous [band, y, x] in the spec's band order, dtype and unit; missing pixels are NaN.
    `fallbacks` counts the files that the fast TIFF parser left to rasterio.
    """

    image: Image
    fallbacks: int = 0
