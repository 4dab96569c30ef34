"""Thresholds of multilabel tasks: one per class, chosen on a split other than test, beside the fixed 0.5.

metrics.json has them as `thresholds`, so that a run's model uses them in other commands and in exports.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.train.metrics.counted import metrics_of
from sar_data.train.metrics.shares import by_class, number, share
from sar_data.train.predictions import scores, targets

Floats = npt.NDArray[np.float64]


class Thresholds(NamedTuple):
    """A threshold of the sigmoid for each class [class], and the split that chose them."""

    chosen_on: str
    values: Floats

    def by_class(self, classes: Sequence[str]) -> dict[str, float]:
        """Return the threshold of each class; `classes` are in the order of the values."""
        return dict(zip(classes, self.values.tolist(), strict=True))


def choose(table: pa.Table) -> Floats:
    """Return the threshold of each class's sigmoid, 0 to 1, that gives the largest F1 on the table.

    It lies halfway between two logits of the table. A class without positives keeps 0.5.
    """
    return np.array([_best(*pair) for pair in zip(targets(table).T, scores(table).T, strict=True)])


def figures(table: pa.Table, thresholds: Floats, classes: Sequence[str]) -> dict[str, Any]:
    """Return F1 micro and macro under thresholds of the sigmoid, and by class threshold, precision, recall and F1."""
    positive, claim = targets(table) == 1, scores(table) > np.log(thresholds / (1 - thresholds))
    right, support, claimed = (values.sum(axis=0).astype(np.float64) for values in (positive & claim, positive, claim))
    each = {"precision": share(right, claimed), "recall": share(right, support)}
    return {
        **{name: number(value) for name, value in metrics_of("labels", right, support, claimed).items()},
        "per_class": by_class(
            classes, threshold=thresholds, **each, f1=share(2 * right, support + claimed), support=support
        ),
    }


def _best(target: npt.NDArray[np.int64], logits: npt.NDArray[np.float32]) -> float:
    if not target.any():
        return 0.5
    order = np.argsort(-logits, kind="stable")
    values, hits = logits[order].astype(np.float64), np.cumsum(target[order])
    last = np.append(values[1:] < values[:-1], True)  # equal logits share a threshold
    f1 = np.where(last, 2 * hits / (np.arange(1, len(values) + 1) + target.sum()), -1)
    at = int(f1.argmax())
    below = values[at + 1] if at + 1 < len(values) else values[at] - 2
    middle = np.clip((values[at] + below) / 2, -30, 30)
    return float(1 / (1 + np.exp(-middle)))
