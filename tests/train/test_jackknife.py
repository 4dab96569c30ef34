"""Intervals leave out whole places or groups, by figures of rows that are really gone, and say what they left out."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import special, stats
from sklearn.metrics import average_precision_score

from sar_data.train import metrics, predictions
from sar_data.train.metrics import jackknife
from sar_data.train.metrics.ranking import Ranking
from sar_data.train.metrics.student import probability, quantile
from sar_data.train.metrics.units import MOST, Units, equal, unit_of
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


def without(table: pa.Table, units: Units, unit: int) -> pa.Table:
    """Return the table without the rows of a unit."""
    return table.filter(pa.array(units.of != unit))


def placed(table: pa.Table, places: list[str | None]) -> pa.Table:
    """Return the table with other places."""
    return table.set_column(table.column_names.index("place"), "place", pa.array(places, pa.string()))


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "segmentation"])
@pytest.mark.parametrize("groups", [7, None])
def test_replicates_are_the_figures_of_rows_that_are_really_left_out(kind: str, groups: int | None) -> None:
    table = answers(kind, count=40, groups=groups)
    units = unit_of(table)
    whole, left, _ = jackknife.replicates(table, 3, units)
    slow = [metrics.figures(without(table, units, unit), CLASSES) for unit in range(units.number)]
    expected = metrics.figures(table, CLASSES)
    names = [name for name in expected if name in metrics.titles()]
    each = [name for name in expected["per_class"]["water"] if name != "support"]
    assert {*names, *(f"{jackknife.BY_CLASS}{name}" for name in each)} == whole.keys()
    for name in names:
        assert whole[name] == pytest.approx(expected[name], rel=1e-12)
        assert left[name].tolist() == pytest.approx([figures[name] for figures in slow], rel=1e-12)
    for name in each:
        values = [[figures["per_class"][label][name] for label in CLASSES] for figures in slow]
        np.testing.assert_allclose(left[f"{jackknife.BY_CLASS}{name}"], values, rtol=1e-12)


def test_the_interval_is_students_t_times_the_jackknifes_deviation_of_the_logit() -> None:
    table = answers("multiclass", count=400, groups=12)
    units = unit_of(table)
    right = predictions.scores(table).argmax(axis=1) == predictions.targets(table)
    sizes = np.bincount(units.of)
    left = np.array([right[units.of != unit].mean() for unit in range(12)])
    moved = np.log(left / (1 - left)) - np.log(right.mean() / (1 - right.mean()))
    equal_less_one = sizes.sum() ** 2 / (sizes**2).sum() - 1
    allowed = 2 * 12 / (12 * (moved**4).sum() / (moved**2).sum() ** 2 - 1)
    half = stats.t.ppf(0.975, min(equal_less_one, allowed)) * np.sqrt(11 / 12 * (moved**2).sum())
    expected = special.expit(special.logit(right.mean()) + np.array([-half, half]))
    assert jackknife.intervals(table, CLASSES)["oa"] == pytest.approx(list(expected), rel=1e-4)


@pytest.mark.parametrize("df", [1.0, 1.3, 2.0, 4.0, 24.9, 399.0])
def test_students_t_is_scipys(df: float) -> None:
    for level in (0.5, 0.95, 0.99):
        assert quantile(level, df) == pytest.approx(stats.t.ppf((1 + level) / 2, df), rel=1e-3)
    for t in (0.0, 0.7, -2.5):
        assert probability(t, df) == pytest.approx(2 * stats.t.sf(abs(t), df), rel=1e-3)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("multiclass", "multilabel", "segmentation"):
        table = answers(kind)
        before = jackknife.intervals(table, CLASSES)
        with monkeypatch.context() as changed:
            changed.setattr(jackknife, "MOST_CELLS", 1)
            assert jackknife.intervals(table, CLASSES) == before


def test_a_place_comes_before_a_group_and_a_group_before_a_sample() -> None:
    grouped, alone = answers("multiclass", groups=7), answers("multiclass", groups=None)
    crossing = placed(grouped, [f"tile {i % 5}" for i in range(90)])
    assert unit_of(crossing)[1:] == (5, "place", "5 places")
    assert unit_of(grouped)[1:] == (7, "group", "7 groups")
    assert unit_of(alone)[1:] == (90, "sample", "90 samples of no place or group, too narrow")
    some = placed(alone, ["harbour", "harbour", *[None] * 88])
    assert unit_of(some)[1:] == (89, "place, sample", "1 place and 88 samples of no place or group, too narrow")
    assert unit_of(some).of[:2].tolist() == [0, 0]
    found = jackknife.intervals(crossing, CLASSES)
    assert (found["unit"], found["units"], found["method"]) == ("place", 5, "jackknife-t on the logit over 5 places")


def test_a_group_of_whole_places_is_left_out_at_once() -> None:
    names = answers("multiclass", groups=7)["group"].to_pylist()
    inside = placed(answers("multiclass", groups=7), [f"{name}, window {i % 3}" for i, name in enumerate(names)])
    assert unit_of(inside)[1:3] == (7, "group")


def test_more_units_than_400_are_put_together() -> None:
    table = answers("multiclass", count=1000, groups=None)
    units = unit_of(table)
    assert (units.number, np.bincount(units.of).min(), np.bincount(units.of).max()) == (MOST, 2, 3)
    assert units.text == "1,000 samples of no place or group, too narrow, put together at random to 400"


def test_units_of_unequal_size_and_of_one_class_each_are_told() -> None:
    assert equal(np.array([5.0, 5.0, 5.0])) == 3
    target = np.repeat([0, 1, 2], [50, 20, 20])
    scores = np.eye(3)[np.where(np.arange(90) % 4, target, 0)]
    serials = [f"serial {number}" for number in target]
    table = predictions.gathered([predicted.part([f"{i:02d}" for i in range(90)], target, scores, places=serials)])
    found = jackknife.intervals(table, CLASSES)
    told = "3 places; each has one class alone, so that units and classes cannot be told apart"
    assert found["method"] == f"jackknife-t on the logit over {told}"
    assert found["equal_units"] == pytest.approx(2.5, abs=0.05)
    assert found["per_class"]["water"]["recall"] is None  # of one serial nobody knows how others would do
    assert found["oa"] is not None
    larger = jackknife.intervals(answers("multiclass", count=90, groups=2).slice(0, 80), CLASSES)
    assert "class" not in larger["method"]


@pytest.mark.parametrize(("count", "groups"), [(0, None), (1, None), (30, 1)])
def test_of_one_unit_there_is_no_interval(count: int, groups: int | None) -> None:
    table = (
        answers("multiclass", count=count, groups=groups)
        if count
        else predictions.gathered([predicted.nothing("multiclass")])
    )
    found = jackknife.intervals(table, CLASSES)
    assert found["method"].startswith("no interval")
    assert "oa" not in found


def test_samples_alone_give_the_binomial_interval() -> None:
    random = np.random.default_rng(0)
    right = random.random(4000) < 0.8
    scores = np.stack([right, ~right], axis=1).astype(np.float32)
    keys = [f"{i:05d}" for i in range(4000)]
    table = predictions.gathered([predicted.part(keys, np.zeros(4000, np.int64), scores)])
    low, high = jackknife.intervals(table, ("a", "b"))["oa"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / 4000), rel=0.1)
    assert low < right.mean() < high


def test_groups_that_differ_widen_the_interval() -> None:
    grouped = answers("multiclass", count=3000, groups=20)
    alone = grouped.set_column(grouped.column_names.index("group"), "group", pa.nulls(3000, pa.string()))
    wide, narrow = (np.ptp(jackknife.intervals(table, CLASSES)["oa"]) for table in (grouped, alone))
    assert wide > 3 * narrow


def test_all_right_in_five_places_is_no_certainty() -> None:
    assert jackknife.interval(1.0, np.ones(5), np.full(5, 20.0)) == pytest.approx([0.025 ** (1 / 5), 1.0])
    assert jackknife.interval(0.0, np.zeros(5), np.full(5, 20.0)) == pytest.approx([0.0, 1 - 0.025 ** (1 / 5)])
    assert jackknife.interval(0.5, np.full(5, 0.5), np.full(5, 20.0)) is None
    low, high = jackknife.interval(0.99, np.array([1.0, 0.9875, 0.9875, 0.9875, 0.9875]), np.full(5, 20.0)) or (0, 0)
    assert 0.5 < low < 0.99 < high < 1  # all that is wrong lies in one place


def test_intervals_are_always_the_same_and_go_into_json() -> None:
    found = jackknife.intervals(answers("multilabel"), CLASSES)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found == jackknife.intervals(answers("multilabel"), CLASSES)


def test_a_figure_that_nothing_is_known_of_is_null() -> None:
    keys = [f"{i}" for i in range(6)]
    table = predictions.gathered([predicted.part(keys, np.zeros((6, 2), int), np.ones((6, 2)))])
    found: dict[str, Any] = jackknife.intervals(table, ("a", "b"))
    assert (found["map_micro"], found["map_macro"]) == (None, None)
    assert found["f1_micro"] == [0.0, pytest.approx(1 - 0.025 ** (1 / 6))]
    assert found["per_class"]["a"] == dict.fromkeys(("ap", "precision", "recall", "f1"))


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
