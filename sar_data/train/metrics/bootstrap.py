"""Intervals: how much a figure would move had other scenes been drawn.

Patches of one scene, tile or block are alike, so that resampling patches gives intervals that are too narrow (Efron and
Tibshirani 1993, ch. 8; Cameron, Gelbach and Miller 2008). Whole groups are resampled, patches only where no group is
known, and the interval says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.train.metrics import accuracies, agreements, box_intervals
from sar_data.train.metrics.areas import overlaps
from sar_data.train.metrics.ranking import Ranking
from sar_data.train.metrics.shares import mean
from sar_data.train.predictions import confusions, multilabel, scores, targets

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]
Weights = npt.NDArray[np.int32]
Measure = Callable[[Weights], dict[str, Any]]  # weights [resample, unit] → figures [resample]
LEVEL = 0.95
FEW = 10  # units: of fewer, resamples vary too little
MOST_CELLS = 1 << 22  # of resampled rows that are held at once


def intervals(
    table: pa.Table, classes: Sequence[str], *, resamples: int = 1000, seed: int = 0, over: str = "groups"
) -> dict[str, Any]:
    """Return {metric: [low, high]}, 95 % percentile intervals, with how they were made in `method`.

    `over` is what a group of this build is, in the plural (scenes, tiles, blocks). A class that a resample has no
    sample of is left out of that resample's means. Of boxes there is an interval of AP50. Of fewer than two units there
    is none; `method` says so.
    """
    units, count, method = unit_of(table, over)
    made: dict[str, Any] = {"method": method, "level": LEVEL, "resamples": resamples, "seed": seed}
    if count < 2:
        return made
    measure, cells = measured(table, len(classes), units, count)
    drawing = drawn(count, resamples, seed, chunk=max(1, MOST_CELLS // cells))
    chunks = [measure(weights) for weights in drawing]
    return made | {name: _interval(np.concatenate([chunk[name] for chunk in chunks])) for name in chunks[0]}


def unit_of(table: pa.Table, over: str = "groups") -> tuple[Integers, int, str]:
    """Return the unit of each row that is drawn as a whole, the number of units, and in words what is resampled.

    A row without a group is a unit of its own.
    """
    names = table["group"].to_pylist()
    groups = {name: i for i, name in enumerate(sorted({name for name in names if name is not None}))}
    alone = iter(range(len(groups), len(groups) + len(names)))
    units = np.array([next(alone) if name is None else groups[name] for name in names], np.int64)
    single = names.count(None)
    count = len(groups) + single
    if not groups:
        method = f"patch bootstrap over {single} patches: no group known, too narrow"
    else:
        method = f"group bootstrap over {len(groups)} {over}" + (f" and {single} patches of none" if single else "")
        method += f": fewer than {FEW}, too narrow" if count < FEW else ""
    return units, count, method if count > 1 else f"no interval: {count} of {over} or patches to draw from"


def drawn(units: int, resamples: int, seed: int, *, chunk: int) -> Iterator[Weights]:
    """Yield how often each unit is drawn, int32 [resample, unit], at most `chunk` resamples at a time.

    Each resample draws as many units as there are, with replacement. The draws do not depend on the chunk.
    """
    random = np.random.default_rng(seed)
    for start in range(0, resamples, chunk):
        draws = (random.integers(0, units, units) for _ in range(min(chunk, resamples - start)))
        yield np.stack([np.bincount(draw, minlength=units) for draw in draws]).astype(np.int32)


def measured(table: pa.Table, classes: int, units: Integers, count: int) -> tuple[Measure, int]:
    """Return what turns weights of units into figures, and the cells that one resample takes."""
    if "pixels" in table.column_names:
        return _pixels(confusions(table).reshape(-1, classes * classes), classes, units, count), count
    if "true_boxes" in table.column_names:
        return box_intervals.measure(table, classes, units, count)
    if multilabel(table):
        return _labels(targets(table), scores(table), units, count), max(count, len(table) * classes)
    return _classes(targets(table) * classes + scores(table).argmax(axis=1), classes, units), len(table)


def _pixels(counts: Integers, classes: int, units: Integers, count: int) -> Measure:
    sums = _summed(counts, units, count)
    return lambda weights: overlaps((weights @ sums).reshape(-1, classes, classes))


def _classes(cells: Integers, classes: int, units: Integers) -> Measure:
    # Counted anew for each resample: a matrix a unit would not fit where every one of many patches is a unit.
    def measure(weights: Weights) -> dict[str, Any]:
        counts = [np.bincount(cells, row[units], minlength=classes * classes) for row in weights]
        return accuracies(np.reshape(counts, (-1, classes, classes)))

    return measure


def _labels(target: Integers, logits: Array, units: Integers, count: int) -> Measure:
    classes = target.shape[1]
    whole = Ranking(target.ravel(), logits.ravel(), np.repeat(units, classes))
    each = [Ranking(target[:, i], logits[:, i], units) for i in range(classes)]
    positive, claim = target == 1, logits > 0
    sums = _summed(np.concatenate([positive & claim, positive, claim], axis=1), units, count)

    def measure(weights: Weights) -> dict[str, Any]:
        right, support, claimed = np.split(weights @ sums, 3, axis=1)
        macro = mean(np.stack([ranking.precision(weights) for ranking in each], axis=1), support > 0)
        return {"map_micro": whole.precision(weights), "map_macro": macro, **agreements(right, support, claimed)}

    return measure


def _summed(rows: Array, units: Integers, count: int) -> npt.NDArray[np.float64]:
    """Return the sums of rows by unit, float64 [unit, column], which holds counts below 2⁵³ exactly."""
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, units, rows)
    return sums


def _interval(values: npt.NDArray[np.float64]) -> list[float] | None:
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    low, high = np.percentile(known, (50 * (1 - LEVEL), 50 * (1 + LEVEL)))
    return [float(low), float(high)]
