"""How right a model is about each sample, so that the worst and the best can be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.train.pictures.detections import box_outcomes
from sar_data.train.predictions import confusions, kind_of, scores, targets

Floats = npt.NDArray[np.float64]
MOST_LABELS = 4  # of a sample that are named


def rightness(table: pa.Table) -> Floats:
    """Return how right each answer is, 0 to 1.

    Of one class it is the probability of the true one, of several labels one less the mean error of their
    probabilities, of a mask the share of the known pixels that are right, NaN where none is known, of boxes the F1 of
    those that a sheet draws, NaN where none is there and none was found.
    """
    kind = kind_of(table)
    if kind == "detection":
        return np.array([_f1(box_outcomes(row)) for row in table.to_pylist()])
    if kind == "segmentation":
        counts = confusions(table)
        known = counts.sum(axis=(1, 2))
        return np.where(known > 0, np.trace(counts, axis1=1, axis2=2) / np.maximum(known, 1), np.nan)
    logits, target = scores(table).astype(np.float64), targets(table)
    if kind == "multilabel":
        return np.asarray(1 - np.abs(_sigmoid(logits) - target).mean(axis=1))
    return np.asarray(_softmax(logits)[np.arange(len(target)), target])


def said(table: pa.Table, row: int, classes: Sequence[str]) -> str:
    """Return in words what is said of a row and what is true: of labels those added (+) and missed (−).

    Of boxes it is how many were found, found wrongly and missed.
    """
    kind = kind_of(table)
    part = table.slice(row, 1)
    if kind == "segmentation":
        return ""
    if kind == "detection":
        return ", ".join(f"{len(boxes)} {name}" for name, boxes in box_outcomes(part.to_pylist()[0]).items())
    logits, target = scores(part).astype(np.float64)[0], targets(part)[0]
    if kind == "multilabel":
        wrong = np.flatnonzero((logits > 0) != target)
        named = [f"{'+' if logits[i] > 0 else '−'} {classes[i]}" for i in wrong[:MOST_LABELS].tolist()]
        return ", ".join([*named, *(["…"] if len(wrong) > MOST_LABELS else [])]) or "="
    best = int(logits.argmax())
    return classes[best] if best == target else f"{classes[best]} ≠ {classes[int(target)]}"


def _f1(boxes: Mapping[str, Sequence[int]]) -> float:
    found, errors = len(boxes["found"]), len(boxes["wrong"]) + len(boxes["missed"])
    return 2 * found / (2 * found + errors) if found or errors else np.nan


def _softmax(logits: Floats) -> Floats:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _sigmoid(logits: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
