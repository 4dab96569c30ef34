from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sar_data.errors import SplitError
from sar_data.split.group import Group

from . import counts, place, record


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12), seed=st.integers(0, 99))
def test_a_group_is_never_divided_and_train_is_never_empty(sizes: list[int], seed: int) -> None:
    records = [record(f"{g}_{i}", group=f"scene {g}") for g, size in enumerate(sizes) for i in range(size)]
    result = place(Group(train=0.2, val=0.4, test=0.4), records, seed)
    homes: dict[str | None, set[str]] = {}
    for one, split in zip(records, result.split, strict=True):
        homes.setdefault(one.group, set()).add(split)
    assert all(len(splits) == 1 for splits in homes.values())
    assert "train" in result.split
    assert result.notes == {"groups": len(sizes)}


def test_shares_are_met_within_a_group_where_groups_are_small() -> None:
    records = [record(f"{i}", group=f"{i // 5}") for i in range(1000)]
    found = counts(place(Group(), records))
    assert abs(found["train"] - 800) <= 5
    assert abs(found["val"] - 100) <= 5
    assert abs(found["test"] - 100) <= 5


def test_a_split_with_no_share_gets_no_group() -> None:
    records = [record(f"{i}", group=f"{i // 7}") for i in range(200)]
    assert counts(place(Group(train=0.5, val=0, test=0.5), records))["val"] == 0


def test_a_record_without_group_stops_the_split_and_names_the_remedy() -> None:
    with pytest.raises(SplitError, match=r"record 'b': expected a group, found none: use `split=random`"):
        place(Group(), [record("a", group="x"), record("b")])


def test_a_record_without_group_that_is_unused_stops_nothing() -> None:
    assert place(Group(), [record("a", group="x"), record("b", unused="void")]).split == ["train", "unused"]
