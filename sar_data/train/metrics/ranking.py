"""Average precision: how well a score ranks the samples of a class before the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Ranking:
    """Samples in descending order of a score, sorted once for any weights.

    `target` is 0 or 1 and `values` the score of each row; `units` is the unit of each row, such as its scene, whose
    weight the row has.
    """

    def __init__(self, target: Array, values: Array, units: Array) -> None:
        order = np.argsort(-values, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)  # equal values share a threshold
        rank = np.flatnonzero(target[order])
        threshold = np.searchsorted(ends, rank)
        self._units = units[order].astype(np.int32)
        self._positives = self._units[rank]
        # Recall grows only at thresholds that have positives.
        last = np.flatnonzero(np.diff(threshold, append=-1))
        self._hits, self._ranks = last, ends[threshold[last]] if len(last) else last

    def precision(self, weights: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """Return Σ (Rₙ − Rₙ₋₁) Pₙ over distinct values as thresholds for each row of integer weights [row, unit].

        NaN where no positive has weight. This is scikit-learn's average_precision_score, without interpolation.
        """
        if not len(self._hits):
            return np.full(len(weights), np.nan)
        hits = _running(weights, self._positives, self._hits)
        ranks = _running(weights, self._units, self._ranks)
        gains = np.diff(hits, axis=1, prepend=np.int32(0)) * (hits / np.maximum(ranks, 1))
        positives = hits[:, -1].astype(np.float64)
        nothing = np.full(len(weights), np.nan)
        precision: npt.NDArray[np.float64] = np.divide(gains.sum(axis=1), positives, out=nothing, where=positives > 0)
        return precision


def _running(weights: npt.NDArray[np.int32], units: Array, at: Array) -> npt.NDArray[np.int32]:
    """Return the running sums of the units' weights at the places `at`, [row, place]."""
    return np.take(np.take(weights, units, axis=1).cumsum(axis=1, dtype=np.int32), at, axis=1)


def average_precision(target: Array, values: Array) -> float:
    """Return the average precision of zeros and ones [sample] under scores [sample], NaN without positives."""
    if not len(target):
        return float("nan")
    rows = np.arange(len(target))
    return float(Ranking(target, values, rows).precision(np.ones((1, len(target)), np.int32))[0])
