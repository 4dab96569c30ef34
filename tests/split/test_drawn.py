"""Folds, units of equal classes, and data that grow: what holds for every policy that draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sar_data.errors import SplitError, UsageError
from sar_data.record import Record
from sar_data.split.blocks import Blocks
from sar_data.split.cost import split_cost
from sar_data.split.drawn import Drawn
from sar_data.split.ground.leakage import touching_share
from sar_data.split.group import Group
from sar_data.split.policy import SPLITS, Assignment
from sar_data.split.random import Random
from sar_data.split.shares import class_shares
from sar_data.split.stratified import Stratified

from . import counts, lattice, place, record

DRAWN: list[Drawn] = [Random(), Stratified(), Group(), Group(stratified=True), Blocks(size=3, buffer=0)]
each = pytest.mark.parametrize("policy", DRAWN, ids=lambda p: f"{type(p).__name__}{'+' * getattr(p, 'stratified', 0)}")


def scenes(count: int, classes: int, seed: int) -> list[Record]:
    """Return samples of scenes of unequal size, each of which is rich in a few classes."""
    rng = np.random.default_rng(seed)
    common = np.geomspace(0.5, 0.02, classes)
    found = []
    for scene in range(count):
        odds = np.clip(common * rng.gamma(0.5, 2, classes), 0, 0.95)
        for i in range(int(rng.integers(5, 60))):
            labels = np.flatnonzero(rng.random(classes) < odds).tolist()
            found.append(record(f"{scene}_{i}", *labels, group=f"scene {scene}"))
    return found


def worst(records: Sequence[Record], made: Assignment, classes: int) -> float:
    """Return the largest distance of a class share of a split from that of all."""
    shares = class_shares(records, made.split, range(classes))  # type: ignore[arg-type]
    whole = np.mean([np.isin(range(classes), one.labels["classes"]) for one in records], axis=0)
    return float(max(np.abs(np.subtract(shares[name], whole)).max() for name in SPLITS))


@each
def test_folds_test_every_sample_once_in_equal_parts(policy: Drawn) -> None:
    records = lattice(18, 18) if isinstance(policy, Blocks) else scenes(60, 4, seed=1)
    made = [place(dataclasses.replace(policy, folds=5, fold=i), records, seed=3).split for i in range(5)]
    tested = np.array([[split == "test" for split in one] for one in made])
    assert (tested.sum(axis=0) == 1).all()
    for i in range(5):
        assert [s == "val" for s in made[i]] == [s == "test" for s in made[(i + 1) % 5]]
    without = place(dataclasses.replace(policy, val=0, folds=5), records, seed=3)
    assert [s == "test" for s in without.split] == tested[0].tolist()
    assert "val" not in without.split
    assert np.ptp(tested.sum(axis=1)) < 0.2 * len(records)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"folds": 1}, r"split folds: expected 3 \(for train, val and test\) to 100, found 1"),
        ({"folds": 2}, "split folds: expected 3"),
        ({"folds": 101}, "to 100, found 101"),
        ({"folds": 1, "val": 0, "test": 0.2}, r"split folds: expected 2 \(for train and test\) to 100, found 1"),
        ({"folds": 5, "fold": 5}, "split fold: expected 0 to 4, found 5"),
        ({"folds": 5, "fold": -1}, "split fold: expected 0 to 4, found -1"),
        ({"fold": 1}, "split fold: expected none without folds, found 1"),
    ],
)
def test_impossible_folds_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Group(**fields)  # type: ignore[arg-type]


def test_more_folds_than_units_are_an_error() -> None:
    with pytest.raises(SplitError, match="expected at least 5 units, found 3"):
        place(Group(folds=5), [record(f"{i}", group=f"{i % 3}") for i in range(30)])


def test_stratified_units_keep_class_shares_better_than_plain_units() -> None:
    plain, balanced = [], []
    for seed in range(5):
        records = scenes(150, 8, seed)
        plain.append(worst(records, place(Group(), records, seed), 8))
        made = place(Group(stratified=True), records, seed)
        balanced.append(worst(records, made, 8))
        homes = {(one.group, split) for one, split in zip(records, made.split, strict=True)}
        assert len(homes) == 150  # no scene is torn
        assert abs(counts(made)["train"] / len(records) - 0.8) < 0.03
    assert max(balanced) < 0.04 < 0.08 < np.mean(plain)


@pytest.mark.parametrize("units", [1, 2, 3, 5, 8])
def test_no_split_is_empty_with_enough_units(units: int) -> None:
    records = [record(f"{i}", i % units, group=f"{i % units}") for i in range(10 * units)]  # a class a unit
    found = counts(place(Group(stratified=True), records))
    assert len(found) == min(units, 3)
    assert found["train"] >= 10 * max(units - 2, 1)


def test_stratified_blocks_of_single_labels_are_exact_to_a_unit() -> None:
    records = [record(f"{i}", i // 100 % 4, group=f"{i // 5}") for i in range(2000)]
    made = place(Group(stratified=True, train=0.6, val=0.2, test=0.2), records)
    for label in range(4):
        homes = [s for one, s in zip(records, made.split, strict=True) if one.labels["classes"] == (label,)]
        for name, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
            assert abs(homes.count(name) - share * 500) <= 5


def test_stratified_blocks_do_not_touch() -> None:
    records = [dataclasses.replace(one, labels={"classes": (i // 60 // 15,)}) for i, one in enumerate(lattice(60, 60))]
    whole = place(Blocks(size=5, buffer=0, stratified=True), records)  # 36 blocks of each class
    for label in range(4):
        homes = [s for one, s in zip(records, whole.split, strict=True) if one.labels["classes"] == (label,)]
        assert abs(homes.count("train") - 0.8 * 900) < 25  # one block
        assert abs(homes.count("test") - 0.1 * 900) < 25
    made = place(Blocks(size=5, stratified=True), records)
    assert touching_share(records, made.split) == 0.0
    assert 0 < counts(made)["unused"] < 0.2 * len(records)


@each
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.1, 0.9))
def test_growing_data_keep_their_split(policy: Drawn, seed: int, share: float) -> None:
    records = lattice(12, 12) if isinstance(policy, Blocks) else scenes(30, 3, seed=2)
    old = [one for one, x in zip(records, np.random.default_rng(seed).random(len(records)), strict=True) if x < share]
    old = old or records[:1]
    before = place(policy, old, seed)
    kept = {one.key: split for one, split in zip(old, before.split, strict=True)}
    after = policy.keep(records, kept=kept, seed=seed + 1)
    now = dict(zip([one.key for one in records], after.split, strict=True))
    assert {key: now[key] for key in kept} == kept
    assert after.notes["kept"] == {"records": len(old), "new": len(records) - len(old), "gone": 0}
    if not isinstance(policy, Random | Stratified | Blocks):
        assert len({(one.group, now[one.key]) for one in records}) == len({one.group for one in records})


def test_a_group_split_changes_with_new_data_unless_kept() -> None:
    records = scenes(100, 3, seed=4)
    old = records[: int(0.95 * len(records))]
    first = place(Group(), old).split
    moved = np.mean([a != b for a, b in zip(first, place(Group(), records).split, strict=False)])
    assert moved > 0.05
    kept = dict(zip([one.key for one in old], first, strict=True))
    assert Group().keep(records, kept=kept, seed=0).split[: len(old)] == first


def test_new_units_fill_the_smallest_splits() -> None:
    records = [record(f"{i}", group=f"{i // 10}") for i in range(1000)]
    kept = {one.key: "train" for one in records[:500]}
    found = counts(Group(train=0.5, val=0.25, test=0.25).keep(records, kept=kept, seed=0))
    assert (found["train"], found["val"], found["test"]) == (500, 250, 250)
    found = counts(Stratified(train=0.5, val=0.25, test=0.25).keep(records, kept=kept, seed=0))
    assert (found["train"], found["val"], found["test"]) == (500, 250, 250)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 9999))
def test_new_patches_give_way_to_kept_ones(seed: int) -> None:
    records = lattice(24, 24)
    rng = np.random.default_rng(seed)
    old = [one for one, x in zip(records, rng.random(len(records)), strict=True) if x < 0.5]
    policy = Blocks(size=4, train=0.6, val=0.2, test=0.2)
    before = place(policy, old, seed)
    kept = {one.key: split for one, split in zip(old, before.split, strict=True)}
    after = policy.keep(records, kept=kept, seed=seed)
    now = dict(zip([one.key for one in records], after.split, strict=True))
    assert all(now[key] == split for key, split in kept.items() if split != "unused")
    assert touching_share(records, after.split) == 0.0
    swapped = [{"val": "test", "test": "val"}.get(split, split) for split in after.split]
    assert touching_share(records, swapped) == 0.0


def test_a_kept_split_that_divides_a_unit_is_refused() -> None:
    records = [record(f"{i}", group=f"g{i // 2}") for i in range(4)]
    with pytest.raises(SplitError, match=r"g0: expected its records in one split .* found train and test \(1 such\)"):
        Group().keep(records, kept={"0": "train", "1": "test"}, seed=0)


def test_folds_cannot_keep_a_split() -> None:
    with pytest.raises(UsageError, match="`folds=5`: expected shares where the split of a build is kept"):
        Group(folds=5).keep([], kept={}, seed=0)


@dataclass
class Part:
    count: int
    class_shares: dict[str, float]


def test_the_cost_of_a_split_counts_buffers_and_class_deviations() -> None:
    parts = {
        "train": Part(60, {"water": 0.5, "wood": 0.1}),
        "val": Part(20, {"water": 0.5, "wood": 0.1}),
        "test": Part(20, {"water": 0.6, "wood": 0.05}),
    }
    price = split_cost(parts, {"buffer: within 1 patch of val": 10, "snow": 7})
    assert (price.buffered, price.of, price.split, price.label) == (10, 110, "test", "water")
    assert price.deviation == pytest.approx(0.08)  # of 0.52 in all
    assert price.sentence() == (
        "10 of 110 samples (9.1%) lie in buffers; class shares are up to 8.0 points off (water in test)"
    )
    assert split_cost({"train": Part(5, {}), "val": Part(0, {})}, {}).sentence() == ""
    assert split_cost({"train": Part(0, {})}, {}).of == 0
