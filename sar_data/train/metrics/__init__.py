"""Metrics of a whole split, from its collected predictions: never a mean over batches.

A value is a float, or None where it is not defined. Means over classes are over those with support, since a class
without samples says nothing about a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.errors import UsageError
from sar_data.train.metrics import areas
from sar_data.train.metrics.counted import METRICS, metrics_of
from sar_data.train.metrics.ranking import average_precision
from sar_data.train.metrics.shares import absent, by_class, margins, mean, number, share
from sar_data.train.predictions import changes, confusions, multilabel, scores, targets

Integers = npt.NDArray[np.int64]
Figures = dict[str, Any]
OTHERS = {"map_micro": "mAP micro", "map_macro": "mAP macro", areas.IMAGES: "mean of images' mIoU"}


def headline(split: str, name: str, figures: Figures) -> str:
    """Return a picture's title: the split, its metric `name`, and a note where the split itself chose the epoch."""
    value, chosen = figures[name], f", chosen on {figures['chosen_on']}" if "chosen_on" in figures else ""
    return split if value is None else f"{split}: {title_of(name)} {value:.3f}{chosen}"


def title_of(name: str) -> str:
    """Return a metric's title in print: mAP micro for map_micro, AP50 for ap50."""
    return titles().get(name, name.replace("_", " ").upper() if name.startswith("ap") else name.replace("_", " "))


def titles() -> dict[str, str]:
    """Return the titles of the metrics of classes, labels and pixels, by name."""
    return {name: metric.title for name, metric in METRICS.items()} | OTHERS


def figures(table: pa.Table, classes: Sequence[str]) -> Figures:
    """Return the metrics of a split's collected predictions; the columns decide which ones."""
    if "pixels" in table.column_names:
        counts = _fitting(confusions(table), len(classes)).reshape(-1, len(classes), len(classes))
        more = areas.counted_figures(counts, changes(table))
        return {"count": len(table), **areas.segmentation(counts.sum(axis=0), classes), **more}
    logits = _fitting(scores(table), len(classes)).reshape(-1, len(classes))
    if multilabel(table):
        return multilabel_figures(targets(table).reshape(-1, len(classes)), logits, classes)
    return multiclass(confusion(targets(table), logits.argmax(axis=1), len(classes)), classes)


def confusion(target: Integers, predicted: Integers, classes: int) -> Integers:
    """Return counts [target, predicted] of two arrays of class numbers; raise UsageError for numbers out of range."""
    for name, values in (("targets", target), ("predictions", predicted)):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            raise UsageError(f"{name}: expected classes 0 to {classes - 1}, found {values.min()} to {values.max()}")
    cells = np.bincount(target.astype(np.int64) * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes)


def multiclass(counts: Integers, classes: Sequence[str]) -> Figures:
    """Return the metrics of confusion counts [target, predicted].

    `oa`, overall accuracy, which is also F1 micro; `aa`, average accuracy, the mean recall of the classes with support;
    `f1_macro`; and by class precision, recall, F1 and support. Precision is None for a class never predicted.
    """
    right, support, claimed = margins(counts)
    return {
        "count": int(support.sum()),
        **{name: number(value) for name, value in metrics_of("classes", right, support, claimed).items()},
        "without_support": absent(support, classes),
        "per_class": by_class(
            classes,
            precision=share(right, claimed),
            recall=share(right, support),
            f1=share(2 * right, support + claimed),
            support=support,
        ),
    }


def multilabel_figures(target: Integers, logits: npt.NDArray[np.float32], classes: Sequence[str]) -> Figures:
    """Return the metrics of zeros and ones [sample, class] and logits of the same shape.

    `map_micro` over all pairs of sample and class, `map_macro` the mean of the classes with positives; F1 at 0.5 of the
    sigmoid; by class AP, precision, recall, F1 and support.
    """
    precisions = np.array([average_precision(target[:, i], logits[:, i]) for i in range(len(classes))])
    positive, claim = target == 1, logits > 0
    right, support, claimed = (values.sum(axis=0).astype(np.float64) for values in (positive & claim, positive, claim))
    return {
        "count": len(target),
        "map_micro": number(average_precision(target.ravel(), logits.ravel())),
        "map_macro": number(mean(precisions, support > 0)),
        **{name: number(value) for name, value in metrics_of("labels", right, support, claimed).items()},
        "without_support": absent(support, classes),
        "per_class": by_class(
            classes,
            ap=precisions,
            precision=share(right, claimed),
            recall=share(right, support),
            f1=share(2 * right, support + claimed),
            support=support,
        ),
    }


def _fitting(values: npt.NDArray[Any], classes: int) -> npt.NDArray[Any]:
    """Return the array [sample, class, …]; raise UsageError where it has another number of classes."""
    if len(values) and values.shape[1] != classes:
        raise UsageError(f"predictions: expected {classes} classes, found {values.shape[1]}")
    return values
