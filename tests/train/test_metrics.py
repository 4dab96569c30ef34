"""Figures over a whole split equal scikit-learn's, however the samples were dealt to ranks."""

from __future__ import annotations

import json
import warnings

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from sar_data.errors import UsageError
from sar_data.train import metrics, predictions
from sar_data.train.metrics import areas
from tests.train import predicted

CLASSES = ("water", "wood", "field", "town", "never seen")
WIDTH = len(CLASSES)


def table(count: int, seed: int, *, several: bool = False, ties: bool = False) -> pa.Table:
    """Return answers that are better than chance; the last class is of no sample."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=(count, WIDTH))
    if several:
        target = (random.random((count, WIDTH)) < 0.3).astype(np.int8)
        target[:, -1] = 0
        scores += target
    else:
        target = random.integers(0, WIDTH - 1, count)
        scores[np.arange(count), target] += 1
    if ties:
        scores = np.round(scores)
    return predicted.part([f"{i:04d}" for i in range(count)], target, scores)


def dealt(whole: pa.Table, seed: int) -> pa.Table:
    """Gather a table anew from four ranks of unequal length, of which one saw nothing and one a sample twice."""
    owner = np.random.default_rng(seed).choice(3, len(whole), p=(0.7, 0.2, 0.1))
    parts = [whole.take(pa.array(np.flatnonzero(owner == rank))) for rank in range(3)]
    kind = "multilabel" if predictions.multilabel(whole) else "multiclass"
    return predictions.gathered([*parts, predicted.nothing(kind), whole.slice(0, 1)])


@settings(deadline=None, max_examples=25)
@given(count=st.integers(20, 200), seed=st.integers(0, 999))
def test_multiclass_figures_are_those_of_scikit_learn(count: int, seed: int) -> None:
    whole = table(count, seed)
    found = metrics.figures(dealt(whole, seed), CLASSES)
    true, claimed = predictions.targets(whole), predictions.scores(whole).argmax(axis=1)
    present = sorted(set(true.tolist()))
    assert found["oa"] == found["f1_micro"] == pytest.approx(oracle.accuracy_score(true, claimed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a class was never predicted, or never there
        assert found["aa"] == pytest.approx(oracle.recall_score(true, claimed, labels=present, average="macro"))
        assert found["f1_macro"] == pytest.approx(oracle.f1_score(true, claimed, labels=present, average="macro"))
        each = oracle.precision_recall_fscore_support(true, claimed, labels=range(WIDTH))
    for i, name in enumerate(CLASSES):
        row = found["per_class"][name]
        assert row["support"] == each[3][i]
        assert (row["precision"] or 0) == pytest.approx(each[0][i])
        assert (row["recall"] or 0) == pytest.approx(each[1][i])
        assert (row["f1"] or 0) == pytest.approx(each[2][i])
    assert found["count"] == count
    assert found["without_support"] == [name for i, name in enumerate(CLASSES) if i not in present]
    assert metrics.confusion(true, claimed, WIDTH).tolist() == (
        oracle.confusion_matrix(true, claimed, labels=range(WIDTH)).tolist()
    )


@settings(deadline=None, max_examples=25)
@given(count=st.integers(30, 200), seed=st.integers(0, 999), ties=st.booleans())
def test_multilabel_figures_are_those_of_scikit_learn(count: int, seed: int, ties: bool) -> None:
    whole = table(count, seed, several=True, ties=ties)
    found = metrics.figures(dealt(whole, seed), CLASSES)
    true, scores = predictions.targets(whole), predictions.scores(whole)
    present = np.flatnonzero(true.any(axis=0))
    assert found["map_micro"] == pytest.approx(oracle.average_precision_score(true, scores, average="micro"))
    assert found["map_macro"] == pytest.approx(
        oracle.average_precision_score(true[:, present], scores[:, present], average="macro")
    )
    sure = (scores > 0).astype(int)
    assert found["f1_micro"] == pytest.approx(oracle.f1_score(true, sure, average="micro"))
    assert found["f1_macro"] == pytest.approx(oracle.f1_score(true, sure, labels=present, average="macro"))
    assert found["per_class"][CLASSES[-1]]["ap"] is None
    assert CLASSES[-1] in found["without_support"]
    for i in present:
        assert found["per_class"][CLASSES[i]]["ap"] == pytest.approx(
            oracle.average_precision_score(true[:, i], scores[:, i])
        )


def test_a_class_that_is_claimed_but_absent_does_not_lower_the_average_accuracy() -> None:
    counts = np.array([[8, 2, 0], [0, 5, 5], [0, 0, 0]])
    found = metrics.multiclass(counts, ("a", "b", "c"))
    assert (found["oa"], found["aa"]) == (13 / 20, (0.8 + 0.5) / 2)
    assert found["per_class"]["c"] == {"precision": 0.0, "recall": None, "f1": 0.0, "support": 0}
    assert found["per_class"]["a"]["precision"] == 1.0


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "segmentation"])
def test_an_empty_split_has_no_figures_and_says_so_in_json(kind: str) -> None:
    found = metrics.figures(predictions.gathered([predicted.nothing(kind)] * 2), CLASSES)
    assert found["count"] == 0
    assert found["without_support"] == list(CLASSES)
    values = [value for name, value in found.items() if name in metrics.titles()]
    assert values
    assert set(values) == {None}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_one_sample_is_enough_and_equal_scores_go_to_the_first_class() -> None:
    one = predictions.gathered([predicted.part(["a"], np.array([0]), np.zeros((1, WIDTH)))])
    assert metrics.figures(one, CLASSES)["oa"] == 1.0


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(UsageError, match="expected 2 classes, found 5"):
        metrics.figures(predictions.gathered([table(4, 0)]), ("a", "b"))
    with pytest.raises(UsageError, match="targets: expected classes 0 to 1, found 0 to 2"):
        metrics.confusion(np.array([0, 2]), np.array([0, 0]), 2)


def masks(seed: int, count: int = 6) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    truth = random.choice([0, 1, 2, 255], (count, 5, 4), p=(0.5, 0.3, 0.1, 0.1)).astype(np.uint8)
    guess = np.where(random.random(truth.shape) < 0.6, truth, random.integers(0, 4, truth.shape))
    return truth, np.where(guess == 255, 3, guess).astype(np.int64)


@pytest.mark.parametrize("seed", range(5))
def test_areas_are_those_of_scikit_learn_and_add_up_over_ranks(seed: int) -> None:
    truth, guess = masks(seed)
    keys = [f"{i}" for i in range(len(truth))]
    counts = areas.count_confusions(truth, guess, 4)
    parts = [predicted.pixels(keys[a:b], counts[a:b]) for a, b in ((0, 1), (1, 1), (1, 6), (0, 2))]
    found = metrics.figures(predictions.gathered(parts), ("a", "b", "c", "nowhere"))
    true, claimed = truth[truth != 255], guess[truth != 255]
    assert counts.sum(axis=0).tolist() == oracle.confusion_matrix(true, claimed, labels=range(4)).tolist()
    present = [0, 1, 2]
    assert found["miou"] == pytest.approx(oracle.jaccard_score(true, claimed, labels=present, average="macro"))
    assert found["f1_macro"] == pytest.approx(oracle.f1_score(true, claimed, labels=present, average="macro"))
    assert found["pixel_accuracy"] == pytest.approx(oracle.accuracy_score(true, claimed))
    assert found["without_support"] == ["nowhere"]
    assert found["per_class"]["b"]["iou"] == pytest.approx(oracle.jaccard_score(true == 1, claimed == 1))


def test_pixels_that_are_ignored_count_nowhere_and_wrong_masks_are_refused() -> None:
    void = np.full((1, 2, 2), 255)
    assert areas.count_confusions(void, np.full((1, 2, 2), 77), 3).sum() == 0
    assert areas.count_confusions(np.zeros((0, 2, 2)), np.zeros((0, 2, 2)), 3).shape == (0, 3, 3)
    with pytest.raises(UsageError, match="predictions: expected classes 0 to 2, found 3 to 3"):
        areas.count_confusions(np.zeros((1, 2, 2)), np.full((1, 2, 2), 3), 3)
    with pytest.raises(UsageError, match=r"found \(1, 2, 2\) and \(1, 2, 3\)"):
        areas.count_confusions(np.zeros((1, 2, 2)), np.zeros((1, 2, 3)), 3)
