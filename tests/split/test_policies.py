"""What holds for every policy alike."""

from __future__ import annotations

import dataclasses
import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sar_data.errors import SplitError, UsageError
from sar_data.split.blocks import Blocks
from sar_data.split.group import Group
from sar_data.split.official import Official
from sar_data.split.policy import SplitPolicy
from sar_data.split.random import Random
from sar_data.split.stratified import SklearnStratified, Stratified

from . import by_key, lattice, place, record

RECORDS = [
    dataclasses.replace(one, attrs={"column": one.key.partition("_")[0], **one.attrs}) for one in lattice(12, 12)
]
KEYS = [one.key for one in RECORDS]
LISTS = {
    "train.csv": "\n".join(KEYS[:100]).encode(),
    "val.csv": "\n".join(KEYS[100:120]).encode(),
    "test.csv": "\n".join(KEYS[120:140]).encode(),
    "snow.csv": "\n".join(KEYS[140:]).encode(),
}
POLICIES: list[SplitPolicy] = [
    Random(),
    Stratified(),
    SklearnStratified(),
    Group(),
    Group(by="column", stratified=True),
    Group(by="column", folds=4, fold=1),
    Random(folds=4),
    Stratified(folds=4),
    Blocks(size=3),
    Blocks(size=3, stratified=True),
    Blocks(size=3, buffer=0),
    Official(exclude={"snow.csv": "snow"}, mapping=None),
]
FRACTIONS = [Random, Stratified, Group, Blocks]
each = pytest.mark.parametrize("policy", POLICIES, ids=lambda p: type(p).__name__)


@each
def test_every_key_has_one_split_and_only_unused_has_a_reason(policy: SplitPolicy) -> None:
    result = place(policy, RECORDS, lists=LISTS)
    assert "train" in result.split
    assert not result.bad


@each
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shuffle=st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(policy: SplitPolicy, seed: int, shuffle: random.Random) -> None:
    mixed = list(RECORDS)
    shuffle.shuffle(mixed)
    first = by_key(RECORDS, place(policy, RECORDS, seed, LISTS))
    assert by_key(mixed, place(policy, mixed, seed, LISTS)) == first


@each
@settings(max_examples=8, deadline=None)
@given(out=st.sets(st.sampled_from(range(40)), max_size=10))
def test_unused_records_stay_out_and_do_not_move_others(policy: SplitPolicy, out: set[int]) -> None:
    declared = [dataclasses.replace(r, unused="void" if i in out else None) for i, r in enumerate(RECORDS)]
    result = by_key(declared, place(policy, declared, lists=LISTS))
    without = [r for r in declared if r.unused is None]
    assert by_key(without, place(policy, without, lists=LISTS)).items() <= result.items()


@each
def test_a_key_that_occurs_twice_stops_the_split(policy: SplitPolicy) -> None:
    with pytest.raises(SplitError, match=r"'3_4': expected once among the records, found 2 times"):
        place(policy, [*RECORDS, RECORDS[3 * 12 + 4]], lists=LISTS)


@each
def test_a_policy_is_a_frozen_value_that_crosses_process_borders(policy: SplitPolicy) -> None:
    assert pickle.loads(pickle.dumps(policy)) == policy  # noqa: S301  our own bytes, as between processes
    assert hash(policy) == hash(dataclasses.replace(policy))  # type: ignore[type-var]
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.train = 0.5  # type: ignore[attr-defined]


@pytest.mark.parametrize("policy", [Random(), Stratified(), Group(), Blocks()], ids=lambda p: type(p).__name__)
def test_no_records_give_an_empty_assignment(policy: SplitPolicy) -> None:
    assert place(policy, []).split == []
    assert place(policy, [record("a", unused="void")]).reason == ["void"]


@pytest.mark.parametrize("policy", FRACTIONS)
@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((0.8, 0.1, 0.2), "expected a sum of 1, found 1.1"),
        ((0.7, 0.1, 0.1), "give all three"),
        ((1.2, -0.1, -0.1), "train: expected a number from 0 to 1, found 1.2"),
        ((0.8, 0.3, -0.1), "test: expected a number from 0 to 1, found -0.1"),
        ((float("nan"), 0.5, 0.5), "train: expected a number from 0 to 1, found nan"),
        ((0.0, 0.5, 0.5), "train: expected more than 0"),
    ],
)
def test_fractions_that_cannot_be_met_are_refused(
    policy: type[Random], shares: tuple[float, float, float], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        policy(train=shares[0], val=shares[1], test=shares[2])
