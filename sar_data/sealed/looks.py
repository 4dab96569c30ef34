"""Radiometry of a build, from a sample of its images: number of looks, exact zeros, extreme values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from sar_data.formats.storage import physical
from sar_data.sealed.opened import Build, layout_of
from sar_data.sealed.places import places
from sar_data.sealed.recorded import nonempty_splits
from sar_data.sealed.strata import noise_floor
from sar_data.statistics.border import count_beside
from sar_data.statistics.looks import looks, measure_windows, windows
from sar_data.statistics.units import DB_TO_NEPER

Floats = npt.NDArray[np.float64]
POWERS: dict[str, Callable[[Floats], Floats]] = {
    "dB": lambda values: np.exp(values * DB_TO_NEPER),
    "power": lambda values: values,
    "amplitude": np.square,
}


@dataclass(frozen=True, slots=True)
class Radiometry:
    """Figures of one band over the images that were read.

    `enl` is the equivalent number of looks (sar_data/statistics/looks.py), from `windows` windows, and `correlation`
    that of neighbouring pixels in them. Both are None where the unit is not dB, power or amplitude, and where there are
    too few windows. `zeros` counts exact zeros among the valid `pixels`; `at_min` and `at_max` count the pixels that
    have the least and the largest value of all, as saturated and clipped pixels have. `border` counts the valid pixels
    at or below the band's stated noise floor that touch pixels without data, or others of these: border noise at most.
    It is None where no floor is stated.
    """

    images: int
    pixels: int
    enl: float | None
    windows: int
    correlation: float | None
    zeros: int
    at_min: int
    at_max: int
    border: int | None


class _Band:
    """Collects the figures of one band, an image at a time."""

    def __init__(self, unit: str, floor: float | None) -> None:
        self._floor = floor
        self._border = 0
        self._power = POWERS.get(unit)
        self._rows: list[Floats] = []
        self._pixels = self._zeros = 0
        self._ends: dict[float, int] = {}

    def add(self, plane: Floats) -> None:
        known = plane[np.isfinite(plane)]
        self._pixels += len(known)
        self._zeros += int(np.count_nonzero(known == 0))
        for value in {known.min(), known.max()} if len(known) else ():
            self._ends[float(value)] = self._ends.get(float(value), 0) + int(np.count_nonzero(known == value))
        if self._floor is not None:
            absent = ~np.isfinite(plane)
            self._border += count_beside(~absent & (plane <= self._floor), absent)
        if self._power is not None:
            self._rows.append(measure_windows(windows(self._power(np.where(np.isfinite(plane), plane, np.nan)))))

    def radiometry(self, images: int) -> Radiometry:
        rows = np.concatenate(self._rows) if self._rows else np.zeros((0, 3))
        enl, correlation = looks(rows)
        least, most = (self._ends[end(self._ends)] if self._ends else 0 for end in (min, max))
        border = None if self._floor is None else self._border
        return Radiometry(images, self._pixels, enl, len(rows), correlation, self._zeros, least, most, border)


def radiometry(build: Build, split: str = "train", images: int = 1000) -> dict[str, Radiometry]:
    """Return the figures of each band over the first `images` of a split; their order in a split is random.

    Raises UsageError for a split without samples.
    """
    layout = layout_of(build.manifest)
    (name,) = nonempty_splits(build.manifest, split)
    index = build.index()
    bands = {band.name: _Band(band.unit, noise_floor(band)) for band in build.manifest.bands}
    read = 0
    with build.reader() as reader:
        for place in islice(places(index.filter(pc.equal(index["split"], name))), images):
            height, width = place.shape
            image = physical(reader.read(place)[..., :height, :width], layout.scale).astype(np.float64)
            for frame in image if image.ndim == 4 else [image]:
                for band, plane in zip(bands.values(), frame, strict=True):
                    band.add(plane)
            read += 1
    return {name: band.radiometry(read) for name, band in bands.items()}
