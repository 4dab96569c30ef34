"""The one compiled loop of the house: moments, power moments and histogram of an image whose pixels are all valid.

numpy needs a dozen passes over memory for these sums; compiled, they take less than half the time, which is the largest
single gain a build has had (docs/performance.md). Compiled once a machine and cached beside this file.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

DB_TO_OCTAVES = math.log2(10) / 10  # power = 2 ** (dB * this)
LN2 = math.log(2)
TAYLOR = tuple(1 / math.factorial(n) for n in range(12))  # |f| <= ln 2 / 2: the rest is below 4e-14
PIXELS = numba.types.Array(numba.f4, 2, "C", readonly=True)  # images may be views of a file's bytes
F8 = numba.f8[::1]
BLOCK = 256  # bins of a few pixels at once: found in vector registers, counted one by one


def _compiled(*types: Any) -> Callable[[Callable[..., None]], Any]:
    """Compile for one signature at import, so that forked workers inherit the machine code."""
    # Sums may be reordered at compile time, never at run time: the same bits for any number of workers.
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": {"reassoc", "contract"}}

    def decorate(function: Callable[..., None]) -> Any:
        try:
            return numba.njit(numba.void(*types), cache=True, **options)(function)
        except RuntimeError:  # no folder to keep the cache in: compile in each process
            return numba.njit(numba.void(*types), **options)(function)

    return decorate


@_compiled(PIXELS, F8, F8, numba.f8[:, ::1])
def add_moments(flat: Any, centre: Any, total: Any, square: Any) -> None:
    """Add Σ(x - centre) to `total` [band] and Σ(x - centre)(y - centre) to `square` [band, band], for [band, pixel]."""
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


@_compiled(PIXELS, F8, F8, F8)
def add_power(flat: Any, centre: Any, total: Any, square: Any) -> None:
    """Add Σv and Σv² to `total` and `square` [band], where v = 10 ** ((x - centre) / 10) - 1 for x in dB."""
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


@_compiled(PIXELS, numba.f8, numba.f8, numba.i8[:, ::1])
def add_histogram(flat: Any, first: Any, per_bin: Any, histogram: Any) -> None:
    """Count the pixels of `flat` [band, pixel], all inside the range, in `histogram` [band, 1 + bins + 1]."""
    bands, pixels = flat.shape
    first, per_bin = np.float32(first), np.float32(per_bin)
    found = np.empty(BLOCK, np.int32)
    for i in range(bands):
        a, row = flat[i], histogram[i]
        for start in range(0, pixels, BLOCK):
            size = min(BLOCK, pixels - start)
            for p in range(size):
                found[p] = np.int32((a[start + p] - first) * per_bin) + 1
            for p in range(size):
                row[found[p]] += 1
