"""Differences of two models on the same samples: right where they differ, silent where they do not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sar_data.errors import RunError
from sar_data.train import predictions
from sar_data.train.metrics.paired import compare_predictions, holm
from tests.train import predicted

CLASSES = ("land", "sea")


def model(target: Any, right: Any, groups: int = 40) -> pa.Table:
    """Return the predictions of a model that is right where `right` says."""
    scores = np.eye(2)[np.where(right, target, 1 - target)]
    keys = [f"{i:05d}" for i in range(len(target))]
    return predictions.gathered(
        [predicted.part(keys, target, scores, groups=[f"g{i % groups}" for i in range(len(keys))])]
    )


def test_two_points_of_difference_are_found_where_intervals_overlap() -> None:
    random = np.random.default_rng(0)
    target = random.integers(0, 2, 4000)
    first = random.random(4000) < 0.85
    second = first | (random.random(4000) < 0.14)  # two points better, on the same samples
    found = compare_predictions(model(target, first), model(target, second), CLASSES)
    difference = found.differences["oa"]
    assert difference.value == pytest.approx(second.mean() - first.mean(), abs=1e-12)
    assert difference.low < difference.value < difference.high
    assert difference.low > 0
    assert difference.p < 0.01
    assert found.mcnemar is not None
    assert found.mcnemar < 1e-9
    assert (found.samples, found.method) == (4000, "jackknife-t over 40 groups")


def test_models_that_are_equally_good_differ_in_one_of_twenty_draws() -> None:
    random = np.random.default_rng(1)
    false = 0
    for _ in range(100):
        target = random.integers(0, 2, 300)
        one, other = (model(target, random.random(300) < 0.8) for _ in range(2))
        false += compare_predictions(one, other, CLASSES).differences["oa"].p < 0.05
    assert false <= 14  # of 100; of 5 expected, by chance 14 or more in fewer than one of 2,000 runs


def test_mcnemars_p_is_the_binomial_one() -> None:
    target = np.zeros(50, np.int64)
    first, second = np.ones(50, np.bool_), np.ones(50, np.bool_)
    first[:9], second[9:11] = False, False
    found = compare_predictions(model(target, first), model(target, second), CLASSES)
    assert found.mcnemar == pytest.approx(2 * sum(math.comb(11, k) for k in range(3)) / 2**11, rel=1e-12)
    same = compare_predictions(model(target, first), model(target, first), CLASSES)
    assert (same.mcnemar, same.differences["oa"].value, same.differences["oa"].p) == (1.0, 0.0, 1.0)


def test_only_common_samples_count_and_other_labels_are_refused() -> None:
    target = np.arange(60) % 2
    whole, part = model(target, target == 0), model(target[:40], target[:40] >= 0)
    assert compare_predictions(whole, part, CLASSES).samples == 40
    with pytest.raises(RunError, match="tested on the same labels"):
        compare_predictions(whole, model(1 - target, target == 0), CLASSES)
    with pytest.raises(RunError, match="some common samples"):
        compare_predictions(whole.slice(0, 10), whole.slice(20, 10), CLASSES)


def test_holms_correction_is_the_published_one() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.7, 0.8]) == [1.0, 1.0]
