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
    honest, sure = (calibration.figures(single(40_000, temperature), CLASSES) for temperature in (1.0, 0.5))
    assert honest["ece"] < 0.01 < 0.05 < sure["ece"]
    assert honest["brier"] < sure["brier"]


def test_the_expected_error_is_that_of_bins_by_hand() -> None:
    # Confidences 0.9 (right), 0.9 (wrong) and 0.58 (right): |0.9 - 0.5| of two answers, |0.58 - 1| of one.
    logits = np.log([[0.9, 0.1], [0.9, 0.1], [0.42, 0.58]])
    table = predictions.gathered([predicted.part(["a", "b", "c"], np.array([0, 1, 1]), logits)])
    found = calibration.figures(table, CLASSES[:2])
    assert found["ece"] == pytest.approx((2 * 0.4 + 0.42) / 3, rel=1e-6)
    assert found["brier"] == pytest.approx((2 * 0.01 + 2 * 0.81 + 2 * 0.42**2) / 3, rel=1e-6)
    assert calibration.reliability_of(table, CLASSES[:2]).counts.tolist() == [0] * 8 + [1] + [0] * 4 + [2, 0]


def test_brier_scores_are_scikit_learns() -> None:
    for table in (single(300), several(300)):
        logits, target = predictions.scores(table).astype(np.float64), predictions.targets(table)
        if target.ndim == 1:
            chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            expected = brier_score_loss(target, chance, labels=[0, 1, 2], scale_by_half=False)
        else:
            pairs = zip(target.T, 1 / (1 + np.exp(-logits.T)), strict=True)
            expected = np.mean([brier_score_loss(*pair) for pair in pairs])
        assert calibration.figures(table, CLASSES)["brier"] == pytest.approx(expected, rel=1e-9)


def test_of_no_sample_nothing_is_known() -> None:
    for kind in ("multiclass", "multilabel"):
        table = predictions.gathered([predicted.nothing(kind)])
        assert calibration.figures(table, CLASSES) == {"ece": None, "brier": None, "bins": predictions.BINS}


def test_a_pixel_of_a_mask_counts_as_a_sample_of_its_class_and_unknown_ones_nowhere() -> None:
    torch = pytest.importorskip("torch", reason="torch is in the extra train: pip install 'sar-data[train]'")
    from sar_data.train.segment import confidence

    random = np.random.default_rng(0)
    logits, target = 2 * random.normal(size=(4, 3, 6, 5)).astype(np.float32), random.integers(0, 3, (4, 6, 5))
    target[0, 2:] = target[3] = 255
    sums = confidence(torch.from_numpy(logits), torch.from_numpy(target))
    places = ["north", "north", "south", "east"]
    table = predictions.gathered([predicted.pixels(list("abcd"), np.zeros((4, 3, 3), int), sums, places=places)])
    known = target != 255
    flat, names = logits.transpose(0, 2, 3, 1)[known], np.repeat(places, 30).reshape(4, 6, 5)[known].tolist()
    keys = [f"{i:03d}" for i in range(len(flat))]
    alone = predictions.gathered([predicted.part(keys, target[known], flat, places=names)])
    found, expected = (calibration.figures(one, CLASSES) for one in (table, alone))
    for name in ("ece", "brier"):
        assert found[name] == pytest.approx(expected[name], rel=1e-5)
        assert found["intervals"][name] is not None


def boxed(images: list[list[tuple[float, int, float]]]) -> pa.Table:
    """Return images with an object of class 0 each, and boxes of (score, class, overlap with it)."""
    rows = {
        "boxes": [[[0.0, 0.0, 100.0 * iou, 100.0] for *_, iou in one] for one in images],
        "box_scores": [[score for score, *_ in one] for one in images],
        "labels": [[label for _, label, _ in one] for one in images],
        "true_boxes": [[[0.0, 0.0, 100.0, 100.0]]] * len(images),
        "true_labels": [[0]] * len(images),
        "true_areas": [[10_000.0]] * len(images),
        "true_crowds": [[False]] * len(images),
    }
    keys = [f"i{i:03d}" for i in range(len(images))]
    return predictions.gathered([predictions.rows(keys, {name: pa.array(values) for name, values in rows.items()})])


