"""The compiled loops of thumbnails: means of cells, and their values in steps."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from sar_data.statistics.thumbnail import CELLS, FLAT, LEAST_CELLS, SIDE, STEPS
from sar_data.system.native import compile_loop


@compile_loop(
    numba.void(numba.types.Array(numba.f4, 2, "C", readonly=True), numba.i8, numba.i8, numba.f8[:, ::1]), reorder=True
)
def average(flat: Any, height: Any, width: Any, out: Any) -> None:
    """Write the means [band, CELLS] of the cells of an image [band, frame × y × x] to `out`."""
    # Rows are summed first, because the processor sums many columns at once; then columns are.
    frames = flat.shape[1] // (height * width)
    strip = np.empty(width)
    for band in range(len(flat)):
        for i in range(SIDE):
            strip[:] = 0.0
            top, bottom = -(-i * height // SIDE), -(-(i + 1) * height // SIDE)
            for frame in range(frames):
                for row in range(top, bottom):
                    start = (frame * height + row) * width
                    line = flat[band, start : start + width]
                    for x in range(width):
                        strip[x] += line[x]
            for j in range(SIDE):
                total = 0.0
                left, right = -(-j * width // SIDE), -(-(j + 1) * width // SIDE)
                for x in range(left, right):
                    total += strip[x]
                out[band, i * SIDE + j] = total / (frames * (bottom - top) * (right - left))


@compile_loop(numba.void(numba.f8[:, ::1], numba.i1[:, ::1]), reorder=True)
def quantize(values: Any, out: Any) -> None:
    """Write the thumbnails int8 [image, CELLS] of the values of cells to `out`, which is 0 before."""
    for image in range(len(values)):
        cells = values[image]
        count, total, largest = 0, 0.0, 0.0
        for value in cells:
            if math.isfinite(value):
                count += 1
                total += value
                largest = max(largest, abs(value))
        if count < LEAST_CELLS:
            continue
        mean, square = total / count, 0.0
        for value in cells:
            if math.isfinite(value):
                square += (value - mean) * (value - mean)
        spread = math.sqrt(square / count)
        if spread > FLAT * largest:
            for i in range(CELLS):
                if math.isfinite(cells[i]):
                    out[image, i] = max(-127, min(127, round(STEPS * (cells[i] - mean) / spread)))
