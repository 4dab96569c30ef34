"""The compiled statistics: moments, power moments, histogram and quantiles of an image whose pixels are all valid.

numpy needs a dozen passes over memory for these sums; the compiled loops take less than half the time
(docs/performance.md). They are compiled once on each machine.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from sar_data.record import Image
from sar_data.statistics.quantiles import ranks_of
from sar_data.system.native import compile_loop, inline

Floats = npt.NDArray[np.float64]
Power = tuple[Floats, Floats]
DB_TO_OCTAVES = math.log2(10) / 10  # power = 2 ** (dB * this)
LN2 = math.log(2)
TAYLOR = tuple(1 / math.factorial(n) for n in range(12))  # |f| <= ln 2 / 2: the rest is below 4e-14
PIXELS = numba.types.Array(numba.f4, 2, "C", readonly=True)  # images may be views of a file's bytes
F8, I8 = numba.f8[::1], numba.i8[::1]
F8_2, I8_2 = numba.f8[:, ::1], numba.i8[:, ::1]
SUMS = 4  # a band: Σ(x - centre), zeros, Σv, Σv²
SMALL = 64  # pixels that are sorted one by one


class Bins(NamedTuple):
    """Where values are counted: `first` edge, bins a unit, and int64 counts [band, below + bins + above]."""

    first: float
    per_unit: float
    counts: npt.NDArray[np.int64]


class Measured(NamedTuple):
    """The sums of images [..., band] and [..., band, band], those of power for dB, pixels that are 0, quantiles."""

    linear: Floats
    zeros: Floats
    power: Power
    square: Floats
    quantiles: Floats

    @classmethod
    def of(cls, measured: Floats) -> Measured:
        """Divide the array that `measure` returns, or a stack or sum of such arrays; a sum has no valid quantiles."""
        end = SUMS + measured.shape[-1]
        linear, zeros, *power = (measured[..., i, :] for i in range(SUMS))
        return cls(
            linear, zeros, (power[0], power[1]), measured[..., SUMS:end, :], measured[..., end:, :].swapaxes(-1, -2)
        )


def measure(flat: Image, centre: Floats, bins: Bins, *, decibels: bool = False) -> Floats:
    """Return the figures of an image float32 [band, pixel], all of whose pixels are valid, and count it in `bins`.

    They come in one array [SUMS + band + fraction, band], for `Measured.of`. The sums are Σ(x - centre) and
    Σ(x - centre)(y - centre); of `decibels` also Σv and Σv² of v = 10 ** ((x - centre) / 10) - 1. Quantiles are exact;
    a value outside the bins is counted at their end. Raises ValueError for arrays that do not fit together, TypeError
    for those of another type or order.
    """
    bands, counts = flat.shape[0], bins.counts.shape
    if centre.shape != (bands,) or counts[0] != bands or counts[1] < 3 or not flat.shape[1]:
        raise ValueError(f"expected centres and bins of {bands} bands of pixels, found {centre.shape} and {counts}")
    ranks = ranks_of(flat.shape[1])
    out = np.zeros((SUMS + bands + len(ranks.weight), bands))
    _measure(flat, centre, _axis(bins.first, bins.per_unit, decibels), bins.counts, *ranks, out)
    return out


@lru_cache(maxsize=64)
def _axis(first: float, per_unit: float, decibels: bool) -> Floats:
    return np.array((first, per_unit, decibels))


@compile_loop(numba.void(PIXELS, F8, F8, F8_2), reorder=True)
def _moments(flat: Any, centre: Any, total: Any, square: Any) -> None:
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
            square[i, j] = square[j, i] = product
            if i == j:
                total[i] = linear


@compile_loop(numba.void(PIXELS, F8, F8, F8), reorder=True)
def _power(flat: Any, centre: Any, total: Any, square: Any) -> None:
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
        total[i] = linear
        square[i] = product


@inline
def _sort(values: Any) -> None:
    if len(values) > SMALL:
        values.sort()
        return
    for p in range(1, len(values)):
        value, q = values[p], p
        while q > 0 and values[q - 1] > value:
            values[q] = values[q - 1]
            q -= 1
        values[q] = value


@compile_loop(numba.void(PIXELS, F8, I8_2, I8, I8_2, F8, F8_2, F8), reorder=True)
def _histogram(
    flat: Any, axis: Any, histogram: Any, ranks: Any, ends: Any, weight: Any, quantiles: Any, zeros: Any
) -> None:
    # A bin has few pixels: only those of the bins in which the ranks lie are collected and sorted.
    bands, pixels = flat.shape
    first, per_bin = np.float32(axis[0]), np.float32(axis[1])
    last = np.uint32(histogram.shape[1] - 1)
    bins, pool = np.empty(pixels, np.uint32), np.empty(pixels, np.float32)
    counts, tags = np.empty(histogram.shape[1], np.int32), np.empty(histogram.shape[1], np.uint8)
    group_of, ordered = np.empty_like(ranks), np.empty(len(ranks))
    below, begin, end = np.empty_like(ranks), np.empty_like(ranks), np.empty_like(ranks)
    for i in range(bands):
        a, row = flat[i], histogram[i]
        low, high, nothing = last, np.uint32(0), np.int64(0)
        for p in range(pixels):
            # A value below the range, and NaN, become a large unsigned number.
            b = min(np.uint32(np.int32((a[p] - first) * per_bin) + 1), last)
            bins[p] = b
            low, high = min(low, b), max(high, b)
            nothing += a[p] == 0
        zeros[i] = nothing
        counts[low : high + 1] = 0
        tags[low : high + 1] = 0
        for p in range(pixels):
            counts[bins[p]] += 1
        rank, seen, groups, pool_size = 0, 0, 0, 0
        for place in range(low, high + 1):
            count = counts[place]
            row[place] += count
            seen += count
            if rank < len(ranks) and ranks[rank] < seen:
                below[groups], begin[groups], end[groups] = seen - count, pool_size, pool_size
                pool_size += count
                while rank < len(ranks) and ranks[rank] < seen:
                    group_of[rank] = groups
                    rank += 1
                groups += 1
                tags[place] = groups
        for p in range(pixels):
            tag = tags[bins[p]]
            if tag:
                pool[end[tag - 1]] = a[p]
                end[tag - 1] += 1
        for group in range(groups):
            _sort(pool[begin[group] : end[group]])
        for r in range(len(ranks)):
            group = group_of[r]
            ordered[r] = pool[begin[group] + ranks[r] - below[group]]
        for q in range(len(weight)):
            low_end, high_end = ordered[ends[0, q]], ordered[ends[1, q]]
            quantiles[q, i] = low_end + (high_end - low_end) * weight[q]


@compile_loop(numba.void(PIXELS, F8, F8, I8_2, I8, I8_2, F8, F8_2), reorder=True)
def _measure(flat: Any, centre: Any, axis: Any, histogram: Any, ranks: Any, ends: Any, weight: Any, out: Any) -> None:
    # One call of compiled code for each image, because a call costs some microseconds.
    end = SUMS + len(flat)
    _moments(flat, centre, out[0], out[SUMS:end])
    if axis[2]:
        _power(flat, centre, out[2], out[3])
    _histogram(flat, axis, histogram, ranks, ends, weight, out[end:], out[1])
