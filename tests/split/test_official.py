from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import xxhash

from sar_data.errors import MissingList, SplitError, UsageError
from sar_data.record import Record
from sar_data.sources.lists import ListFinder
from sar_data.sources.tree import Folder
from sar_data.split.official import Official, read_names
from tests.places import ROOT

from . import Shelf, by_key, counts, place, record

NAME = r"S[12][AB]_\d{1,3}"
POLICY = Official(exclude={"snow.csv": "seasonal snow", "cloud.csv": "cloud or shadow"}, id_pattern=NAME)
LISTS = {
    "train.csv": b"S2A_1\r\nS2A_2\r\n",
    "val.csv": b"S2A_3\n",
    "test.csv": b"S2A_4",
    "snow.csv": b"S2A_5\nS2A_6\n",
    "cloud.csv": b"S2A_6\n",
}
MAPPING = {"s1s2_mapping.csv": b"".join(b"S2A_%d,S1A_%d\n" % (i, i + 100) for i in range(1, 8))}


def patches(*numbers: int) -> list[Record]:
    return [record(f"S1A_{n + 100}", attrs={"s2_name": f"S2A_{n}"}) for n in numbers]


def test_the_lists_decide_and_exclusions_give_their_reasons() -> None:
    result = place(POLICY, patches(1, 2, 3, 4, 5, 6), lists=LISTS)
    assert result.split == ["train", "train", "val", "test", "unused", "unused"]
    assert result.reason[4:] == ["seasonal snow", "seasonal snow; cloud or shadow"]
    assert not result.bad
    assert result.notes["lists"]["snow.csv"] == {
        "rows": 2,
        "matched": 2,
        "xxh3_128": xxhash.xxh3_128_hexdigest(LISTS["snow.csv"]),
    }
    assert result.notes["lists"]["train.csv"]["rows"] == 2


def test_names_match_by_key_by_alias_and_through_the_mapping() -> None:
    expected = ["train", "val", "test", "unused"]
    by_name = [record(f"S2A_{n}", attrs={"s2_name": f"S2A_{n}"}) for n in (1, 3, 4, 5)]
    bare = [record(f"S1A_{n + 100}") for n in (1, 3, 4, 5)]
    assert place(POLICY, by_name, lists=LISTS).split == expected
    assert place(POLICY, patches(1, 3, 4, 5), lists=LISTS).split == expected
    result = place(POLICY, bare, lists={**LISTS, **MAPPING})
    assert result.split == expected
    assert result.notes["lists"]["s1s2_mapping.csv"]["rows"] == 7
    assert result.notes["lists"]["s1s2_mapping.csv"]["matched"] == 4


def test_the_mapping_is_read_only_where_a_record_lacks_its_other_name() -> None:
    shelf = Shelf({**LISTS, **MAPPING})
    POLICY.assign(patches(1, 2), seed=0, lists=shelf)
    assert "s1s2_mapping.csv" not in shelf.asked
    POLICY.assign([*patches(1, 2), record("S1A_103")], seed=0, lists=shelf)
    assert "s1s2_mapping.csv" in shelf.asked


def test_two_columns_need_no_mapping() -> None:
    lists = {name: re.sub(rb"S2A_(\d)", rb"S2A_\1,S1A_10\1", data) for name, data in LISTS.items()}
    bare = [record(f"S1A_{n + 100}") for n in (1, 3, 4, 6)]
    assert place(POLICY, bare, lists=lists).split == ["train", "val", "test", "unused"]


