"""The compiled loop of the presets that clip an image to its own quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.system.native import DONE, MISMATCH, compile_loop, inline, run

Floats = npt.NDArray[np.float32]
LOW, HIGH = 0.01, 0.99
SHIFT = 20  # the first look at a number is at its 12 leading bits
LEVELS = 255


@inline
def _order(bits: Any) -> Any:
    """Return an integer that is ordered as the float32 of these bits is."""
    return ~bits if bits >> np.uint32(31) else bits | np.uint32(0x80000000)


@inline
def _value(bits: Any) -> Any:
    return np.uint32(bits).view(np.float32)


@inline
def _select(keys: Any, histogram: Any, rank: Any) -> Any:
    """Return the value of a rank, from ordered integers and the histogram of their leading bits."""
    bin, left = 0, rank
    while left >= histogram[bin]:
        left -= histogram[bin]
        bin += 1
    values = np.empty(histogram[bin], np.uint32)
    count = 0
    for p in range(len(keys)):
        if keys[p] >> np.uint32(SHIFT) == bin:
            values[count] = keys[p]
            count += 1
    values.sort()
    key = np.uint32(values[left])
    return _value(np.uint32(key ^ np.uint32(0x80000000)) if key >> np.uint32(31) else np.uint32(~key))


@inline
def _quantile(keys: Any, histogram: Any, share: Any) -> Any:
    """Interpolate between order statistics, as numpy's default does."""
    at = share * (len(keys) - 1)
    rank = int(at)
    low = _select(keys, histogram, rank)
    high = _select(keys, histogram, min(rank + 1, len(keys) - 1))
    return np.float32(np.float64(low) + (np.float64(high) - np.float64(low)) * (at - rank))


@inline
def _stretch(values: Any, grey: Any, floor: Any, span: Any, fill: Any) -> None:
    keys = np.empty(len(values), np.uint32)
    histogram = np.zeros(1 << (32 - SHIFT), np.int64)
    bits = values.view(np.uint32)
    count = 0
    for p in range(len(values)):
        if abs(values[p]) < np.float32(np.inf):
            keys[count] = _order(bits[p])
            histogram[keys[count] >> np.uint32(SHIFT)] += 1
            count += 1
    if count == 0:
        values[:] = fill
        return
    low, high = _quantile(keys[:count], histogram, LOW), _quantile(keys[:count], histogram, HIGH)
    if not grey:
        floor, span = low, high - low if high > low else np.float32(1)
    for p in range(len(values)):
        value = values[p]
        if not abs(value) < np.float32(np.inf):
            values[p] = fill
            continue
        value = (min(max(value, low), high) - floor) / span
        if grey:
            value = np.floor(min(max(value * np.float32(LEVELS), np.float32(0)), np.float32(LEVELS))) / np.float32(
                LEVELS
            )
        values[p] = value


def stretch(images: Floats, grey: bool, terms: Floats, fill: np.float32) -> None:
    """Stretch every channel of `images` [sample, channel, pixel] in place, clipped to its own two quantiles.

    To 0 … 1 between the quantiles; or, with `grey`, to whole grey levels / 255 over terms[c] = (floor, span).
    """
    run(_stretch_all, images, grey, terms, fill)


@compile_loop("i8(f4[:, :, ::1], b1, f4[:, ::1], f4)")
def _stretch_all(images: Any, grey: Any, terms: Any, fill: Any) -> Any:
    if terms.shape != (images.shape[1], 2):
        return MISMATCH
    for i in range(images.shape[0]):
        for c in range(images.shape[1]):
            _stretch(images[i, c], grey, terms[c, 0], terms[c, 1], fill)
    return DONE
