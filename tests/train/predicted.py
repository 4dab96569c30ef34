"""Predictions of invented batches, as evaluation makes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from sar_data.train import predictions


def part(keys: list[str], target: Any, scores: Any, **more: Any) -> pa.Table:
    """Return the rows of a batch of classified images."""
    return predictions.rows(keys, predictions.labelled(target, scores), **more)


def pixels(keys: list[str], counts: Any, confidence: Any = None, **more: Any) -> pa.Table:
    """Return the rows of a batch of segmented images, of which nothing is said of confidence by default."""
    sums = np.zeros((len(keys), 3 * predictions.BINS + 1)) if confidence is None else confidence
    return predictions.rows(keys, predictions.pixels(counts, sums), **more)


def nothing(kind: str) -> pa.Table:
    """Return the rows of a rank that saw nothing but padding."""
    if kind == "segmentation":
        return pixels(["a"], np.zeros((1, 3, 3), np.int64), weight=np.zeros(1))
    target = np.zeros((1, 3) if kind == "multilabel" else 1, np.int64)
    return part(["a"], target, np.zeros((1, 3)), weight=np.zeros(1))
