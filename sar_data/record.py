"""A record describes one sample without its pixels; a sample has the pixels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.generic]
Mask = Image
"""uint8 [y, x]."""
FARTHEST = 1e12
"""The largest absolute coordinate in any unit: sums and differences fit into a float."""
IGNORE = 255
"""The mask value of ignored pixels."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the source: path relative to the tree's root, size in bytes, xxh3_128 hex once it was read."""

    path: str
    size: int
    xxh3: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """One thing in an image, in pixels of it: x to the right, y down, (0, 0) the corner of the first pixel.

    `box` is (min x, min y, max x, max y); `rotated` is (centre x, centre y, width, height, degrees from the x axis
    towards y, along which the width lies); each of `polygons` is (x0, y0, x1, y1, …).
    """

    label: int
    box: tuple[float, float, float, float]
    rotated: tuple[float, float, float, float, float] | None = None
    polygons: tuple[tuple[float, ...], ...] = ()
    attrs: Mapping[str, str] = field(default_factory=dict)


class Objects(tuple[Object, ...]):
    """The objects of an image, and the number of invalid ones that were left out, by reason."""

    dropped: Mapping[str, int]

    def __new__(cls, objects: Iterable[Object], dropped: Mapping[str, int]) -> Objects:
        objects_with_dropped = super().__new__(cls, objects)
        objects_with_dropped.dropped = dropped
        return objects_with_dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class Date:
    """One of several acquisitions of a place; `role` is pre, post or what else the dataset calls it. `time` is UTC."""

    role: str
    time: datetime | None = None
    platform: str | None = None
    relative_orbit: int | None = None


class Window(TypedDict):
    """Footprint and frame of a window of a scene."""

    footprint: tuple[float, float, float, float]
    reference_frame: str


def window_of(scene: str, *, row: float, column: float, height: float, width: float) -> Window:
    """Return footprint and frame of a window that begins at `row` and `column` of a scene, all in the scene's pixels.

    x runs to the right and y down. `scene` names it among the scenes of all datasets, as in "HRSID P0001".
    """
    return Window(
        footprint=(float(column), float(row), float(column + width), float(row + height)),
        reference_frame=f"pixels of {scene}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One sample before its pixels are read; what scan.parquet and index.parquet hold.

    `labels` maps a task's name to canonical class indices, ascending; of a detection task they are the classes present.
    `official` is the split the publisher put the sample in. `shape` is (height, width), None for that of the spec.
    `group` is what was acquired at once, such as a scene; `place` names the unit of ground that the image shows, which
    other records show too: a tile of the MGRS, a city, a scene's area, a ship, a vehicle.
    `footprint` is (min x, min y, max x, max y) in `reference_frame`: a coordinate reference system, or the pixels of a
    scene as "pixels of SCENE"; without one it is in `crs`. `transform` has the six GDAL-style affine terms
    (a, b, c, d, e, f) of rasterio's Affine, in `crs`. `time` is UTC; `dates` are in the image's order where it has
    several. `dropped` counts objects that were left out, by reason; what `Objects` dropped is among them. `unused`
    gives the reason why a record, though sound, belongs to no split.
    """

    key: str
    files: tuple[SourceFile, ...]
    labels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    objects: tuple[Object, ...] = ()
    official: str | None = None
    shape: tuple[int, int] | None = None
    group: str | None = None
    place: str | None = None
    time: datetime | None = None
    orbit_pass: str | None = None
    relative_orbit: int | None = None
    dates: tuple[Date, ...] = ()
    crs: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None
    footprint: tuple[float, float, float, float] | None = None
    reference_frame: str | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    unused: str | None = None
    attrs: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.objects, Objects):
            dropped = {**self.dropped, **self.objects.dropped}
            object.__setattr__(self, "dropped", dropped)
            object.__setattr__(self, "objects", tuple(self.objects))

    @property
    def footprint_frame(self) -> str | None:
        """What the footprint's coordinates are measured in; footprints of different frames cannot be compared."""
        return self.reference_frame or self.crs


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The pixels of one record.

    `image` is C-contiguous [band, y, x], or [frame, band, y, x] where the spec has several frames, in the spec's band
    order, dtype and unit; missing pixels are NaN, and so is a whole missing frame. `mask` is uint8 [y, x], the class of
    each pixel, 255 where there is none to learn. `nodata` counts the pixels [band] that are NaN because the source
    marks them as no data. `fallbacks` counts the files that the fast TIFF parser left to rasterio.
    """

    image: Image
    mask: Mask | None = None
    nodata: tuple[int, ...] = ()
    fallbacks: int = 0
