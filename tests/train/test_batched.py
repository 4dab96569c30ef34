"""FG-MAE's per-batch figures are those of torchmetrics 0.11.4, and docs/metrics.md shows what they do."""

from __future__ import annotations

import numpy as np
import pytest

from sar_data.errors import UsageError
from sar_data.train import metrics, predictions
from sar_data.train.metrics import batched
from tests.bench import batched as page
from tests.places import ROOT
from tests.train import predicted

NUMBERS = np.arange(50)
SINGLE = tuple("abcdefg")


def single() -> tuple[np.ndarray, np.ndarray]:
    """Return 50 targets of 7 classes, and scores that know a little of them."""
    target = NUMBERS * NUMBERS % 7
    scores = np.sin(np.outer(NUMBERS + 1, np.arange(1, 8))).astype(np.float32)
    scores[NUMBERS, target] += 0.8
    return target, scores


def several() -> tuple[np.ndarray, np.ndarray]:
    """Return 50 targets of 5 labels, and scores that know something of them."""
    target = (np.outer(NUMBERS, np.arange(1, 6)) % (5 + np.arange(5)) < 2).astype(np.int64)
    return target, np.sin(np.outer(NUMBERS + 1, np.arange(1, 6))).astype(np.float32) + target


def gathered(target: np.ndarray, scores: np.ndarray, keys: list[str] | None = None) -> predictions.pa.Table:
    keys = keys or [f"{i:02d}" for i in range(len(target))]
    return predictions.gathered([predicted.part(keys, target, scores)], expected=keys)


# Expected: multiclass_accuracy, multilabel_average_precision and multilabel_f1_score of torchmetrics 0.11.4, a batch
# of 8 at a time, averaged with the batches' sizes as weights; its arithmetic is float32.
def test_accuracies_are_those_of_torchmetrics_0_11() -> None:
    found = batched.rescore_batches(gathered(*single()), SINGLE, 8)
    assert found["oa"] == pytest.approx(0.56, abs=1e-6)
    assert found["aa"] == pytest.approx(0.30666667759418487, abs=1e-6)
    assert found["aa"] < metrics.figures(gathered(*single()), SINGLE)["aa"] - 0.2


def test_precisions_and_f1_are_those_of_torchmetrics_0_11() -> None:
    found = batched.rescore_batches(gathered(*several()), tuple("abcde"), 8)
    expected = (0.7582092666625977, 0.7568698525428772, 0.6854303526878357, 0.6678187870979309)
    assert [found[name] for name in ("map_micro", "map_macro", "f1_micro", "f1_macro")] == pytest.approx(
        expected, abs=1e-6
    )


def test_one_batch_of_everything_differs_only_by_absent_classes() -> None:
    table, classes = gathered(*single()), (*SINGLE, "never")
    wider = gathered(single()[0], np.pad(single()[1], ((0, 0), (0, 1)), constant_values=-9))
    whole, one = metrics.figures(table, SINGLE), batched.rescore_batches(table, SINGLE, 1000)
    present = len(SINGLE) - len(whole["without_support"])
    assert one["oa"] == pytest.approx(whole["oa"])
    assert one["aa"] == pytest.approx(whole["aa"] * present / len(SINGLE))
    assert batched.rescore_batches(wider, classes, 1000)["aa"] == pytest.approx(whole["aa"] * present / len(classes))


def test_batches_follow_the_order_of_evaluation_and_not_the_keys() -> None:
    target, scores = single()
    plain = batched.rescore_batches(gathered(target, scores), SINGLE, 8)
    turned = batched.rescore_batches(gathered(target, scores, [f"{99 - i}" for i in range(50)]), SINGLE, 8)
    sorted_anew = predictions.gathered([gathered(target, scores, [f"{i * 7 % 50:02d}" for i in range(50)])])
    assert turned == plain
    assert batched.rescore_batches(sorted_anew, SINGLE, 8)["aa"] != plain["aa"]


def test_labels_that_a_batch_has_no_positive_of_are_left_out_of_its_mean() -> None:
    target = np.array([[1, 0], [1, 0]])
    found = batched.rescore_batches(gathered(target, np.zeros((2, 2))), ("a", "b"), 2)
    assert (found["map_macro"], found["f1_macro"]) == (1.0, 0.0)
    nothing = batched.rescore_batches(gathered(np.zeros((2, 2), int), np.zeros((2, 2))), ("a", "b"), 2)
    assert nothing["map_micro"] is None


def test_an_empty_split_has_no_figures_and_segmentation_is_refused() -> None:
    for kind in ("multiclass", "multilabel"):
        found = batched.rescore_batches(predictions.gathered([predicted.nothing(kind)]), SINGLE, 16)
        assert {value for name, value in found.items() if name in metrics.titles()} == {None}
    with pytest.raises(UsageError, match="expected class predictions"):
        batched.rescore_batches(predictions.gathered([predicted.nothing("segmentation")]), SINGLE, 16)
    with pytest.raises(UsageError, match="found batch 0"):
        batched.rescore_batches(gathered(*single()), SINGLE, 0)


def test_the_tables_of_the_page_are_what_its_command_prints() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    lines = list(page.lines())
    assert "\n".join(lines) in text
    diary = {"0.798 / 0.786": (2, 0.644), "0.853 / 0.846": (3, 0.818), "0.755 / 0.741": (1, 0.431)}
    for line in lines[2:5]:
        cells = line.strip("| ").split(" | ")
        column, printed = diary[cells[0]]
        middle, spread = map(float, cells[column].split(" ± "))
        assert abs(middle - printed) <= max(2 * spread, 0.01)
