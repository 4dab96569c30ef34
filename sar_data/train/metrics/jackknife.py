"""Intervals: how much a metric would differ for other places.

Samples of the same place are similar, so that units of several samples are left out as a whole, one after the other.
The interval is a jackknife-t on the logit: Student's t times the jackknife's deviation of log(x / (1 - x)). Its
degrees of freedom are those of units of equal size (Kish 1965), or fewer where a few units dominate. With few units
the percentile bootstrap covers much less than its level, and this interval does not (tests/train/test_coverage.py).
Efron and Tibshirani 1993, ch. 11; MacKinnon, Nielsen and Webb 2023, CV3; Cameron, Gelbach and Miller 2008.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.train.metrics import areas, box_intervals
from sar_data.train.metrics.counted import metrics_of, names_of
from sar_data.train.metrics.ranking import Ranking
from sar_data.train.metrics.shares import margins, mean, share
from sar_data.train.metrics.student import quantile
from sar_data.train.metrics.units import Units, equal, unit_of
from sar_data.train.predictions import changes, confusions, multilabel, scores, targets

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Weights = npt.NDArray[np.int32]
LEVEL = 0.95
MOST_CELLS = 1 << 22  # of weighted rows that are computed at a time
BY_CLASS = "per_class."  # before the name of a metric that each class has


class Estimator(NamedTuple):
    """Metrics as a function of the units' weights, which are whole numbers.

    `measure` turns weights [row, unit] into {name: [row], or [row, class] after BY_CLASS}. `cells` is the number of
    values that a row of weights takes. `sizes` are the units' sizes, [unit] or [unit, class], by name, BY_CLASS or ""
    for all others.
    """

    measure: Callable[[Weights], dict[str, Any]]
    cells: int
    sizes: Mapping[str, Floats]

    def size(self, name: str) -> Floats:
        """Return the sizes of the units for a metric: the samples or pixels that it depends on."""
        return self.sizes.get(name, self.sizes[BY_CLASS if name.startswith(BY_CLASS) else ""])


def intervals(table: pa.Table, classes: Sequence[str]) -> dict[str, Any]:
    """Return {metric: [low, high]} and {"per_class": {class: {metric: [low, high]}}}, intervals of 95 %.

    `unit` is what is left out as a whole, `units` their number, `equal_units` the number of units of equal size that
    are worth as much, and `method` says all this in words. A metric of fewer than two units has None.
    """
    units = unit_of(table)
    results: dict[str, Any] = {"method": f"no interval: {units.text}", "level": LEVEL}
    results |= {"unit": units.kind, "units": units.number}
    if units.number < 2:
        return results
    sizes = np.bincount(units.of, minlength=units.number).astype(np.float64)
    results |= {"method": _method(table, units, sizes), "equal_units": round(equal(sizes), 1), "per_class": {}}
    whole, left, estimator = replicates(table, len(classes), units)
    by_class: dict[str, dict[str, Any]] = {name: {} for name in classes}
    for name, values in left.items():
        if name.startswith(BY_CLASS):
            for i, label in enumerate(classes):
                ends = interval(whole[name][i], values[:, i], estimator.size(name)[:, i])
                by_class[label][name.removeprefix(BY_CLASS)] = ends
        else:
            results[name] = interval(whole[name], values, estimator.size(name))
    return results | {"per_class": by_class}


def interval(value: float, left: Floats, sizes: Floats) -> list[float] | None:
    """Return the interval of 95 % of a share, None where fewer than two units have a size above 0.

    `left` [unit] is the metric without each unit, `sizes` [unit] the units' sizes. Where the metric is 0 or 1 no unit
    differs, and the far end is the binomial one for as many samples as there are units (Clopper and Pearson 1934):
    whole units are right at most as often as samples are.
    """
    there = int(np.count_nonzero(sizes))
    if there < 2 or not np.isfinite(value):
        return None
    if value in (0.0, 1.0):
        beyond = 1 - ((1 - LEVEL) / 2) ** (1 / there)
        return [0.0, beyond] if value == 0 else [1 - beyond, 1.0]
    edge = 1 / (2 * float(sizes.sum()))  # half a sample: a single unit may have all errors
    spread, df = deviation(_logit(np.clip(left, edge, 1 - edge)) - _logit(np.array(value)), sizes)
    if not spread:
        return None
    half = spread * quantile(LEVEL, df)
    low, high = 1 / (1 + np.exp(-(_logit(np.array(value)) + np.array([-half, half]))))
    return [float(low), float(high)]


def deviation(moved: Floats, sizes: Floats) -> tuple[float, float]:
    """Return the jackknife's standard deviation and its degrees of freedom, at least 1.

    `moved` [unit] is the change of a value without each unit, NaN where it is then not defined. The degrees of
    freedom are the number of units of equal size minus 1, and at most what the kurtosis of the changes allows
    (Satterthwaite 1946), since a few units may dominate.
    """
    count, known = len(moved), moved[np.isfinite(moved)]
    square, fourth = float((known**2).sum()), float((known**4).sum())
    excess = count * fourth - square**2
    most = 2 * count * square**2 / excess if excess > 0 else np.inf
    return float(np.sqrt((count - 1) / count * square)), max(1.0, min(equal(sizes) - 1, most))


def replicates(table: pa.Table, classes: int, units: Units) -> tuple[dict[str, Any], dict[str, Any], Estimator]:
    """Return the metrics of a table, those without each unit, [unit] or [unit, class], and their estimator."""
    estimator = estimator_of(table, classes, units.of, units.number)
    whole = estimator.measure(np.ones((1, units.number), np.int32))
    parts = [estimator.measure(weights) for weights in _without(units.number, max(1, MOST_CELLS // estimator.cells))]
    left = {name: np.concatenate([part[name] for part in parts]) for name in whole}
    return {name: value[0] for name, value in whole.items()}, left, estimator


def estimator_of(table: pa.Table, classes: int, units: Integers, count: int) -> Estimator:
    """Return the estimator of a table's metrics from weights of units."""
    if "pixels" in table.column_names:
        return _pixels(confusions(table), classes, units, count, changes(table))
    if "true_boxes" in table.column_names:
        return Estimator(*box_intervals.measure(table, classes, units, count))
    if multilabel(table):
        return _labels(targets(table), scores(table), units, count)
    cells = targets(table) * classes + scores(table).argmax(axis=1)
    counts = np.bincount(units * classes**2 + cells, minlength=count * classes**2)
    return _classes(counts.reshape(count, classes, classes).astype(np.float64))


