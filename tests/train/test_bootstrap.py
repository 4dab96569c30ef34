"""Intervals resample whole groups, equal figures of rows that are really repeated, and say what they resampled."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score

from sar_data.train import metrics, predictions
from sar_data.train.metrics import bootstrap
from sar_data.train.metrics.ranking import Ranking
from tests.train import predicted

CLASSES = ("water", "wood", "field")


def answers(kind: str, count: int = 90, groups: int | None = 7, seed: int = 0) -> pa.Table:
    """Return predictions that are good in some groups and bad in others."""
    random = np.random.default_rng(seed)
    keys = [f"{i:05d}" for i in range(count)]
    of = random.integers(0, groups or count, count)
    names = None if groups is None else [f"scene {g}" for g in of]
    if kind == "segmentation":
        counts = random.integers(0, 9, (count, 3, 3)) + 20 * np.eye(3, dtype=np.int64) * (of % 2).reshape(-1, 1, 1)
        return predictions.gathered([predicted.pixels(keys, counts, groups=names)])
    scores = random.normal(size=(count, 3))
    if kind == "multilabel":
        target = random.integers(0, 2, (count, 3))
        scores = np.round(scores + target * (of % 3).reshape(-1, 1), 1)  # ties
    else:
        target = random.integers(0, 3, count)
        scores[np.arange(count), target] += of % 3
    return predictions.gathered([predicted.part(keys, target, scores, groups=names)])


def repeated(table: pa.Table, weights: npt.NDArray[np.int32], units: npt.NDArray[np.int64]) -> pa.Table:
    """Return the table in which every row stands as often as its unit was drawn."""
    rows = np.repeat(np.arange(len(table)), weights[units])
    return table.take(pa.array(rows))


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "segmentation"])
@pytest.mark.parametrize("groups", [7, None])
def test_intervals_are_those_of_rows_that_are_really_repeated(kind: str, groups: int | None) -> None:
    table = answers(kind, groups=groups)
    found = bootstrap.intervals(table, CLASSES, resamples=60, seed=3)
    units, count, _ = bootstrap.unit_of(table)
    (weights,) = bootstrap.drawn(count, 60, 3, chunk=60)
    slow = [metrics.figures(repeated(table, row, units), CLASSES) for row in weights]
    names = [name for name in slow[0] if name in metrics.TITLES]
    assert set(names) == found.keys() - {"method", "level", "resamples", "seed"}
    for name in names:
        expected = np.percentile([figures[name] for figures in slow], (2.5, 97.5))
        assert found[name] == pytest.approx(list(expected), rel=1e-12)
        assert found[name][0] < found[name][1]


def test_draws_are_whole_and_do_not_depend_on_how_many_are_made_at_once() -> None:
    whole = np.concatenate(list(bootstrap.drawn(11, 50, 1, chunk=50)))
    assert whole.sum(axis=1).tolist() == [11] * 50
    assert np.array_equal(whole, np.concatenate(list(bootstrap.drawn(11, 50, 1, chunk=7))))
    assert not np.array_equal(whole, np.concatenate(list(bootstrap.drawn(11, 50, 2, chunk=50))))


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("multiclass", "multilabel", "segmentation"):
        table = answers(kind)
        before = bootstrap.intervals(table, CLASSES, resamples=40)
        with monkeypatch.context() as changed:
            changed.setattr(bootstrap, "MOST_CELLS", 1)
            assert bootstrap.intervals(table, CLASSES, resamples=40) == before


def test_what_was_resampled_is_told_and_patches_are_called_too_narrow() -> None:
    grouped, alone = answers("multiclass", groups=7), answers("multiclass", groups=None)
    assert bootstrap.unit_of(answers("multiclass", groups=10), "scenes")[2] == "group bootstrap over 10 scenes"
    assert bootstrap.unit_of(grouped, "scenes")[2] == "group bootstrap over 7 scenes: fewer than 10, too narrow"
    assert bootstrap.unit_of(alone)[2] == "patch bootstrap over 90 patches: no group known, too narrow"
    some = grouped.set_column(
        grouped.column_names.index("group"), "group", pa.array([*grouped["group"].to_pylist()[:-2], None, None])
    )
    units, count, method = bootstrap.unit_of(some, "scenes")
    assert method == "group bootstrap over 7 scenes and 2 patches of none: fewer than 10, too narrow"
    assert (count, units[-2:].tolist()) == (9, [7, 8])


@pytest.mark.parametrize(("count", "groups"), [(0, None), (1, None), (30, 1)])
def test_of_one_unit_there_is_no_interval(count: int, groups: int | None) -> None:
    table = (
        answers("multiclass", count=count, groups=groups)
        if count
        else predictions.gathered([predicted.nothing("multiclass")])
    )
    found = bootstrap.intervals(table, CLASSES)
    assert found["method"].startswith("no interval")
    assert "oa" not in found


def test_patches_alone_give_the_binomial_interval() -> None:
    random = np.random.default_rng(0)
    right = random.random(4000) < 0.8
    scores = np.stack([right, ~right], axis=1).astype(np.float32)
    keys = [f"{i:05d}" for i in range(4000)]
    table = predictions.gathered([predicted.part(keys, np.zeros(4000, np.int64), scores)])
    low, high = bootstrap.intervals(table, ("a", "b"))["oa"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / 4000), rel=0.1)
    assert low < right.mean() < high


def test_groups_that_differ_widen_the_interval() -> None:
    grouped = answers("multiclass", count=3000, groups=20)
    alone = grouped.set_column(grouped.column_names.index("group"), "group", pa.nulls(3000, pa.string()))
    wide, narrow = (np.ptp(bootstrap.intervals(table, CLASSES)["oa"]) for table in (grouped, alone))
    assert wide > 3 * narrow


def test_intervals_are_the_same_for_one_seed_and_go_into_json() -> None:
    table = answers("multilabel")
    found = bootstrap.intervals(table, CLASSES, resamples=30, seed=5)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found == bootstrap.intervals(table, CLASSES, resamples=30, seed=5)
    assert found != bootstrap.intervals(table, CLASSES, resamples=30, seed=6)


def test_a_figure_that_no_resample_has_is_null() -> None:
    keys = [f"{i}" for i in range(6)]
    table = predictions.gathered([predicted.part(keys, np.zeros((6, 2), int), np.ones((6, 2)))])
    found: dict[str, Any] = bootstrap.intervals(table, ("a", "b"), resamples=10)
    assert (found["map_micro"], found["map_macro"]) == (None, None)
    assert found["f1_micro"] == [0.0, 0.0]


@pytest.mark.parametrize("seed", range(8))
def test_weighted_precision_is_scikit_learns_with_sample_weights(seed: int) -> None:
    random = np.random.default_rng(seed)
    target = random.integers(0, 2, 60)
    values = np.round(random.normal(size=60) + target, 1)
    units = random.integers(0, 9, 60)
    weights = random.integers(0, 3, (5, 9)).astype(np.int32)
    found = Ranking(target, values, units).precision(weights)
    for row, value in zip(weights, found, strict=True):
        assert value == pytest.approx(average_precision_score(target, values, sample_weight=row[units]))
    assert np.isnan(Ranking(target, values, units).precision(np.zeros((1, 9), np.int32))).all()
