"""Empty parts and classes that a part lacks are said, with a split that leaves out less, which is tried first."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sar_data.record import Record
from sar_data.split.blocks import Blocks
from sar_data.split.declared import Declared
from sar_data.split.drawn import Drawn
from sar_data.split.group import Group
from sar_data.split.missing_classes import find_better_split, find_missing_classes, warning
from sar_data.split.parse import parse
from sar_data.split.policy import SplitPolicy
from sar_data.split.random import Random
from sar_data.split.stratified import Stratified

from . import lattice, place, record

CLASSES = ("field", "urban", "water")
OFFERED: dict[str, SplitPolicy] = {"stratified": Stratified(), "random": Random(), "group": Group(), "blocks": Blocks()}


def chips() -> list[Record]:
    """Return 60 patches side by side: fields left of towns above water, and each class its own group."""
    return [
        dataclasses.replace(one, labels={"classes": (label,)}, group=CLASSES[label])
        for i, one in enumerate(lattice(10, 6))  # column by column
        for label in [0 if i < 30 else 1 + i % 6 // 3]
    ]


def said(name: str, policy: SplitPolicy, records: list[Record]) -> str:
    return warning((name, policy), OFFERED, records, place(policy, records), 0, CLASSES)


def test_smaller_blocks_are_tried_until_nothing_is_missing() -> None:
    records = chips()
    text = said("blocks", Blocks(size=5), records)
    assert text.startswith("split blocks (4 blocks): ")
    match = re.search(r"`split=(blocks:[^`]*)` leaves nothing out$", text)
    assert match is not None
    _, policy = parse(match[1], OFFERED)
    assert isinstance(policy, Blocks)
    assert policy.size < 5
    assert find_missing_classes(policy, records, place(policy, records).split).size == (0, 0)
    assert said("blocks", policy, records) == ""


def test_a_parameter_is_written_where_a_default_differs() -> None:
    split, _ = find_better_split("blocks", {"blocks": Blocks(size=2)}, Blocks(size=2), chips(), 0) or ("", None)
    _, policy = parse(split, {"blocks": Blocks()})
    assert isinstance(policy, Blocks)
    assert policy.size <= 2


def test_groups_equal_to_classes_leave_splits_empty_and_samples_fill_them() -> None:
    text = said("group", Group(), chips())
    assert "split group (3 groups): " in text
    assert "test is empty" in text
    assert text.endswith("`split=stratified` leaves nothing out, but separates samples that belong together")


def test_the_warning_says_where_no_split_helps() -> None:
    records = [record("a", 0)]
    assert said("stratified", Stratified(), records).endswith("more samples or other shares would fill it")


def test_classes_with_fewer_samples_than_parts_are_ignored() -> None:
    labels = [0] * 30 + [1] * 2
    records = [record(f"{i}", label) for i, label in enumerate(labels)]
    assert said("stratified", Stratified(), records) == ""


def test_a_part_without_a_share_is_not_missed() -> None:
    records = chips()
    assert said("stratified", Stratified(train=0.8, val=0, test=0.2), records) == ""
    assert said("stratified", Stratified(folds=5), records) == ""


def test_a_declared_split_gives_no_warning() -> None:
    records = [dataclasses.replace(record(f"{i}", 0), official="train") for i in range(9)]
    assert said("folders", Declared(otherwise="in no split"), records) == ""


@settings(max_examples=25, deadline=None)
@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=40), seed=st.integers(0, 99))
@pytest.mark.parametrize("policy", [Random(), Stratified(), Random(train=0.5, val=0, test=0.5)])
def test_missing_classes_are_those_of_a_plain_count(policy: Drawn, labels: list[int], seed: int) -> None:
    records = [record(f"{i}", label) for i, label in enumerate(labels)]
    split = place(policy, records, seed).split
    gaps = find_missing_classes(policy, records, split)
    parts = [part for part in ("train", "val", "test") if getattr(policy, part)]
    assert set(gaps.empty) == set(parts) - set(split)
    for part in set(parts) & set(split):
        here = {label for label, where in zip(labels, split, strict=True) if where == part}
        assert gaps.lacking.get(part, ()) == tuple(i for i in range(4) if labels.count(i) >= 3 and i not in here)
