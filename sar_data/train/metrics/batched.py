"""FG-MAE's figures from stored predictions: means over batches, for comparison with published figures.

Its evaluation scores each batch alone and averages with the batches' sizes as weights (github.com/zhu-xlab/FGMAE at
66ac3c5, src/transfer_classification/models/mae/engine_finetune_EU.py and engine_finetune_BE.py). Under torchmetrics
0.11 a class that is absent from a batch counts there with recall 0 and F1 0, and is left out of the mean average
precision (functional/classification/accuracy.py, f_beta.py and average_precision.py of 0.11.4). docs/metrics.md shows
by how much such figures depend on the size of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.errors import UsageError
from sar_data.train.metrics.ranking import average_precision
from sar_data.train.metrics.shares import margins, mean, number, share
from sar_data.train.predictions import multilabel, scores, targets

Integers = npt.NDArray[np.int64]


def rescore_batches(table: pa.Table, classes: Sequence[str], batch: int) -> dict[str, Any]:
    """Return the figures of collected predictions in batches of `batch`, in the order of evaluation.

    Multiclass: oa and aa; multilabel: map_micro, map_macro, f1_micro and f1_macro; also `count`, `batch` and
    `method`. A value is None where some batch has none, such as a batch without positive labels. Raises UsageError
    for segmentation.
    """
    if "pixels" in table.column_names or batch < 1:
        raise UsageError(f"fgmae-batched: expected class predictions and batches of 1 or more, found batch {batch}")
    table = table.take(pc.sort_indices(table["position"]))
    facts = {"count": len(table), "batch": batch, "method": f"means over batches of {batch}, as FG-MAE reports"}
    target, logits = targets(table), scores(table)
    sizes = np.bincount(np.arange(len(table)) // batch)
    columns = _labels(target, logits, batch) if multilabel(table) else _classes(target, logits, len(classes), batch)
    return facts | {name: number(share((values * sizes).sum(), sizes.sum())) for name, values in columns.items()}


def _classes(target: Integers, logits: npt.NDArray[np.float32], classes: int, batch: int) -> dict[str, Any]:
    """Return the accuracies of each batch."""
    step = np.arange(len(target)) // batch
    steps, cells = -(-len(target) // batch), classes * classes
    claimed = logits.argmax(axis=1) if len(target) else target
    counts = np.bincount(step * cells + target * classes + claimed, minlength=steps * cells)
    right, support, _ = margins(counts.reshape(steps, classes, classes))
    return {"oa": share(right.sum(axis=1), support.sum(axis=1)), "aa": (right / np.maximum(support, 1)).mean(axis=1)}


def _labels(target: Integers, logits: npt.NDArray[np.float32], batch: int) -> dict[str, Any]:
    """Return the precisions and F1 of each batch."""
    rows = []
    for start in range(0, len(target), batch):
        truth, values = target[start : start + batch], logits[start : start + batch]
        each = np.array([average_precision(truth[:, i], values[:, i]) for i in range(truth.shape[1])])
        right, either = ((truth == 1) & (values > 0)).sum(axis=0), (truth == 1).sum(axis=0) + (values > 0).sum(axis=0)
        rows.append(
            (
                average_precision(truth.ravel(), values.ravel()),
                mean(each, np.isfinite(each)),
                2 * right.sum() / max(either.sum(), 1),
                (2 * right / np.maximum(either, 1)).mean(),
            )
        )
    columns = np.array(rows, np.float64).reshape(-1, 4).T
    return dict(zip(("map_micro", "map_macro", "f1_micro", "f1_macro"), columns, strict=True))
