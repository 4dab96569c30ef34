"""How average precision moves when images are weighted anew: boxes match in their image, and are matched once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.train.metrics.boxes import SIZES, matched, verdicts
from sar_data.train.metrics.shares import mean

Floats = npt.NDArray[np.float64]
RECALLS = np.linspace(0, 1, 101)  # at which COCO reads the precision off


class Ranked(NamedTuple):
    """What was detected of one class and size, best first: right and counted [overlap, box], the image's unit [box].

    `positives` are the true objects of each unit.
    """

    right: npt.NDArray[np.bool_]
    counts: npt.NDArray[np.bool_]
    unit: npt.NDArray[np.int64]
    positives: Floats


def measure(
    table: pa.Table, classes: int, units: npt.NDArray[np.int64], count: int
) -> tuple[Callable[[npt.NDArray[Any]], dict[str, Any]], int, Mapping[str, Floats]]:
    """Return what turns weights [row, unit] into figures, the cells that one row takes, and the objects of each unit.

    The figures are `ap`, `ap50` and `ap75`, `ap_small` and so on [row], and of each class `per_class.ap` and
    `per_class.ap50` [row, class]. A class that the weights leave no object of is left out of the mean.
    """
    matching, _ = matched(table, classes)
    names = ("ap", *(f"ap_{size}" for size in SIZES))
    ranked = {
        name: [_ranked(matching, label, size, units, count) for label in range(classes)]
        for size, name in enumerate(names)
    }

    def figures(weights: npt.NDArray[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, each in ranked.items():
            values = np.stack([_precision(one, weights) for one in each], axis=1)  # [row, class, overlap]
            support = np.stack([weights @ one.positives for one in each], axis=1) > 0
            found[name] = mean(values.mean(axis=2), support)
            if name == "ap":
                found |= {"ap50": mean(values[:, :, 0], support), "ap75": mean(values[:, :, 5], support)}
                found |= {"per_class.ap": values.mean(axis=2), "per_class.ap50": values[:, :, 0]}
        return found

    sizes = {name: np.stack([one.positives for one in each], axis=1) for name, each in ranked.items()}
    objects = {name: by_class.sum(axis=1) for name, by_class in sizes.items()}
    cells = max(count, *(len(one.unit) for one in ranked["ap"]))
    return figures, cells, {**objects, "": objects["ap"], "per_class.": sizes["ap"]}


def _ranked(matching: Any, label: int, size: int, units: npt.NDArray[np.int64], count: int) -> Ranked:
    there = [(int(units[image]), one) for image, one in verdicts(matching, label, len(units), size)]
    positives = np.zeros(count)
    for number, one in there:
        positives[number] += np.count_nonzero(one["gtIgnore"] == 0)
    none = np.zeros((len(matching.params.iouThrs), 0))
    scores = np.concatenate([np.zeros(0), *(one["dtScores"] for _, one in there)])
    order = np.argsort(-scores, kind="mergesort")
    right = np.concatenate([none, *(one["dtMatches"] for _, one in there)], axis=1)[:, order] > 0
    ignored = np.concatenate([none, *(one["dtIgnore"] for _, one in there)], axis=1)[:, order] > 0
    unit = np.repeat([number for number, _ in there], [len(one["dtScores"]) for _, one in there])
    return Ranked(right & ~ignored, ~ignored, unit.astype(np.int64)[order], positives)


def _precision(ranked: Ranked, weights: npt.NDArray[Any]) -> Floats:
    """Return COCO's average precision [row, overlap], NaN where there is nothing to detect."""
    positives = weights @ ranked.positives
    values = np.full((len(weights), len(ranked.right)), np.nan)
    for row in np.flatnonzero(positives > 0):
        drawn = weights[row, ranked.unit]
        right = np.cumsum(drawn * ranked.right, axis=1, dtype=np.float64)
        said = np.cumsum(drawn * ranked.counts, axis=1, dtype=np.float64)
        precision = np.divide(right, said, out=np.zeros_like(right), where=said > 0)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        for overlap, (rising, height) in enumerate(zip(right, best, strict=True)):
            places = np.searchsorted(rising / positives[row], RECALLS)
            values[row, overlap] = np.append(height, 0.0)[np.minimum(places, best.shape[1])].mean()
    return values
