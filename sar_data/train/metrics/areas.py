"""Segmentation: confusion counts of pixels, which add up over tiles, batches and ranks, and their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.errors import UsageError
from sar_data.record import IGNORE
from sar_data.train.metrics.counted import METRICS, Counts, metrics_of
from sar_data.train.metrics.shares import Floats, absent, by_class, margins, mean, number, share

Integers = npt.NDArray[np.int64]
Changes = npt.NDArray[np.bool_]
IMAGES = "image_miou"  # the mean over images of their mIoU


def count_confusions(target: npt.NDArray[Any], predicted: npt.NDArray[Any], classes: int) -> Integers:
    """Return confusion counts int64 [B, target, predicted] of masks [B, H, W]; a target of 255 is not counted.

    Raises UsageError for masks of different shapes and for classes out of range.
    """
    if target.shape != predicted.shape or target.ndim != 3:
        raise UsageError(f"masks: expected two of the same shape [B, H, W], found {target.shape} and {predicted.shape}")
    known = target != IGNORE
    for name, values in (("targets", target[known]), ("predictions", predicted[known])):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            raise UsageError(f"{name}: expected classes 0 to {classes - 1}, found {values.min()} to {values.max()}")
    cells = target.astype(np.int64) * classes + predicted.astype(np.int64)
    # Ignored pixels go to an additional cell, so that a single pass counts all images.
    size = classes * classes
    cells[~known] = size
    cells += np.arange(len(target)).reshape(-1, 1, 1) * (size + 1)
    counts = np.bincount(cells.ravel(), minlength=len(target) * (size + 1)).reshape(len(target), size + 1)
    return counts[:, :size].reshape(len(target), classes, classes)


def segmentation(counts: Integers, classes: Sequence[str]) -> dict[str, Any]:
    """Return the figures of confusion counts [target, predicted] of a whole split.

    `miou` is the mean intersection over union of the classes with support (true pixels), `f1_macro` their mean F1,
    `pixel_accuracy` the share of right pixels; by class IoU, F1, precision, recall and support in pixels.
    """
    right, support, claimed = margins(counts)
    return {
        **{name: number(value) for name, value in metrics_of("pixels", right, support, claimed).items()},
        "without_support": absent(support, classes),
        "per_class": by_class(classes, support=support, **each_class(right, support, claimed)),
    }


def counted_figures(counts: Integers, changed: Changes | None) -> dict[str, float | None]:
    """Return the metrics of a split by name, from confusion counts [image, target, predicted]; see `totals`.

    `image_miou` is the mean over images of their mIoU, which some papers report: a small lake in an image without
    other water then weighs as much as a flood that fills the next image.
    """
    right, support, claimed = margins(counts.sum(axis=0))
    own = image_mious(counts)
    figures = {**totals(right, support, claimed, changed), IMAGES: mean(own, np.isfinite(own))}
    return {name: number(value) for name, value in figures.items()}


def totals(right: Counts, support: Counts, claimed: Counts, changed: Changes | None) -> dict[str, Any]:
    """Return the metrics [...] of counts [..., class] of pixels, with those of change where `changed` has classes."""
    figures = metrics_of("pixels", right, support, claimed)
    if changed is None:
        return figures
    return figures | metrics_of("changes", *(part[..., changed] for part in (right, support, claimed)))


def each_class(right: Counts, support: Counts, claimed: Counts) -> dict[str, Any]:
    """Return IoU, F1, precision and recall [..., class]."""
    return {
        "iou": share(right, support + claimed - right),
        "f1": share(2 * right, support + claimed),
        "precision": share(right, claimed),
        "recall": share(right, support),
    }


def image_mious(counts: Integers) -> Floats:
    """Return the mIoU of each image [image], NaN for an image without known pixels."""
    values: Floats = METRICS["miou"].of(*margins(counts))
    return values
