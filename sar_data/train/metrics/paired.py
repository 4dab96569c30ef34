"""Whether two models differ on the same samples: the difference of their figures, its interval and its p-value.

Both are resampled together, whole groups at a time, so that what is hard for both cancels out (Efron and Tibshirani
1993, ch. 16). Intervals of two models that overlap say nothing of that. Of single classes McNemar's exact test stands
beside it (McNemar 1947), which takes samples for independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.errors import RunError
from sar_data.train.metrics.bootstrap import LEVEL, MOST_CELLS, drawn, measured, unit_of
from sar_data.train.predictions import multilabel, scores, targets


class Difference(NamedTuple):
    """A figure of the second model minus that of the first, with an interval of 95 % and a two-sided p-value."""

    value: float
    low: float
    high: float
    p: float


class Paired(NamedTuple):
    """What two models have on their common samples; `mcnemar` is None where a sample has no single class."""

    samples: int
    method: str
    differences: dict[str, Difference]
    mcnemar: float | None


def paired(
    first: pa.Table, second: pa.Table, classes: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> Paired:
    """Compare the predictions of two models on the keys that both have.

    A p-value is twice the share of resamples on the other side of 0, at least 2 / (resamples + 1). Raises RunError
    where there is no common key, or where targets differ, so that the two were not asked the same.
    """
    first, second = _common(first, second)
    units, count, method = unit_of(first)
    found: dict[str, Difference] = {}
    if count > 1:
        measures = [measured(table, len(classes), units, count) for table in (first, second)]
        chunk = max(1, MOST_CELLS // sum(cells for _, cells in measures))
        drawing = [np.ones((1, count), np.int32), *drawn(count, resamples, seed, chunk=chunk)]
        parts = [[measure(weights) for measure, _ in measures] for weights in drawing]
        for name in parts[0][0]:
            values = np.concatenate([b[name] - a[name] for a, b in parts])
            found[name] = _difference(float(values[0]), values[1:][np.isfinite(values[1:])])
    return Paired(len(first), method, found, _mcnemar(first, second))


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979), in the order given."""
    order = np.argsort(values)
    scaled = np.array(values)[order] * np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in corrected]


def _common(first: pa.Table, second: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the rows of the keys that both have, sorted by key."""
    one, other = (
        table.filter(pc.is_in(table["key"], value_set=keys["key"])).sort_by("key")
        for table, keys in ((first, second), (second, first))
    )
    if not len(one):
        raise RunError("expected runs that were tested on some common samples, found none")
    asked = "target" if "target" in one.column_names else "true_boxes"
    if asked in one.column_names and not one[asked].equals(other[asked]):
        raise RunError("expected runs that were tested on the same labels, found others for the same keys")
    return one, other


def _difference(value: float, resampled: npt.NDArray[Any]) -> Difference:
    if not resampled.size:
        return Difference(value, float("nan"), float("nan"), 1.0)
    low, high = np.percentile(resampled, (50 * (1 - LEVEL), 50 * (1 + LEVEL)))
    beyond = min(np.count_nonzero(resampled <= 0), np.count_nonzero(resampled >= 0))
    return Difference(value, float(low), float(high), min(1.0, 2 * (1 + beyond) / (resampled.size + 1)))


def _mcnemar(first: pa.Table, second: pa.Table) -> float | None:
    """Return the exact two-sided p-value of McNemar's test: do as many samples change to right as to wrong."""
    if "target" not in first.column_names or multilabel(first):
        return None
    right = [scores(table).argmax(axis=1) == targets(table) for table in (first, second)]
    lost, won = int(np.count_nonzero(right[0] & ~right[1])), int(np.count_nonzero(~right[0] & right[1]))
    changed = lost + won
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, changed + 1)))])
    few = np.arange(min(lost, won) + 1)
    logs = factorials[changed] - factorials[few] - factorials[changed - few] - changed * np.log(2)
    return min(1.0, 2 * float(np.exp(logs).sum()))
