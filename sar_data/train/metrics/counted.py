"""Metrics that follow from counts by class, an entry each, which documents, titles, tables and intervals read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt

from sar_data.train.metrics.shares import mean, share

Counts = npt.NDArray[Any]
Kind = Literal["classes", "labels", "pixels", "changes"]
"""Kinds of predictions: a class per sample, several labels, a class per pixel; the last with classes of change."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its title in print, the kinds of predictions that have it, and its function of counts.

    `of` takes counts [..., class] of right answers, support (true members of the class) and claims (predicted
    members), and returns [...], NaN where it is not defined. Counts add up over samples, batches and ranks; intervals
    apply the same function to resampled counts.
    """

    title: str
    kinds: tuple[Kind, ...]
    of: Callable[[Counts, Counts, Counts], Any]


def _iou(right: Counts, support: Counts, claimed: Counts) -> Any:
    """Return the mean intersection over union of the classes with support."""
    return mean(share(right, support + claimed - right), support > 0)


def _f1(right: Counts, support: Counts, claimed: Counts) -> Any:
    """Return the mean F1 of the classes with support."""
    return mean(share(2 * right, support + claimed), support > 0)


METRICS = {
    "oa": Metric("OA", ("classes",), lambda right, support, _: share(right.sum(axis=-1), support.sum(axis=-1))),
    "aa": Metric("AA", ("classes",), lambda right, support, _: mean(share(right, support), support > 0)),
    "miou": Metric("mIoU", ("pixels",), _iou),
    "f1_macro": Metric("F1 macro", ("classes", "labels", "pixels"), _f1),
    "f1_micro": Metric(
        "F1 micro",
        ("classes", "labels"),
        lambda right, support, claimed: share(2 * right.sum(axis=-1), support.sum(axis=-1) + claimed.sum(axis=-1)),
    ),
    "pixel_accuracy": Metric(
        "pixel accuracy", ("pixels",), lambda right, support, _: share(right.sum(axis=-1), support.sum(axis=-1))
    ),
    "f1_change": Metric("F1 of change", ("changes",), _f1),
    "iou_change": Metric("IoU of change", ("changes",), _iou),
    "precision_change": Metric(
        "precision of change", ("changes",), lambda right, support, claimed: mean(share(right, claimed), support > 0)
    ),
    "recall_change": Metric(
        "recall of change", ("changes",), lambda right, support, _: mean(share(right, support), support > 0)
    ),
}


def names_of(kind: Kind) -> list[str]:
    """Return the names of the metrics of predictions of a kind."""
    return [name for name, metric in METRICS.items() if kind in metric.kinds]


def metrics_of(kind: Kind, right: Counts, support: Counts, claimed: Counts) -> dict[str, Any]:
    """Return the metrics [...] of predictions of a kind, from their counts [..., class]."""
    return {name: METRICS[name].of(right, support, claimed) for name in names_of(kind)}
