"""Calibration: are answers of 80 % right in 80 % of cases?

A sample's confidence is the largest share of the softmax; of several labels each pair of sample and class has the
sigmoid as its confidence in the label. Bins are equally wide (Guo et al. 2017). The expected error is biased upwards
where samples are few: it is compared at one number of samples only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.train.metrics.shares import number, share
from sar_data.train.predictions import multilabel, scores, targets

Floats = npt.NDArray[np.float64]
BINS = 15


class Reliability(NamedTuple):
    """Of each bin of confidence [bin]: answers, mean confidence and share of right ones (NaN in an empty bin)."""

    counts: Floats
    confidence: Floats
    right: Floats


def figures(table: pa.Table) -> dict[str, Any]:
    """Return `ece` and `brier` of a split's classes or labels, with the number of bins.

    `ece` is the mean difference of confidence and share of right answers over bins, weighted by their answers. `brier`
    is the mean squared difference of probabilities and truth: the sum over classes, 0 to 2 (Brier 1950), where a
    sample has one class, and the mean over pairs of sample and class, 0 to 1, where it may have several.
    """
    sure, right, brier = _answers(table)
    found = reliability(sure, right)
    gaps = np.where(found.counts > 0, found.counts * np.abs(found.confidence - found.right), 0.0)
    return {"ece": number(share(gaps.sum(), found.counts.sum())), "brier": number(brier), "bins": BINS}


def reliability_of(table: pa.Table) -> Reliability:
    """Return the bins of a split's answers."""
    sure, right, _ = _answers(table)
    return reliability(sure, right)


def reliability(confidence: Floats, right: npt.NDArray[np.bool_]) -> Reliability:
    """Return the bins of answers of some confidence, 0 to 1, that are right or not."""
    place = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)  # (0, 1/15], (1/15, 2/15], …
    counts, sums, hits = (np.bincount(place, weights, BINS) for weights in (None, confidence, right))
    return Reliability(counts.astype(np.float64), share(sums, counts), share(hits, counts))


def _answers(table: pa.Table) -> tuple[Floats, npt.NDArray[np.bool_], Any]:
    """Return confidence and right or not of each answer, and the Brier score."""
    logits, target = scores(table).astype(np.float64), targets(table)
    if multilabel(table):
        chance = 1 / (1 + np.exp(-np.clip(logits, -700, 700)))
        return chance.ravel(), target.ravel() == 1, share(((chance - target) ** 2).sum(), target.size)
    if not len(logits):
        return np.zeros(0), np.zeros(0, np.bool_), np.nan
    chance = np.exp(logits - logits.max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    truth = np.eye(logits.shape[1])[target]
    best = logits.argmax(axis=1)
    return chance[np.arange(len(best)), best], best == target, ((chance - truth) ** 2).sum(axis=1).mean()
