"""Calibration is measured as published, thresholds are the best of the split that they are chosen on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.image import imread
from sklearn.metrics import brier_score_loss, f1_score

from sar_data.train import predictions
from sar_data.train.metrics import calibration, thresholds
from sar_data.train.pictures import reliability
from tests.train import predicted

CLASSES = ("water", "wood", "field")


def single(count: int, temperature: float = 1.0, seed: int = 0) -> pa.Table:
    """Return answers whose probabilities are true at temperature 1, and too sure below."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(count, 3))
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    target = (random.random((count, 1)) > chance.cumsum(axis=1)).sum(axis=1)
    return predictions.gathered([predicted.part([f"{i:06d}" for i in range(count)], target, logits / temperature)])


def several(count: int, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    target = (random.random((count, 3)) < (0.5, 0.2, 0.05)).astype(np.int64)
    logits = np.round(random.normal(size=(count, 3)) + 2 * target - 2, 1)  # ties
    return predictions.gathered([predicted.part([f"{i:06d}" for i in range(count)], target, logits)])


def test_true_probabilities_are_calibrated_and_sharpened_ones_are_not() -> None:
    honest, sure = (calibration.figures(single(40_000, temperature)) for temperature in (1.0, 0.5))
    assert honest["ece"] < 0.01 < 0.05 < sure["ece"]
    assert honest["brier"] < sure["brier"]


def test_the_expected_error_is_that_of_bins_by_hand() -> None:
    # Confidences 0.9 (right), 0.9 (wrong) and 0.58 (right): |0.9 - 0.5| of two answers, |0.58 - 1| of one.
    logits = np.log([[0.9, 0.1], [0.9, 0.1], [0.42, 0.58]])
    table = predictions.gathered([predicted.part(["a", "b", "c"], np.array([0, 1, 1]), logits)])
    found = calibration.figures(table)
    assert found["ece"] == pytest.approx((2 * 0.4 + 0.42) / 3, rel=1e-6)
    assert found["brier"] == pytest.approx((2 * 0.01 + 2 * 0.81 + 2 * 0.42**2) / 3, rel=1e-6)
    assert calibration.reliability_of(table).counts.tolist() == [0] * 8 + [1] + [0] * 4 + [2, 0]


def test_brier_scores_are_scikit_learns() -> None:
    for table in (single(300), several(300)):
        logits, target = predictions.scores(table).astype(np.float64), predictions.targets(table)
        if target.ndim == 1:
            chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            expected = brier_score_loss(target, chance, labels=[0, 1, 2], scale_by_half=False)
        else:
            pairs = zip(target.T, 1 / (1 + np.exp(-logits.T)), strict=True)
            expected = np.mean([brier_score_loss(*pair) for pair in pairs])
        assert calibration.figures(table)["brier"] == pytest.approx(expected, rel=1e-9)


def test_of_no_sample_nothing_is_known() -> None:
    for kind in ("multiclass", "multilabel"):
        table = predictions.gathered([predicted.nothing(kind)])
        assert calibration.figures(table) == {"ece": None, "brier": None, "bins": calibration.BINS}


def test_no_other_threshold_has_a_larger_f1() -> None:
    table = several(400)
    logits, target = predictions.scores(table), predictions.targets(table)
    limits = thresholds.chosen(table)
    found = thresholds.figures(table, limits, CLASSES)["per_class"]
    for i, name in enumerate(CLASSES):
        tried = [f1_score(target[:, i], logits[:, i] >= value) for value in np.unique(logits[:, i])]
        assert found[name]["f1"] == pytest.approx(max(tried), rel=1e-12)
        assert found[name]["threshold"] == limits[i]


def test_thresholds_are_used_on_another_split_and_a_class_never_seen_keeps_a_half() -> None:
    val, test = several(500), several(500, seed=1)
    limits = thresholds.chosen(val)
    found = thresholds.figures(test, limits, CLASSES)
    claim = 1 / (1 + np.exp(-predictions.scores(test).astype(np.float64))) > limits
    assert found["f1_macro"] == pytest.approx(f1_score(predictions.targets(test), claim, average="macro"), rel=1e-12)
    assert found["f1_micro"] == pytest.approx(f1_score(predictions.targets(test), claim, average="micro"), rel=1e-12)
    fixed = f1_score(predictions.targets(test), predictions.scores(test) > 0, average="macro")
    assert found["f1_macro"] > fixed + 0.02
    empty = predictions.gathered([predicted.part(["a", "b"], np.zeros((2, 3), int), np.ones((2, 3)))])
    assert thresholds.chosen(empty).tolist() == [0.5, 0.5, 0.5]


def test_the_reliability_is_drawn(tmp_path: Path) -> None:
    for name, table in (("sure", single(3000, 0.5)), ("labels", several(500)), ("none", single(1))):
        path = tmp_path / f"{name}.png"
        reliability.draw(path, calibration.reliability_of(table), name, right="share of right answers")
        assert imread(path).shape[0] > imread(path).shape[1] > 400