def _without(count: int, chunk: int) -> Iterator[Weights]:
    """Yield weights [row, unit], each row without one unit, at most `chunk` rows at a time."""
    for start in range(0, count, chunk):
        left = np.arange(start, min(start + chunk, count))
        yield (left[:, None] != np.arange(count)).astype(np.int32)


def _classes(counts: Floats) -> Estimator:
    """Return the estimator of accuracies from confusion counts [unit, target, predicted]."""

    def measure(weights: Weights) -> dict[str, Any]:
        drawn = np.tensordot(weights, counts, 1)
        right, support, claimed = margins(drawn)
        f1 = share(2 * right, support + claimed)
        each = _by_class(precision=share(right, claimed), recall=share(right, support), f1=f1)
        return metrics_of("classes", right, support, claimed) | each

    support = counts.sum(axis=2)
    return Estimator(measure, counts[0].size, {"": support.sum(axis=1), BY_CLASS: support})


def _pixels(pixels: Integers, classes: int, units: Integers, count: int, changed: areas.Changes | None) -> Estimator:
    counts = sum_by_unit(pixels.reshape(-1, classes**2), units, count).reshape(count, classes, classes)
    own = areas.image_mious(pixels)
    images = sum_by_unit(np.stack([np.nan_to_num(own), np.isfinite(own)], axis=1), units, count)

    def measure(weights: Weights) -> dict[str, Any]:
        drawn = np.tensordot(weights, counts, 1)
        right, support, claimed = margins(drawn)
        each = _by_class(**areas.each_class(right, support, claimed))
        # A matrix product of numbers that are not whole depends on the number of rows, einsum does not.
        of_images = share(*np.einsum("ru,uk->kr", weights, images))
        return {**areas.totals(right, support, claimed, changed), areas.IMAGES: of_images, **each}

    support = counts.sum(axis=2)
    sizes = {"": support.sum(axis=1), BY_CLASS: support, areas.IMAGES: images[:, 1]}
    if changed is not None:
        sizes |= dict.fromkeys(names_of("changes"), support[:, changed].sum(axis=1))
    return Estimator(measure, counts[0].size, sizes)


def _labels(target: Integers, logits: Array, units: Integers, count: int) -> Estimator:
    classes = target.shape[1]
    whole = Ranking(target.ravel(), logits.ravel(), np.repeat(units, classes))
    each = [Ranking(target[:, i], logits[:, i], units) for i in range(classes)]
    positive, claim = target == 1, logits > 0
    sums = sum_by_unit(np.concatenate([positive & claim, positive, claim], axis=1), units, count)

    def measure(weights: Weights) -> dict[str, Any]:
        right, support, claimed = np.split(weights @ sums, 3, axis=1)
        ap = np.stack([ranking.precision(weights) for ranking in each], axis=1)
        by_class = {"precision": share(right, claimed), "recall": share(right, support)}
        return {
            "map_micro": whole.precision(weights),
            "map_macro": mean(ap, support > 0),
            **metrics_of("labels", right, support, claimed),
            **_by_class(ap=ap, **by_class, f1=share(2 * right, support + claimed)),
        }

    rows = np.bincount(units, minlength=count).astype(np.float64)
    return Estimator(measure, max(count, target.size), {"": rows, BY_CLASS: sums[:, classes : 2 * classes]})


def _by_class(**values: Array) -> dict[str, Any]:
    return {f"{BY_CLASS}{name}": value for name, value in values.items()}


def sum_by_unit(rows: Array, units: Integers, count: int) -> Floats:
    """Return the sums of rows by unit, float64 [unit, column], which is exact for counts below 2⁵³."""
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, units, rows)
    return sums


def _logit(values: Floats) -> Floats:
    return np.log(values / (1 - values))


def _method(table: pa.Table, units: Units, sizes: Floats) -> str:
    text = f"jackknife-t on the logit over {units.text}"
    if equal(sizes) < 0.8 * units.number:
        text += f", as good as {equal(sizes):.0f} of equal size"
    if units.kind != "sample" and _of_one_class(table, units):
        text += "; each has one class alone, so that units and classes cannot be told apart"
    return text


def _of_one_class(table: pa.Table, units: Units) -> bool:
    """Say whether samples have single classes, of which there are several, and each unit has only one."""
    if "target" not in table.column_names or multilabel(table):
        return False
    target = targets(table)
    pairs = np.unique(np.stack([units.of, target]), axis=1)
    return pairs.shape[1] == units.number and len(np.unique(target)) > 1
