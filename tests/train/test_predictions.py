"""Predictions of several ranks become one table: sorted, whole, without duplicates, and the same however they came."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sar_data.errors import RunError, UsageError
from sar_data.train import predictions
from tests.places import ROOT
from tests.train import predicted

PAGE = ROOT / "docs" / "metrics.md"
KEYS = [f"sample-{i:02d}" for i in range(24)]


def rows(numbers: Sequence[int], *, several: bool = False) -> pa.Table:
    """Return what a rank answers for these samples, which depends on nothing else."""
    scores = np.array([np.random.default_rng(i).normal(size=3) for i in numbers]).reshape(-1, 3)
    target = np.array([np.random.default_rng(i).integers(0, 2, 3) for i in numbers]).reshape(-1, 3)
    keys = [KEYS[i] for i in numbers]
    groups = [None if i % 5 == 0 else f"scene {i % 5}" for i in numbers]
    return predicted.part(keys, target if several else np.array(numbers, np.int64) % 3, scores, groups=groups)


@pytest.mark.parametrize("several", [False, True])
@settings(deadline=None, max_examples=30)
@given(ranks=st.lists(st.lists(st.integers(0, 23), unique=True), min_size=1, max_size=5), data=st.data())
def test_however_samples_were_dealt_the_table_is_the_same(
    several: bool, ranks: list[list[int]], data: st.DataObject
) -> None:
    seen = sorted({i for rank in ranks for i in rank})
    found = predictions.gathered(
        [
            rows(rank, several=several) if rank else predicted.nothing(("multiclass", "multilabel")[several])
            for rank in data.draw(st.permutations(ranks))
        ]
    )
    alone = predictions.gathered([rows(seen, several=several)])
    assert found.equals(alone)
    assert found["key"].to_pylist() == [KEYS[i] for i in seen]


def test_values_come_back_as_they_were_given() -> None:
    table = predictions.gathered([rows([5, 2]), rows([9])])
    assert predictions.targets(table).tolist() == [2, 2, 0]
    expected = np.random.default_rng(5).normal(size=3).astype(np.float32)
    assert predictions.scores(table)[1].tolist() == expected.tolist()
    assert table["group"].to_pylist() == ["scene 2", None, "scene 4"]
    labels = predictions.targets(predictions.gathered([rows([7], several=True)]))
    assert labels.tolist() == [np.random.default_rng(7).integers(0, 2, 3).tolist()]
    counts = np.arange(8).reshape(2, 2, 2)
    both = predictions.gathered([predicted.pixels(["b", "a"], counts)])
    assert predictions.confusions(both).tolist() == counts[::-1].tolist()


def test_what_only_pads_a_batch_is_left_out() -> None:
    table = predicted.part(["a", "b", "a"], np.zeros(3, np.int64), np.zeros((3, 2)), weight=np.array([1, 1, 0.0]))
    assert table["key"].to_pylist() == ["a", "b"]
    masks = predicted.pixels(["a", "a"], np.ones((2, 2, 2), np.int64), weight=np.array([1.0, 0.0]))
    assert len(masks) == 1


def test_position_is_the_place_in_the_order_of_evaluation() -> None:
    table = predictions.gathered([rows([4, 0]), rows([2])], expected=[KEYS[2], KEYS[4], KEYS[0]])
    assert dict(zip(table["key"].to_pylist(), table["position"].to_pylist(), strict=True)) == {
        KEYS[2]: 0,
        KEYS[4]: 1,
        KEYS[0]: 2,
    }
    assert predictions.gathered([rows([4, 0])])["position"].to_pylist() == [0, 1]
    assert predictions.gathered([table]).drop_columns("position").equals(table.drop_columns("position"))


def test_missing_and_strange_keys_are_named() -> None:
    with pytest.raises(RunError, match="expected 3 keys, found 2: 1 are missing, such as sample-07"):
        predictions.gathered([rows([4, 0])], expected=[KEYS[0], KEYS[4], KEYS[7]])
    with pytest.raises(RunError, match="1 are not of the split, such as sample-04"):
        predictions.gathered([rows([4, 0])], expected=[KEYS[0]])
    with pytest.raises(UsageError, match="a part of every rank, found none"):
        predictions.gathered([])


def test_ranks_that_disagree_on_a_key_are_an_error_and_rounding_is_none() -> None:
    first = predicted.part(["a"], np.array([1]), np.array([[1.0, 2.0]]))
    rounded = predicted.part(["a"], np.array([1]), np.array([[1.0, 2.001]]))
    assert predictions.scores(predictions.gathered([first, rounded])).tolist() == [[1.0, 2.0]]
    for other, what in (
        (predicted.part(["a"], np.array([0]), np.array([[1.0, 2.0]])), "target: 1 and 0"),
        (predicted.part(["a"], np.array([1]), np.array([[1.0, 2.5]])), "scores"),
        (predicted.part(["a"], np.array([1]), np.array([[1.0, 2.0, 3.0]])), "scores"),
        (predicted.part(["a"], np.array([1]), np.array([[1.0, 2.0]]), groups=["x"]), "group: None and x"),
    ):
        with pytest.raises(RunError, match=f"a: two ranks disagree on its {what}"):
            predictions.gathered([first, other])


def test_scores_that_are_no_numbers_are_refused_with_their_keys() -> None:
    for value in (np.nan, np.inf):
        wrong = predicted.part(["a", "b"], np.zeros(2, np.int64), np.array([[0.0, 1.0], [value, 0.0]]))
        with pytest.raises(RunError, match=r"NaN or infinity for 1 samples, such as b"):
            predictions.gathered([wrong])


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    for target, scores, keys in (
        (np.zeros(2), np.zeros((3, 4)), "abc"),
        (np.zeros((3, 3)), np.zeros((3, 4)), "abc"),
        (np.zeros(3), np.zeros(3), "abc"),
    ):
        with pytest.raises(UsageError, match=r"expected targets \[B\]"):
            predicted.part(list(keys), target, scores)
    with pytest.raises(UsageError, match="expected 1 values a column"):
        predicted.part(["a"], np.zeros(1), np.zeros((1, 2)), groups=[])
    with pytest.raises(UsageError, match="expected 2 values a column"):
        predicted.part(["a", "b"], np.zeros(3), np.zeros((3, 4)))
    mixed = predictions.gathered([predicted.part([k], np.zeros(1), np.zeros((1, n))) for k, n in (("b", 2),)])
    uneven = pa.concat_tables([mixed, mixed.set_column(2, "scores", pa.array([[0.0]], pa.list_(pa.float32())))])
    with pytest.raises(RunError, match=r"rows of one length, found \[1, 2\]"):
        predictions.scores(uneven)


@pytest.mark.parametrize("several", [False, True])
def test_a_file_holds_every_split_and_the_names_of_the_classes(several: bool, tmp_path: Path) -> None:
    splits = {
        "val": predictions.gathered([rows([1, 2], several=several)]),
        "test": predictions.gathered([rows([5, 3, 8], several=several)]),
    }
    predictions.write(tmp_path / predictions.NAME, splits, ("wood", "open water", "Übriges"))
    back, classes = predictions.read(tmp_path / predictions.NAME)
    assert classes == ("wood", "open water", "Übriges")
    assert list(back) == ["val", "test"]
    assert all(back[name].equals(table) for name, table in splits.items())
    assert [path.name for path in tmp_path.iterdir()] == [predictions.NAME]


def test_what_is_no_table_of_predictions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / predictions.NAME
    with pytest.raises(RunError, match="expected the predictions of a run"):
        predictions.read(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(RunError, match="expected the predictions of a run"):
        predictions.read(path)


def test_what_the_page_shows_runs(tmp_path: Path) -> None:
    table = predictions.gathered([rows(range(24))])
    predictions.write(tmp_path / predictions.NAME, {"test": table}, ("wood", "water", "field"))
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"run": tmp_path}
    exec(compile(snippet, str(PAGE), "exec"), names)
    assert names["test"]["count"] == 24
