from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from sar_data.errors import SplitError, UsageError
from sar_data.record import Record, SourceFile
from sar_data.split.shares import class_shares
from sar_data.split.stratified import SklearnStratified, Stratified, stratified_draw

from . import counts, place, record


def many(n: int, frequencies: list[float], seed: int) -> list[Record]:
    drawn = np.random.default_rng(seed).random((n, len(frequencies))) < frequencies
    return [record(f"patch_{i}", *np.flatnonzero(row).tolist()) for i, row in enumerate(drawn)]


@pytest.mark.parametrize("n", [2_000, 20_000])
def test_nineteen_labels_keep_their_shares_within_one_point(n: int) -> None:
    records = many(n, np.geomspace(0.4, 0.003, 19).tolist(), seed=1)
    result = place(Stratified(), records)
    shares = class_shares(records, result.split, range(19))  # type: ignore[arg-type]
    for name in ("val", "test"):
        assert np.abs(np.subtract(shares["train"], shares[name])).max() < 0.01
    assert abs(counts(result)["train"] / n - 0.8) < 0.005


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6), seed=st.integers(0, 999))
def test_single_labels_are_exact_to_one_sample(sizes: list[int], seed: int) -> None:
    records = [record(f"{c}_{i}", c) for c, size in enumerate(sizes) for i in range(size)]
    result = place(Stratified(train=0.6, val=0.2, test=0.2), records, seed)
    for label, size in enumerate(sizes):
        homes = [s for r, s in zip(records, result.split, strict=True) if r.labels["classes"] == (label,)]
        for name, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
            assert abs(homes.count(name) - share * size) < 1 + 1e-9


def test_rounding_does_not_favour_val_over_test() -> None:
    records = [record(f"{c}_{i}", c) for c in range(40) for i in range(15)]
    found = counts(place(Stratified(), records))
    assert found == {"train": 480, "val": 60, "test": 60}


def test_samples_without_any_label_are_shared_out_too() -> None:
    assert counts(place(Stratified(), [record(f"{i}") for i in range(100)])) == {"train": 80, "val": 10, "test": 10}


def test_a_record_without_task_stops_the_split() -> None:
    with pytest.raises(SplitError, match=r"'a': expected the labels of a task, found none: use `split=random`"):
        place(Stratified(), [Record(key="a", files=())])


@pytest.mark.parametrize("seed", [0, 42])
@pytest.mark.parametrize("train", [0.8, 0.7, 0.5])
def test_the_draw_of_ten_land_cover_classes_is_that_of_scikit_learn(seed: int, train: float) -> None:
    sizes = [300, 300, 300, 250, 250, 200, 250, 300, 250, 300]
    labels = np.repeat(np.arange(10), sizes)
    expected, _ = train_test_split(np.arange(len(labels)), train_size=train, stratify=labels, random_state=seed)
    assert set(np.flatnonzero(stratified_draw(labels, train, seed))) == set(expected)


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 50), min_size=1, max_size=8),
    train=st.floats(0.2, 0.9),
    seed=st.integers(0, 2**32 - 1),
    shuffle=st.integers(0, 99),
)
def test_the_draw_of_any_classes_is_that_of_scikit_learn(
    sizes: list[int], train: float, seed: int, shuffle: int
) -> None:
    labels = np.random.default_rng(shuffle).permutation(np.repeat(np.arange(len(sizes)), sizes))
    try:
        expected, _ = train_test_split(np.arange(len(labels)), train_size=train, stratify=labels, random_state=seed)
    except ValueError:
        with pytest.raises(SplitError):
            stratified_draw(labels, train, seed)
    else:
        assert set(np.flatnonzero(stratified_draw(labels, train, seed))) == set(expected)


def test_records_are_drawn_in_the_order_of_a_sorted_walk() -> None:
    paths = [f"{name}/{name}_{i}.tif" for name in ("AnnualCrop", "Forest", "River") for i in range(1, 31)]
    records = [record(path, index // 30, path=path) for index, path in enumerate(paths)]
    walked = sorted(paths, key=lambda path: path.split("/"))
    assert walked != paths, "the tenth comes before the second"
    labels = [("AnnualCrop", "Forest", "River").index(path.split("/")[0]) for path in walked]
    expected, _ = train_test_split(np.arange(90), train_size=0.8, stratify=labels, random_state=42)
    result = place(SklearnStratified(), records, seed=42)
    train = {r.key for r, s in zip(records, result.split, strict=True) if s == "train"}
    assert train == {walked[i] for i in expected}
    assert counts(result) == {"train": 72, "test": 18}


def test_several_labels_a_record_are_refused_with_the_remedy() -> None:
    with pytest.raises(SplitError, match=r"'a': expected exactly one label, found 2: .*use `split=stratified`"):
        place(SklearnStratified(), [record("a", 0, 1), record("b", 0)])


@pytest.mark.parametrize(
    ("labels", "train", "seed", "message"),
    [
        ([], 0.8, 0, "expected records, found none"),
        ([0, 0, 1], 0.5, 0, "expected at least 2 records of each class, found 1 of class 1"),
        ([0, 0, 1, 1], 0.3, 0, "expected at least one train record for each of 2 classes, found room for 1"),
        ([0, 0, 1, 1], 0.8, 0, "expected at least one test record for each of 2 classes, found room for 1"),
        ([0, 0, 1, 1], 0.5, -1, "seed: expected 0 to 4294967295"),
        ([0, 0, 1, 1], 0.5, 2**32, "seed: expected 0 to 4294967295"),
    ],
)
def test_a_draw_that_scikit_learn_refuses_is_refused(labels: list[int], train: float, seed: int, message: str) -> None:
    records = [record(f"{i}", label) for i, label in enumerate(labels)]
    with pytest.raises(SplitError, match=message):
        place(SklearnStratified(train=train), records, seed)


def test_a_record_without_a_file_is_refused() -> None:
    bare = Record(key="a", files=(), labels={"classes": (0,)})
    with pytest.raises(SplitError, match="'a': expected a file to order it by"):
        place(SklearnStratified(), [bare, record("b", 0)])


def test_the_first_file_of_the_walk_orders_a_record_of_several() -> None:
    first = [
        Record(key=f"{i}", files=(SourceFile(f"{i}/b", 1), SourceFile(f"{i}/a", 1)), labels={"c": (0,)})
        for i in range(9)
    ]
    second = [
        Record(key=f"{i}", files=(SourceFile(f"{i}/a", 1), SourceFile(f"{i}/b", 1)), labels={"c": (0,)})
        for i in range(9)
    ]
    assert place(SklearnStratified(), first).split == place(SklearnStratified(), second).split


@pytest.mark.parametrize("train", [0.0, 1.0, -0.5, float("nan")])
def test_the_train_fraction_must_be_between_0_and_1(train: float) -> None:
    with pytest.raises(UsageError, match="expected more than 0 and less than 1"):
        SklearnStratified(train=train)