def test_a_box_is_right_where_it_is_the_one_matched_at_an_overlap_of_a_half() -> None:
    # The first is matched, the second finds its object taken, one overlaps too little, one is of another class.
    table = boxed([[(0.9, 0, 0.8), (0.6, 0, 0.7)], [(0.3, 0, 0.4)], [(0.7, 1, 1.0)], [(0.5, 0, 0.51)]])
    found = calibration.figures(table, CLASSES[:2])
    assert found["ece"] == pytest.approx((0.1 + 0.6 + 0.3 + 0.7 + 0.5) / 5)
    assert found["brier"] == pytest.approx((0.01 + 0.36 + 0.09 + 0.49 + 0.25) / 5)
    assert calibration.reliability_of(table, CLASSES[:2]).right[13] == 1
    nothing = calibration.figures(boxed([[], []]), CLASSES[:2])
    assert nothing["ece"] is nothing["brier"] is None


def test_intervals_leave_out_whole_places() -> None:
    """The truth is known of invented places in which a model does better or worse: 95 % are to hold it."""
    random, hits = np.random.default_rng(1), np.zeros(2)
    for _ in range(60):
        place = np.repeat(np.arange(60), random.integers(10, 100, 60))
        sure = 0.5 + 0.5 * random.beta(3, 1, len(place))
        chance = sure - 0.1  # of being right, where no place is better than another
        right = random.random(len(place)) < chance + random.normal(0, 0.05, 60)[place]
        logits = np.log(np.stack([sure, 1 - sure], axis=1))
        keys, places = [f"{i:06d}" for i in range(len(place))], place.astype(str).tolist()
        table = predicted.part(keys, np.where(right, 0, 1), logits, places=places)
        found = calibration.figures(predictions.gathered([table]), CLASSES[:2])["intervals"]
        brier = 2 * np.mean(chance * (1 - sure) ** 2 + (1 - chance) * sure**2)
        hits += [low <= value <= high for (low, high), value in ((found["ece"], 0.1), (found["brier"], brier))]
    assert (hits >= 51).all()  # of 60 by chance: once in 700


def test_no_other_threshold_has_a_larger_f1() -> None:
    table = several(400)
    logits, target = predictions.scores(table), predictions.targets(table)
    limits = thresholds.choose(table)
    found = thresholds.figures(table, limits, CLASSES)["per_class"]
    for i, name in enumerate(CLASSES):
        tried = [f1_score(target[:, i], logits[:, i] >= value) for value in np.unique(logits[:, i])]
        assert found[name]["f1"] == pytest.approx(max(tried), rel=1e-12)
        assert found[name]["threshold"] == limits[i]


def test_thresholds_are_used_on_another_split_and_a_class_never_seen_keeps_a_half() -> None:
    val, test = several(500), several(500, seed=1)
    limits = thresholds.choose(val)
    found = thresholds.figures(test, limits, CLASSES)
    claim = 1 / (1 + np.exp(-predictions.scores(test).astype(np.float64))) > limits
    assert found["f1_macro"] == pytest.approx(f1_score(predictions.targets(test), claim, average="macro"), rel=1e-12)
    assert found["f1_micro"] == pytest.approx(f1_score(predictions.targets(test), claim, average="micro"), rel=1e-12)
    fixed = f1_score(predictions.targets(test), predictions.scores(test) > 0, average="macro")
    assert found["f1_macro"] > fixed + 0.02
    empty = predictions.gathered([predicted.part(["a", "b"], np.zeros((2, 3), int), np.ones((2, 3)))])
    assert thresholds.choose(empty).tolist() == [0.5, 0.5, 0.5]


def test_the_reliability_is_drawn(tmp_path: Path) -> None:
    boxes = boxed([[(0.9, 0, 0.8)], [(0.8, 1, 0.2)]])
    for name, table in {"sure": single(3000, 0.5), "labels": several(500), "one": single(1), "boxes": boxes}.items():
        path = tmp_path / f"{name}.png"
        reliability.draw(path, table, CLASSES, {"calibration": calibration.figures(table, CLASSES)}, name)
        assert imread(path).shape[0] > imread(path).shape[1] > 400
