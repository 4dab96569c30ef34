"""How AP50 moves when images are drawn anew: boxes are matched once, since they match within their image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.train.metrics.boxes import matched
from sar_data.train.metrics.shares import mean

Floats = npt.NDArray[np.float64]
RECALLS = np.linspace(0, 1, 101)  # at which COCO reads the precision off


class Ranked(NamedTuple):
    """What was found of one class, best first: whether it is right, whether it counts at all, and its image's unit.

    `positives` are the true objects of each unit.
    """

    right: npt.NDArray[np.bool_]
    counts: npt.NDArray[np.bool_]
    unit: npt.NDArray[np.int64]
    positives: Floats


def measure(
    table: pa.Table, classes: int, units: npt.NDArray[np.int64], count: int
) -> tuple[Callable[[npt.NDArray[Any]], dict[str, Any]], int]:
    """Return what turns weights [resample, unit] into {"ap50": [resample]}, and the cells that one resample takes.

    A class that a resample has no object of is left out of that resample's mean.
    """
    matching, _ = matched(table, classes, max(1, pc.max(pc.list_value_length(table["boxes"])).as_py() or 0))
    ranked = [_ranked(matching, label, units, count) for label in range(classes)]

    def measured(weights: npt.NDArray[Any]) -> dict[str, Any]:
        values = np.stack([_precision(one, weights) for one in ranked], axis=1)
        support = np.stack([weights @ one.positives for one in ranked], axis=1)
        return {"ap50": mean(values, support > 0)}

    return measured, max(count, *(len(one.unit) for one in ranked))


def _ranked(matching: Any, label: int, units: npt.NDArray[np.int64], count: int) -> Ranked:
    images, sizes = len(units), len(matching.params.areaRng)
    # pycocotools lays its answers out by class, size and image; the first size is all.
    answers = matching.evalImgs[label * sizes * images : label * sizes * images + images]
    there = [(unit, one) for unit, one in zip(units.tolist(), answers, strict=True) if one is not None]
    positives = np.zeros(count)
    for unit, one in there:
        positives[unit] += np.count_nonzero(one["gtIgnore"] == 0)
    scores = np.concatenate([np.zeros(0), *(one["dtScores"] for _, one in there)])
    order = np.argsort(-scores, kind="mergesort")
    right = np.concatenate([np.zeros(0), *(one["dtMatches"][0] for _, one in there)])[order] > 0
    ignored = np.concatenate([np.zeros(0), *(one["dtIgnore"][0] for _, one in there)])[order] > 0
    unit = np.repeat([unit for unit, _ in there], [len(one["dtScores"]) for _, one in there])
    return Ranked(right & ~ignored, ~ignored, unit.astype(np.int64)[order], positives)


def _precision(found: Ranked, weights: npt.NDArray[Any]) -> Floats:
    """Return COCO's average precision [resample], NaN where there is nothing to find."""
    drawn = weights[:, found.unit] * found.counts
    right = np.cumsum(drawn * found.right, axis=1, dtype=np.float64)
    said = np.cumsum(drawn, axis=1, dtype=np.float64)
    precision = np.divide(right, said, out=np.zeros_like(right), where=said > 0)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    positives = weights @ found.positives
    values = np.full(len(weights), np.nan)
    for row in np.flatnonzero(positives > 0):
        places = np.searchsorted(right[row] / positives[row], RECALLS)
        read = np.append(best[row], 0.0)[np.minimum(places, best.shape[1])]
        values[row] = read.mean()
    return values
