"""The one compiled loop of the house: moments, power moments and histogram of an image whose pixels are all valid.

numpy needs a dozen passes over memory for these sums; compiled, they take less than half the time, which is the largest
single gain a build has had (docs/performance.md). Compiled once a machine.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from sar_data.record import Image
from sar_data.system.native import compiled

Floats = npt.NDArray[np.float64]
Power = tuple[Floats, Floats]
DB_TO_OCTAVES = math.log2(10) / 10  # power = 2 ** (dB * this)
LN2 = math.log(2)
TAYLOR = tuple(1 / math.factorial(n) for n in range(12))  # |f| <= ln 2 / 2: the rest is below 4e-14
PIXELS = numba.types.Array(numba.f4, 2, "C", readonly=True)  # images may be views of a file's bytes
F8 = numba.f8[::1]
BLOCK = 256  # bins of a few pixels at once: found in vector registers, counted one by one


class Bins(NamedTuple):
    """Where values are counted: `first` edge, bins a unit, and int64 counts [band, below + bins + above]."""

    first: float
    per_unit: float
    counts: npt.NDArray[np.int64]


def add(flat: Image, centre: Floats, linear: Floats, square: Floats, bins: Bins, power: Power | None = None) -> None:
    """Add an image float32 [band, pixel], all of whose pixels are valid, to sums and counts.

    Σ(x - centre) goes to `linear` [band] and Σ(x - centre)(y - centre) to `square` [band, band]. With `power` x is in
    dB, and Σv and Σv² of v = 10 ** ((x - centre) / 10) - 1 go to its two sums [band]. A value outside the bins is
    counted at their end. Raises ValueError for arrays that do not fit together, TypeError for those of another type or
    not C-contiguous.
    """
    bands, counts = flat.shape[0], bins.counts.shape
    one = (bands,)
    if not (centre.shape == linear.shape == one and square.shape == (bands, bands) and counts[0] == bands):
        raise ValueError(
            f"expected sums of {bands} bands, found {centre.shape}, {linear.shape}, {square.shape}, {counts}"
        )
    if counts[1] < 3 or not (power is None or power[0].shape == power[1].shape == one):
        raise ValueError(f"expected sums of power of {bands} bands and a bin or more, found {counts[1] - 2} bins")
    _add_moments(flat, centre, linear, square)
    if power is not None:
        _add_power(flat, centre, *power)
    _add_histogram(flat, *bins)


@compiled(numba.void(PIXELS, F8, F8, numba.f8[:, ::1]), reordered=True)
def _add_moments(flat: Any, centre: Any, total: Any, square: Any) -> None:
    bands, pixels = flat.shape
    for i in range(bands):
        for j in range(i, bands):
            a, b, a_centre, b_centre = flat[i], flat[j], centre[i], centre[j]
            linear, product = 0.0, 0.0
            for p in range(pixels):
                x = np.float64(a[p]) - a_centre
                y = np.float64(b[p]) - b_centre
                linear += x
                product += x * y
            square[i, j] += product
            if i == j:
                total[i] += linear
            else:
                square[j, i] += product


@compiled(numba.void(PIXELS, F8, F8, F8), reordered=True)
def _add_power(flat: Any, centre: Any, total: Any, square: Any) -> None:
    bands, pixels = flat.shape
    t = TAYLOR
    for i in range(bands):
        a, a_centre = flat[i], centre[i]
        linear, product = 0.0, 0.0
        for p in range(pixels):
            octaves = (np.float64(a[p]) - a_centre) * DB_TO_OCTAVES
            whole = np.floor(octaves + 0.5)
            f = (octaves - whole) * LN2
            f2 = f * f
            f4 = f2 * f2
            low = (t[0] + t[1] * f) + (t[2] + t[3] * f) * f2
            middle = (t[4] + t[5] * f) + (t[6] + t[7] * f) * f2
            high = (t[8] + t[9] * f) + (t[10] + t[11] * f) * f2
            # 2 ** whole, by way of the exponent bits of a double
            scale = np.int64((np.int64(whole) + 1023) << 52).view(np.float64)
            v = (low + middle * f4 + high * (f4 * f4)) * scale - 1.0
            linear += v
            product += v * v
        total[i] += linear
        square[i] += product


@compiled(numba.void(PIXELS, numba.f8, numba.f8, numba.i8[:, ::1]), reordered=True)
def _add_histogram(flat: Any, first: Any, per_bin: Any, histogram: Any) -> None:
    bands, pixels = flat.shape
    first, per_bin = np.float32(first), np.float32(per_bin)
    found, last = np.empty(BLOCK, np.uint32), np.uint32(histogram.shape[1] - 1)
    for i in range(bands):
        a, row = flat[i], histogram[i]
        for start in range(0, pixels, BLOCK):
            size = min(BLOCK, pixels - start)
            for p in range(size):
                # What is below the range, or NaN, is a large number without a sign.
                found[p] = min(np.uint32(np.int32((a[start + p] - first) * per_bin) + 1), last)
            for p in range(size):
                row[found[p]] += 1
