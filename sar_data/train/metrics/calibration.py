"""Calibration: are answers with a confidence of 80 % right in 80 % of cases?

An answer is a sample's class, with the largest share of the softmax as its confidence; a pair of sample and label, with
the sigmoid; a pixel whose class is known; or a box, which is right where it is matched at an overlap of 0.5, so that
confidence is compared with precision (the detection ECE of Küppers et al. 2020, by confidence alone). Bins are equally
wide (Guo et al. 2017). The expected error is biased upwards where answers are few: compare it for equal numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.train.metrics.boxes import match_boxes, verdicts
from sar_data.train.metrics.jackknife import interval, sum_by_unit
from sar_data.train.metrics.shares import number, share
from sar_data.train.metrics.units import Units, unit_of
from sar_data.train.predictions import BINS, confidences, kind_of, scores, targets

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
LARGEST = {"multiclass": 2.0, "segmentation": 2.0, "multilabel": 1.0, "detection": 1.0}  # Brier score


class Reliability(NamedTuple):
    """Answers, mean confidence and share of right answers of each bin [bin], NaN in an empty bin.

    `deviation` [bin] is the share's jackknife deviation over the units that `units` names.
    """

    counts: Floats
    confidence: Floats
    right: Floats
    deviation: Floats
    units: str


def figures(table: pa.Table, classes: Sequence[str]) -> dict[str, Any]:
    """Return `ece` and `brier` of a split, the number of bins and, where there are two units, `intervals` of 95 %.

    `ece` is the mean difference of confidence and share of right answers over bins, weighted by their answers. `brier`
    is the mean squared difference of probabilities and truth: summed over classes, 0 to 2 (Brier 1950), where a sample
    or a pixel has a single class; for labels and boxes the mean over answers, 0 to 1.
    """
    sums, units = _by_unit(table, len(classes))
    whole, sizes, largest = sums.sum(axis=0), sums[:, :BINS].sum(axis=1), LARGEST[kind_of(table)]
    results: dict[str, Any] = {"ece": number(_ece(whole)), "brier": number(_brier(whole)), "bins": BINS}
    if units.number < 2:
        return results
    brier = interval(_brier(whole) / largest, _brier(whole - sums) / largest, sizes)
    ends = {"ece": interval(_ece(whole), _ece(whole - sums), sizes)}
    return results | {"intervals": ends | {"brier": brier and [largest * end for end in brier]}}


def reliability_of(table: pa.Table, classes: Sequence[str]) -> Reliability:
    """Return the bins of a split's answers."""
    sums, units = _by_unit(table, len(classes))
    whole = sums.sum(axis=0)
    counts, confidence, right, _ = _parts(whole)
    there, _, others, _ = _parts(whole - sums)
    moved = np.nan_to_num(share(others, there) - share(right, counts))  # a bin of a single unit has no deviation
    spread = np.sqrt((1 - 1 / max(units.number, 1)) * (moved**2).sum(axis=0))
    return Reliability(counts, share(confidence, counts), share(right, counts), spread, units.text)


def tally(row: Array, count: int, confidence: Array, right: Array, error: Array) -> Floats:
    """Return sums over the answers [answer] of each of `count` rows, float64 [row, 3 * BINS + 1].

    They are the number of answers of each bin, the sums of confidences and right answers, and the sum of `error`.
    """
    place = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)  # (0, 1/15], (1/15, 2/15], …
    cells = row * BINS + place
    parts = [np.bincount(cells, weights, count * BINS).reshape(count, BINS) for weights in (None, confidence, right)]
    return np.concatenate([*parts, np.bincount(row, error, count)[:, None]], axis=1).astype(np.float64)


def _parts(sums: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return answers, confidences and right answers [..., bin], and errors [...]."""
    return sums[..., :BINS], sums[..., BINS : 2 * BINS], sums[..., 2 * BINS : 3 * BINS], sums[..., -1]


def _ece(sums: Floats) -> Any:
    counts, confidence, right, _ = _parts(sums)
    return share(np.abs(confidence - right).sum(axis=-1), counts.sum(axis=-1))


def _brier(sums: Floats) -> Any:
    return share(sums[..., -1], sums[..., :BINS].sum(axis=-1))


def _by_unit(table: pa.Table, classes: int) -> tuple[Floats, Units]:
    """Return the sums of `tally` by unit, [unit, …], and the units."""
    units = unit_of(table)
    kind = kind_of(table)
    if kind == "segmentation":
        rows = confidences(table)
    elif kind == "detection":
        rows = _of_boxes(table, classes)
    else:
        rows = _of_labels(table) if kind == "multilabel" else _of_classes(table)
    return sum_by_unit(rows, units.of, units.number), units


def _of_labels(table: pa.Table) -> Floats:
    logits, target = scores(table).astype(np.float64), targets(table)
    chance = 1 / (1 + np.exp(-np.clip(logits, -700, 700)))
    row = np.repeat(np.arange(len(target)), target.shape[1])
    return tally(row, len(target), chance.ravel(), target.ravel(), ((chance - target) ** 2).ravel())


def _of_classes(table: pa.Table) -> Floats:
    logits, target = scores(table).astype(np.float64), targets(table)
    chance = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    chance /= chance.sum(axis=1, keepdims=True)
    row, best = np.arange(len(target)), logits.argmax(axis=1) if len(logits) else target
    error = ((chance - np.eye(logits.shape[1])[target]) ** 2).sum(axis=1)
    return tally(row, len(target), chance[row, best], best == target, error)


def _of_boxes(table: pa.Table, classes: int) -> Floats:
    matching, _ = match_boxes(table, classes)
    pairs = [(row, verdict) for label in range(classes) for row, verdict in verdicts(matching, label, len(table))]
    none = np.zeros(0)
    sure, right, ignored = (
        np.concatenate([none, *(np.asarray(verdict[name])[at] for _, verdict in pairs)])
        for name, at in (("dtScores", ...), ("dtMatches", 0), ("dtIgnore", 0))
    )
    row = np.repeat([row for row, _ in pairs], [len(verdict["dtScores"]) for _, verdict in pairs]).astype(np.int64)
    row, sure, right = (
        values[ignored == 0] for values in (row, sure, right > 0)
    )  # boxes in a crowd are neither right nor wrong
    return tally(row, len(table), sure, right, (sure - right) ** 2)
