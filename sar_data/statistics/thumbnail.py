"""Thumbnails: 16 x 16 cells of each band of an image; statistics/alike.py compares images by them.

A cell is the mean of its pixels on the axis of their unit, so that a gain becomes an offset. The mean of the cells is
subtracted, and they are divided by their spread. So calibration, quantization and speckle hardly change a thumbnail.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sar_data.statistics.tally import Survey
from sar_data.statistics.units import axis

SIDE = 16  # cells; images with fewer pixels along a side have no thumbnail
CELLS = SIDE * SIDE
STEPS = 32  # steps in one spread of the cells; the range ends at four spreads
LEAST_CELLS = CELLS // 2  # cells with a value that a thumbnail needs
FLAT = 1e-6  # least spread of the cells in relation to their largest value; below it the image counts as constant

Thumbs = npt.NDArray[np.int8]
"""int8 [image, band, CELLS]: (cell - mean) / spread in STEPS, 0 for a cell without a value; all 0 for no thumbnail."""
Floats = npt.NDArray[np.float64]


class Thumbnails:
    """Collects the cells of the images of one shard and makes their thumbnails."""

    def __init__(self, units: Sequence[str]) -> None:
        self._units = tuple(units)
        self._means: list[Floats] = []

    def add(self, survey: Survey, size: tuple[int, int]) -> None:
        """Add one surveyed image of a size (height, width); the cells are means over all frames."""
        from sar_data.statistics.cells import average  # numba, which takes half a second to start

        means = np.empty((len(survey.flat), CELLS))
        if min(size) < SIDE:
            means[:] = np.nan
        elif survey.valid is None:
            average(survey.flat, *size, means)
        else:
            shares = np.empty_like(means)  # of valid pixels
            average(np.where(survey.valid, survey.flat, np.float32(0)), *size, means)
            average(survey.valid.astype(np.float32), *size, shares)
            means = np.divide(means, shares, out=np.full_like(means, np.nan), where=shares > 0)
        self._means.append(means)

    def finish(self) -> Thumbs:
        """Return the thumbnails of the images, in the order in which they were added."""
        means = np.array(self._means, np.float64).reshape(len(self._means), len(self._units), CELLS)
        for i, unit in enumerate(self._units):
            means[:, i] = (
                np.nan if unit == "phase" else axis(means[:, i], unit)
            )  # phases are cyclic: they have no such mean
        return quantize_cells(means.reshape(-1, CELLS)).reshape(means.shape)


def quantize_cells(values: npt.NDArray[np.floating]) -> Thumbs:
    """Return the thumbnails int8 [image, CELLS] of the values of cells; a cell without a value is not finite."""
    from sar_data.statistics.cells import quantize  # numba, as above

    out = np.zeros(values.shape, np.int8)
    quantize(np.ascontiguousarray(values, np.float64), out)
    return out
