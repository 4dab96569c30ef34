"""Pixels with the least or the largest value of their image: where there are many, they are saturated or filled."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from sar_data.record import Image
from sar_data.statistics.kernel import I8_2, PIXELS
from sar_data.system.native import compile_loop

EXTREMES = numba.types.Array(numba.f4, 1, "C", readonly=True)


def at_ends(flat: Image, low: Image, high: Image) -> npt.NDArray[np.int64]:
    """Return [band, 2]: the pixels of float32 [band, pixel] that are the least and the largest [band] value."""
    counts = np.empty((len(flat), 2), np.int64)
    _at_ends(flat, low, high, counts)
    return counts


@compile_loop(numba.void(PIXELS, EXTREMES, EXTREMES, I8_2), reorder=True)
def _at_ends(flat: Any, low: Any, high: Any, counts: Any) -> None:
    for band in range(len(flat)):
        row, least, most = flat[band], low[band], high[band]
        at_least, at_most = np.int32(0), np.int32(0)
        for p in range(len(row)):  # counted in 32 bits, as wide as the values
            at_least = np.int32(at_least + (row[p] == least))
            at_most = np.int32(at_most + (row[p] == most))
        counts[band, 0], counts[band, 1] = at_least, at_most
