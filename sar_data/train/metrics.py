"""Figures of merit over a whole split, from gathered predictions: never a mean of batches' figures.

A value is a float, or None where it is not defined. Means over classes are over those with support: a class that the
split has no sample of says nothing about a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.errors import UsageError
from sar_data.train import areas
from sar_data.train.predictions import confusions, multilabel, scores, targets
from sar_data.train.shares import absent, by_class, mean, number, share

Integers = npt.NDArray[np.int64]
Figures = dict[str, Any]
TITLES = {
    "oa": "OA", "aa": "AA", "f1_macro": "F1 macro", "f1_micro": "F1 micro", "map_micro": "mAP micro",
    "map_macro": "mAP macro", "miou": "mIoU", "pixel_accuracy": "pixel accuracy",
}  # fmt: skip


def figures(table: pa.Table, classes: Sequence[str]) -> Figures:
    """Return the figures of a split's gathered predictions; which ones follows from its columns."""
    if "pixels" in table.column_names:
        counts = _fitting(confusions(table), len(classes)).reshape(-1, len(classes), len(classes))
        return {"count": len(table), **areas.segmentation(counts.sum(axis=0), classes)}
    logits = _fitting(scores(table), len(classes)).reshape(-1, len(classes))
    if multilabel(table):
        return several(targets(table).reshape(-1, len(classes)), logits, classes)
    return multiclass(confusion(targets(table), logits.argmax(axis=1), len(classes)), classes)


def confusion(target: Integers, predicted: Integers, classes: int) -> Integers:
    """Return counts [target, predicted] of two arrays of class numbers; raise UsageError for one out of range."""
    for name, values in (("targets", target), ("predictions", predicted)):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            raise UsageError(f"{name}: expected classes 0 to {classes - 1}, found {values.min()} to {values.max()}")
    cells = np.bincount(target.astype(np.int64) * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes)


def multiclass(counts: Integers, classes: Sequence[str]) -> Figures:
    """Return the figures of confusion counts [target, predicted].

    `oa`, overall accuracy, which is also F1 micro; `aa`, average accuracy, the mean recall of the classes with support;
    `f1_macro`; and by class precision, recall, F1 and support. Precision is None for a class never predicted.
    """
    right, support, claimed = (values.astype(np.float64) for values in
                               (np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)))  # fmt: skip
    recall, precision = share(right, support), share(right, claimed)
    f1 = share(2 * right, support + claimed)
    there = support > 0
    whole = number(share(right.sum(), support.sum()))
    return {
        "count": int(support.sum()),
        "oa": whole,
        "aa": mean(recall[there]),
        "f1_macro": mean(f1[there]),
        "f1_micro": whole,
        "without_support": absent(support, classes),
        "per_class": by_class(classes, precision=precision, recall=recall, f1=f1, support=support),
    }


def several(target: Integers, logits: npt.NDArray[np.float32], classes: Sequence[str]) -> Figures:
    """Return the figures of zeros and ones [sample, class] and logits of the same shape.

    `map_micro` over all pairs of sample and class, `map_macro` the mean of the classes with positives; F1 at 0.5 of the
    sigmoid; by class AP, precision, recall, F1 and support.
    """
    precisions = np.array([average_precision(target[:, i], logits[:, i]) for i in range(len(classes))])
    positive, answered = target == 1, logits > 0
    right, support, claimed = (values.sum(axis=0).astype(np.float64) for values in
                               (positive & answered, positive, answered))  # fmt: skip
    f1, there = share(2 * right, support + claimed), support > 0
    return {
        "count": len(target),
        "map_micro": number(average_precision(target.ravel(), logits.ravel())),
        "map_macro": mean(precisions[there]),
        "f1_micro": number(share(2 * right.sum(), support.sum() + claimed.sum())),
        "f1_macro": mean(f1[there]),
        "without_support": absent(support, classes),
        "per_class": by_class(
            classes, ap=precisions, precision=share(right, claimed), recall=share(right, support), f1=f1,
            support=support,
        ),
    }  # fmt: skip


def average_precision(target: npt.NDArray[Any], values: npt.NDArray[Any]) -> float:
    """Return Σ (Rₙ − Rₙ₋₁) Pₙ over the distinct values as thresholds, NaN without positives.

    That is the definition of scikit-learn's average_precision_score: no interpolation, and equal values share a
    threshold, so that their order does not matter.
    """
    positives = int(target.sum())
    if not positives:
        return float("nan")
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    found = np.cumsum(target[order], dtype=np.int64)[ends]
    return float(np.sum(np.diff(found, prepend=0) * (found / (ends + 1))) / positives)


def _fitting(found: npt.NDArray[Any], classes: int) -> npt.NDArray[Any]:
    """Return the array [sample, class, …] as it is; raise UsageError where a sample has another number of classes."""
    if len(found) and found.shape[1] != classes:
        raise UsageError(f"predictions: expected {classes} classes, found {found.shape[1]}")
    return found
