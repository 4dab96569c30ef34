from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sar_data.errors import SplitError, UsageError
from sar_data.split.ground.leakage import touching_share
from sar_data.split.group import Group
from sar_data.split.policy import parameters_of

from . import counts, lattice, place, record


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


def test_a_group_is_a_field_or_an_attribute() -> None:
    records = [
        dataclasses.replace(record(f"{i}", group=f"flight {i % 40}", attrs={"tile": f"{i % 20}"}), place=f"{i % 30}")
        for i in range(240)
    ]
    for by, count in (("group", 40), ("acquisition", 40), ("place", 30), ("tile", 20)):
        result = place(Group(by=by), records)
        assert result.notes == {"groups": count}
        homes = {(i % count, split) for i, split in enumerate(result.split)}
        assert len(homes) == count
    assert place(Group(by="acquisition"), records).split == place(Group(), records).split


def test_an_unknown_or_incomplete_unit_stops_the_split() -> None:
    records = [record("a", group="x", attrs={"tile": "1"}), record("b", group="x")]
    choices = "acquisition, group, place, tile"
    with pytest.raises(UsageError, match=rf"unknown unit of a group split 'mmsi'. There are: {choices}"):
        place(Group(by="mmsi"), records)
    with pytest.raises(SplitError, match=r"record 'b': expected a tile, found none: use `split=random`"):
        place(Group(by="tile"), records)
    with pytest.raises(SplitError, match=r"record 'a': expected a place, found none"):
        place(Group(by="place"), records)


def test_a_buffer_leaves_out_touching_train_records() -> None:
    records = [dataclasses.replace(one, place=one.group) for one in lattice(90, 30)]  # strips of nine columns
    bare, buffered = (place(Group(by="place", buffer=n), records) for n in (0, 1))
    assert (touching_share(records, bare.split) or 0) > 0
    assert touching_share(records, buffered.split) == 0.0
    lost = [a for a, b in zip(bare.split, buffered.split, strict=True) if a != b]
    assert set(lost) <= {"train", "val"}
    assert 0 < len(lost) <= 30 * 2 * 9
    assert all("buffer: within 1 patch of" in why for why in buffered.reason if why)


def test_a_buffer_of_groups_needs_footprints_and_is_not_negative() -> None:
    with pytest.raises(SplitError, match="'a': expected a footprint and its crs, found no footprint"):
        place(Group(buffer=1), [record("a", group="x")])
    with pytest.raises(UsageError, match="group buffer: expected 0 patches or more, found -1"):
        Group(buffer=-1)
    with pytest.raises(SplitError, match="2 groups with a buffer of 2: expected train samples, found none left of 2"):
        place(
            Group(buffer=2, train=0.5, val=0, test=0.5),
            [record(f"{i}", group=f"{i}", footprint=(i, 0, i + 1, 1)) for i in range(2)],
        )


def test_a_later_parameter_is_not_part_of_old_recipes() -> None:
    assert parameters_of(Group()) == {"train": 0.8, "val": 0.1, "test": 0.1}
    assert parameters_of(Group(by="place")) == {"by": "place", "train": 0.8, "val": 0.1, "test": 0.1}


def test_an_unused_record_needs_no_group() -> None:
    assert place(Group(), [record("a", group="x"), record("b", unused="void")]).split == ["train", "unused"]