@pytest.mark.parametrize(
    ("data", "line", "found"),
    [
        (b"S2A_1\nS2A_2x\nS2A_3", 2, "S2A_2x"),
        (b"S2A_1\r\nS2A_2\r\nS2A_\r\n", 3, "S2A_"),
        (b"S2A_1\n\n<html>\n", 3, "<html>"),
        (b"S2A_1234\nS2A_2\n", 1, "S2A_1234"),
        (b"S2A_1,S2A_2\nS2A_3,bad\n", 2, "bad"),
        (b"S2A_1,\nS2A_3,\n", 1, "''"),
        (b"S2A_1,S2A_2,S2A_3\n", 1, "3"),
        (b"S2A_1\nS2A_2\nnull\n", 3, "null"),
        (b"S2A_1\nS2A_\xff\n", 2, "S2A_"),
        (b"S2A_1\x00\n", 1, "S2A_1"),
        (b"name\nname\n", 2, "name"),
    ],
)
def test_a_cell_that_is_no_name_stops_with_list_and_line(data: bytes, line: int, found: str) -> None:
    with pytest.raises(SplitError, match=rf"^train\.csv, line {line}: expected .*found.*{re.escape(found)}"):
        place(POLICY, patches(1), lists={**LISTS, "train.csv": data})


def test_one_name_in_two_lists_stops_and_names_both() -> None:
    with pytest.raises(SplitError, match=r"expected 'S2A_2' in one list, found it in train\.csv and test\.csv"):
        place(POLICY, patches(1), lists={**LISTS, "test.csv": b"S2A_4\nS2A_2\n"})


def test_a_name_that_is_both_placed_and_excluded_stops() -> None:
    with pytest.raises(
        SplitError, match=r"expected 'S2A_3' in one list, found it in val\.csv and in the .* cloud\.csv"
    ):
        place(POLICY, patches(1), lists={**LISTS, "cloud.csv": b"S2A_3\n"})


@pytest.mark.parametrize(("key", "alias"), [("S2A_1", "S2A_3"), ("S2A_5", "S2A_4")])
def test_key_and_alias_that_contradict_each_other_stop(key: str, alias: str) -> None:
    with pytest.raises(SplitError, match=rf"record '{key}', also named '{alias}': expected in one list, found in"):
        place(POLICY, [record(key, attrs={"s2_name": alias})], lists=LISTS)


def test_a_mapping_that_contradicts_itself_stops() -> None:
    with pytest.raises(SplitError, match="expected one name beside 'S1A_101', found 'S2A_1' and 'S2A_2'"):
        place(POLICY, [record("S1A_101")], lists={**LISTS, "s1s2_mapping.csv": b"S2A_1,S1A_101\nS2A_2,S1A_101\n"})


def test_a_mapping_of_one_column_stops_with_its_line() -> None:
    with pytest.raises(SplitError, match=r"^s1s2_mapping\.csv, line 1: expected columns: 2, found 1"):
        place(POLICY, [record("S1A_101")], lists={**LISTS, "s1s2_mapping.csv": b"S2A_1\n"})


def test_the_error_for_missing_lists_has_names_places_and_remedy() -> None:
    message = r"found no val\.csv, no test\.csv in the shelf: .*`lists=…`, or use `split=random`"
    with pytest.raises(MissingList, match=message):
        place(POLICY, patches(1), lists={"train.csv": b"S2A_1"})


def test_a_split_without_val_needs_no_val_list() -> None:
    policy = Official(val=None, id_pattern=NAME)
    assert counts(place(policy, patches(1, 4), lists=LISTS)) == {"train": 1, "test": 1}


def test_a_record_in_no_list_is_bad_where_all_exclusions_are_known() -> None:
    result = place(POLICY, patches(1, 9), lists=LISTS)
    assert result.split == ["train", "unused"]
    assert result.bad == {"S1A_109": "in none of the official lists train.csv, val.csv, test.csv"}
    assert result.reason[1] == result.bad["S1A_109"]


def test_the_reason_names_a_missing_alias() -> None:
    result = place(POLICY, [*patches(1), record("S1A_109")], lists=LISTS)
    assert "it has no s2_name, and s1s2_mapping.csv does not give one" in result.bad["S1A_109"]


def test_a_record_in_no_list_is_unused_where_an_exclusion_list_is_missing() -> None:
    lists = {name: data for name, data in LISTS.items() if name != "cloud.csv"}
    result = place(POLICY, patches(1, 5, 9), lists=lists)
    assert result.reason == [None, "seasonal snow", "in no official list"]
    assert not result.bad


def test_lists_of_another_dataset_stop_the_split() -> None:
    with pytest.raises(SplitError, match=r"expected the names of 2 records such as 'S1A_108', found none.*`lists=…`"):
        place(POLICY, patches(8, 9), lists=LISTS)


