"""Average precision under other weights of images: boxes match within their image, so they are matched once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.train.metrics.boxes import SIZES, match_boxes, verdicts
from sar_data.train.metrics.shares import mean

Floats = npt.NDArray[np.float64]
RECALLS = np.linspace(0, 1, 101)  # at which COCO reads the precision


class RankedBoxes(NamedTuple):
    """Detections of a class and size, best first: right and counted [overlap, box], the unit of the image [box].

    `positives` are the true objects of each unit.
    """

    right: npt.NDArray[np.bool_]
    counts: npt.NDArray[np.bool_]
    unit: npt.NDArray[np.int64]
    positives: Floats


def measure(
    table: pa.Table, classes: int, units: npt.NDArray[np.int64], count: int
) -> tuple[Callable[[npt.NDArray[Any]], dict[str, Any]], int, Mapping[str, Floats]]:
    """Return a function from weights [row, unit] to figures, the cells that a row takes, and the objects of each unit.

    The figures are `ap`, `ap50` and `ap75`, `ap_small` and so on [row], and of each class `per_class.ap` and
    `per_class.ap50` [row, class]. A class without an object of weight above 0 does not count in the mean.
    """
    matching, _ = match_boxes(table, classes)
    names = ("ap", *(f"ap_{size}" for size in SIZES))
    ranked = {
        name: [_rank(matching, label, size, units, count) for label in range(classes)]
        for size, name in enumerate(names)
    }

    def figures(weights: npt.NDArray[Any]) -> dict[str, Any]:
        results: dict[str, Any] = {}
        for name, each in ranked.items():
            values = np.stack([_precision(boxes, weights) for boxes in each], axis=1)  # [row, class, overlap]
            support = np.stack([weights @ boxes.positives for boxes in each], axis=1) > 0
            results[name] = mean(values.mean(axis=2), support)
            if name == "ap":
                results |= {"ap50": mean(values[:, :, 0], support), "ap75": mean(values[:, :, 5], support)}
                results |= {"per_class.ap": values.mean(axis=2), "per_class.ap50": values[:, :, 0]}
        return results

    sizes = {name: np.stack([boxes.positives for boxes in each], axis=1) for name, each in ranked.items()}
    objects = {name: by_class.sum(axis=1) for name, by_class in sizes.items()}
    cells = max(count, *(len(boxes.unit) for boxes in ranked["ap"]))
    return figures, cells, {**objects, "": objects["ap"], "per_class.": sizes["ap"]}


def _rank(matching: Any, label: int, size: int, units: npt.NDArray[np.int64], count: int) -> RankedBoxes:
    there = [(int(units[image]), verdict) for image, verdict in verdicts(matching, label, len(units), size)]
    positives = np.zeros(count)
    for number, verdict in there:
        positives[number] += np.count_nonzero(verdict["gtIgnore"] == 0)
    none = np.zeros((len(matching.params.iouThrs), 0))
    scores = np.concatenate([np.zeros(0), *(verdict["dtScores"] for _, verdict in there)])
    order = np.argsort(-scores, kind="mergesort")
    right = np.concatenate([none, *(verdict["dtMatches"] for _, verdict in there)], axis=1)[:, order] > 0
    ignored = np.concatenate([none, *(verdict["dtIgnore"] for _, verdict in there)], axis=1)[:, order] > 0
    unit = np.repeat([number for number, _ in there], [len(verdict["dtScores"]) for _, verdict in there])
    return RankedBoxes(right & ~ignored, ~ignored, unit.astype(np.int64)[order], positives)


def _precision(ranked: RankedBoxes, weights: npt.NDArray[Any]) -> Floats:
    """Return COCO's average precision [row, overlap], NaN where there is nothing to detect."""
    positives = weights @ ranked.positives
    values = np.full((len(weights), len(ranked.right)), np.nan)
    for row in np.flatnonzero(positives > 0):
        drawn = weights[row, ranked.unit]
        right = np.cumsum(drawn * ranked.right, axis=1, dtype=np.float64)
        claimed = np.cumsum(drawn * ranked.counts, axis=1, dtype=np.float64)
        precision = np.divide(right, claimed, out=np.zeros_like(right), where=claimed > 0)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        for overlap, (rising, height) in enumerate(zip(right, best, strict=True)):
            places = np.searchsorted(rising / positives[row], RECALLS)
            values[row, overlap] = np.append(height, 0.0)[np.minimum(places, best.shape[1])].mean()
    return values
