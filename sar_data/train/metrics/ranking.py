"""Average precision: how far up a score puts the samples that have the class."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Ranking:
    """Samples in descending order of one score, sorted once, whatever weights they are then given.

    `target` is 0 or 1 and `values` the score of each row; `units` says which unit's weight a row takes, such as that
    of its scene.
    """

    def __init__(self, target: Array, values: Array, units: Array) -> None:
        order = np.argsort(-values, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)  # equal values share a threshold
        rank = np.flatnonzero(target[order])
        threshold = np.searchsorted(ends, rank)
        self._units = units[order].astype(np.int32)
        self._positives = self._units[rank]
        # Recall grows at thresholds that have positives, and nowhere else.
        last = np.flatnonzero(np.diff(threshold, append=-1))
        self._found, self._seen = last, ends[threshold[last]] if len(last) else last

    def precision(self, weights: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """Return Σ (Rₙ − Rₙ₋₁) Pₙ over distinct values as thresholds for each row of integer weights [row, unit].

        NaN where no positive has weight. That is scikit-learn's average_precision_score: nothing is interpolated.
        """
        if not len(self._found):
            return np.full(len(weights), np.nan)
        found = _running(weights, self._positives, self._found)
        seen = _running(weights, self._units, self._seen)
        gains = np.diff(found, axis=1, prepend=np.int32(0)) * (found / np.maximum(seen, 1))
        positives = found[:, -1].astype(np.float64)
        nothing = np.full(len(weights), np.nan)
        precision: npt.NDArray[np.float64] = np.divide(gains.sum(axis=1), positives, out=nothing, where=positives > 0)
        return precision


def _running(weights: npt.NDArray[np.int32], units: Array, at: Array) -> npt.NDArray[np.int32]:
    """Return the running sums of the units' weights at some places, [row, place]."""
    return np.take(np.take(weights, units, axis=1).cumsum(axis=1, dtype=np.int32), at, axis=1)


def average_precision(target: Array, values: Array) -> float:
    """Return the average precision of zeros and ones [sample] under scores [sample], NaN without positives."""
    if not len(target):
        return float("nan")
    rows = np.arange(len(target))
    return float(Ranking(target, values, rows).precision(np.ones((1, len(target)), np.int32))[0])