def test_a_record_declared_unused_is_neither_placed_nor_bad() -> None:
    records = [*patches(1), record("S1A_102", attrs={"s2_name": "S2A_2"}, unused="void"), record("odd", unused="torn")]
    result = place(POLICY, records, lists=LISTS)
    assert result.reason == [None, "void", "torn"]
    assert result.notes["lists"]["train.csv"]["matched"] == 1


def test_exclusions_may_be_a_mapping_or_pairs_and_are_the_same_value() -> None:
    pairs = Official(exclude=(("a", "x"), ("b", "y")))
    assert pairs == Official(exclude={"a": "x", "b": "y"})
    assert hash(pairs) == hash(Official(exclude={"a": "x", "b": "y"}))


def test_an_invalid_pattern_is_refused() -> None:
    with pytest.raises(UsageError, match="id_pattern: expected a regular expression"):
        Official(id_pattern="(")


def test_one_file_cannot_be_two_lists() -> None:
    with pytest.raises(UsageError, match="expected each name once"):
        Official(val="train.csv")
    with pytest.raises(UsageError, match="expected each name once"):
        Official(exclude={"test.csv": "x"})


REAL = {
    "train.csv": 269_695,
    "val.csv": 123_723,
    "test.csv": 125_866,
    "patches_with_seasonal_snow.csv": 61_707,
    "patches_with_cloud_and_shadow.csv": 9_280,
    "patches_with_no_19_class_targets.csv": 57,
}


@pytest.fixture(scope="module")
def real_lists() -> dict[str, bytes]:
    root = ROOT
    folder = root / os.environ.get("SAR_DATA_SAMPLES", "../shared/samples") / "bigearthnet-v1.0-lists"
    if not folder.is_dir():
        pytest.skip("the real lists are not here: set SAR_DATA_SAMPLES to the folder of samples")
    return {name: (folder / name).read_bytes() for name in REAL}


def test_the_real_lists_are_disjoint_and_place_every_patch(real_lists: dict[str, bytes]) -> None:
    pattern = r"S2[AB]_MSIL2A_\d{8}T\d{5,6}_\d{1,2}_\d{1,2}"
    reasons = {name: name.removesuffix(".csv") for name in list(REAL)[3:]}
    rows = {name: read_names(name, data, re.compile(pattern)) for name, data in real_lists.items()}
    assert {name: len(found) for name, found in rows.items()} == REAL
    split = [name for named in list(REAL)[:3] for (name,) in rows[named]]
    assert len(split) == len(set(split)) == 519_284
    every = {name for found in rows.values() for (name,) in found}
    assert len(every) == 590_326
    some = sorted(every)[::20]
    records = [Record(key=f"S1_{i}", files=(), attrs={"s2_name": name}) for i, name in enumerate(some)]
    result = place(Official(exclude=reasons, id_pattern=pattern), records, lists=real_lists)
    assert not result.bad
    homes = {name: split for name, (split, _) in zip(some, by_key(records, result).values(), strict=True)}
    for named, home in zip(REAL, ("train", "val", "test", "unused", "unused", "unused"), strict=True):
        assert {homes[name] for (name,) in rows[named] if name in homes} <= {home}
    assert {name: note["rows"] for name, note in result.notes["lists"].items()} == REAL


def test_a_record_outside_the_listed_subset_is_unused_and_not_bad(tmp_path: Path) -> None:
    for name, key in (("train.csv", "a"), ("val.csv", "b"), ("test.csv", "c")):
        (tmp_path / name).write_text(f"{key}\n")
    made = [Record(key=key, files=()) for key in "abcd"]
    lists = ListFinder.beside(tmp_path, tmp_path, Folder.at(tmp_path))
    assert Official(mapping=None).assign(made, seed=0, lists=lists).bad.keys() == {"d"}
    found = Official(mapping=None, subset=True).assign(made, seed=0, lists=lists)
    assert (found.bad, found.split[3], found.reason[3]) == ({}, "unused", "in no official list")
