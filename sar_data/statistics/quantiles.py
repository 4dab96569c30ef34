"""Quantiles of an image, interpolated between its ordered pixels."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

FRACTIONS = (0.01, 0.02, 0.05, 0.25, 0.5, 0.75, 0.95, 0.98, 0.99)
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


class Ranks(NamedTuple):
    """The ascending ranks of the ordered pixels that the quantiles at FRACTIONS need.

    A quantile lies between the pixels at two of these ranks, `ends` [end, fraction], at `weight` of the way to the
    second.
    """

    distinct: Places
    ends: Places
    weight: Floats


@lru_cache(maxsize=256)
def ranks_of(pixels: int) -> Ranks:
    """Return the ranks that the quantiles of an image of `pixels` pixels need; `pixels` is at least 1."""
    place = np.array(FRACTIONS) * (pixels - 1)
    left = np.floor(place).astype(np.int64)
    right = np.minimum(left + 1, pixels - 1)
    distinct = np.unique(np.concatenate([left, right]))
    return Ranks(distinct, np.searchsorted(distinct, np.stack([left, right])), place - left)


def quantiles(values: npt.NDArray[Any]) -> Floats:
    """Return the quantiles [fraction] of a row of values; NaN for a row without values."""
    if not len(values):
        return np.full(len(FRACTIONS), np.nan)
    ranks = ranks_of(len(values))
    ordered = np.partition(values, ranks.distinct)[ranks.distinct].astype(np.float64)
    low, high = ordered[ranks.ends]
    return np.asarray(low + (high - low) * ranks.weight)
