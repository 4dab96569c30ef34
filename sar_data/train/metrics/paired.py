"""Comparison of two models on the same samples: the difference of their metrics, its interval and its p-value.

The same places are left out of both, so that samples that are difficult for both cancel out: a paired jackknife-t,
whose p-values are right with few places, too, where a paired bootstrap reports differences that do not exist
(tests/train/test_coverage.py). Whether the intervals of two models overlap does not answer this question. For single
classes McNemar's exact test is added (McNemar 1947), which assumes independent samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.errors import RunError
from sar_data.train.metrics.jackknife import LEVEL, deviation, replicates
from sar_data.train.metrics.student import probability, quantile
from sar_data.train.metrics.units import unit_of
from sar_data.train.predictions import multilabel, scores, targets


class Difference(NamedTuple):
    """A metric of the second model minus that of the first, with an interval of 95 % and a two-sided p-value."""

    value: float
    low: float
    high: float
    p: float


class Paired(NamedTuple):
    """The comparison of two models on their common samples; `mcnemar` is None where a sample has no single class."""

    samples: int
    method: str
    differences: dict[str, Difference]
    mcnemar: float | None


def compare_predictions(first: pa.Table, second: pa.Table, classes: Sequence[str]) -> Paired:
    """Compare the predictions of two models on the keys that both have.

    There are no differences where all samples are of the same unit. Raises RunError where there is no common key, or
    where targets differ.
    """
    first, second = _common(first, second)
    units = unit_of(first)
    method = f"jackknife-t over {units.text}"
    if units.number < 2:
        return Paired(len(first), method, {}, _mcnemar(first, second))
    whole, left, estimator = replicates(first, len(classes), units)
    other_whole, other_left, _ = replicates(second, len(classes), units)
    differences = {
        name: _difference(other_whole[name] - whole[name], other_left[name] - left[name], estimator.size(name))
        for name in whole
        if np.ndim(whole[name]) == 0 and np.isfinite(other_whole[name] - whole[name])
    }
    return Paired(len(first), method, differences, _mcnemar(first, second))


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979), in their order."""
    order = np.argsort(values)
    scaled = np.array(values)[order] * np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in corrected]


def _common(first: pa.Table, second: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the rows of the keys in both tables, sorted by key."""
    rows, other_rows = (
        table.filter(pc.is_in(table["key"], value_set=keys["key"])).sort_by("key")
        for table, keys in ((first, second), (second, first))
    )
    if not len(rows):
        raise RunError("expected runs that were tested on some common samples, found none")
    asked = "target" if "target" in rows.column_names else "true_boxes"
    if asked in rows.column_names and not rows[asked].equals(other_rows[asked]):
        raise RunError("expected runs that were tested on the same labels, found others for the same keys")
    return rows, other_rows


def _difference(value: float, left: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64]) -> Difference:
    """Return a difference with its interval; `left` [unit] is the difference without each unit, of size `sizes`."""
    spread, df = deviation(left - value, sizes)
    if not spread:  # all units have the same difference: a sign test
        return Difference(float(value), float(value), float(value), 2.0 ** (1 - len(left)) if value else 1.0)
    half = spread * quantile(LEVEL, df)
    return Difference(float(value), float(value - half), float(value + half), probability(value / spread, df))


def _mcnemar(first: pa.Table, second: pa.Table) -> float | None:
    """Return the exact two-sided p-value of McNemar's test: whether as many samples change to right as to wrong."""
    if "target" not in first.column_names or multilabel(first):
        return None
    right = [scores(table).argmax(axis=1) == targets(table) for table in (first, second)]
    lost, won = int(np.count_nonzero(right[0] & ~right[1])), int(np.count_nonzero(~right[0] & right[1]))
    changed = lost + won
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, changed + 1)))])
    few = np.arange(min(lost, won) + 1)
    logs = factorials[changed] - factorials[few] - factorials[changed - few] - changed * np.log(2)
    return min(1.0, 2 * float(np.exp(logs).sum()))
