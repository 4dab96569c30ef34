"""The plan decides where every sample lies, from keys and split alone."""

from __future__ import annotations

import math

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from sar_data.builder.sharding import hash_order, shard_length, shards_of
from sar_data.formats.container import Shard
from sar_data.sealed.index import SCAN
from sar_data.sealed.records import to_table
from sar_data.testing.slots import record

placed = st.dictionaries(
    st.text(min_size=1, max_size=8), st.sampled_from(["train", "val", "test", "unused"]), max_size=40
)

NOTHING = pa.schema([*SCAN, ("split", pa.string()), ("shard", pa.int32()), ("position", pa.int32())]).empty_table()


def planned(split_of: dict[str, str], most: int, multiple: int = 1) -> tuple[list[Shard], pa.Table]:
    shards, rows = shards_of(to_table([record(key) for key in split_of]), list(split_of.values()), most, multiple)
    return shards, pa.concat_tables([NOTHING, *rows])


@settings(max_examples=60, deadline=None)
@given(split_of=placed, most=st.integers(1, 12), multiple=st.sampled_from([1, 4, 16]))
def test_every_key_has_one_slot_and_unused_keys_have_none(split_of: dict[str, str], most: int, multiple: int) -> None:
    shards, rows = planned(split_of, most, multiple)
    assert dict(zip(rows["key"].to_pylist(), rows["split"].to_pylist(), strict=True)) == {
        key: split for key, split in split_of.items() if split != "unused"
    }
    slots = list(zip(*(rows[name].to_pylist() for name in ("split", "shard", "position")), strict=True))
    assert len(set(slots)) == len(slots)
    assert slots == [(shard.split, shard.number, i) for shard in shards for i in range(shard.count)]


@settings(max_examples=60, deadline=None)
@given(split_of=placed, most=st.integers(1, 12), multiple=st.sampled_from([1, 4, 16]))
def test_shards_of_a_split_are_equally_long_but_for_the_last(
    split_of: dict[str, str], most: int, multiple: int
) -> None:
    shards, _ = planned(split_of, most, multiple)
    assert [shard.batch for shard in shards] == list(range(len(shards)))
    for split in ("train", "val", "test"):
        own = [shard for shard in shards if shard.split == split]
        assert [shard.number for shard in own] == list(range(len(own)))
        assert all(shard.count == shard.slots for shard in own[:-1])
        assert all(0 < shard.count <= shard.slots for shard in own)
        assert all(shard.slots % multiple == 0 for shard in own)


@settings(max_examples=60, deadline=None)
@given(split_of=placed, most=st.integers(1, 12), random=st.randoms())
def test_the_order_of_the_records_plays_no_part(split_of: dict[str, str], most: int, random: object) -> None:
    items = list(split_of.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    shards, rows = planned(split_of, most)
    again, same = planned(dict(items), most)
    assert again == shards
    assert same.equals(rows)


@given(samples=st.integers(0, 1_000_000), most=st.integers(1, 1000), multiple=st.sampled_from([1, 16]))
def test_samples_are_spread_evenly_over_the_fewest_shards(samples: int, most: int, multiple: int) -> None:
    length = shard_length(samples, most, multiple)
    assert length >= 1
    assert length % multiple == 0
    if multiple == 1 and samples:
        count = math.ceil(samples / length)
        assert length <= most
        assert count == math.ceil(samples / most)
        assert length * count - samples < count


def test_an_empty_split_has_no_shards() -> None:
    shards, rows = planned({"a": "train", "b": "unused"}, 4)
    assert [(shard.split, shard.count) for shard in shards] == [("train", 1)]
    assert rows["key"].to_pylist() == ["a"]


@given(keys=st.lists(st.text(min_size=1), unique=True, max_size=60))
def test_hash_order_is_a_fixed_shuffle_that_growth_does_not_disturb(keys: list[str]) -> None:
    order = [keys[i] for i in hash_order(keys)]
    assert sorted(order) == sorted(keys)
    kept = keys[::2]
    assert [keys[::2][i] for i in hash_order(kept)] == [key for key in order if key in set(kept)]


def test_hash_order_is_that_of_the_first_release() -> None:
    # Another order would be another recipe for everyone's builds.
    assert hash_order([f"key_{i}" for i in range(8)]) == [5, 0, 3, 1, 4, 2, 7, 6]
