"""Records survive their tables, and the fingerprint of a source says what it must and no more."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sar_data.record import Record, SourceFile
from sar_data.sealed.index import INDEX, SCAN, document, label_columns
from sar_data.sealed.opened import Build
from sar_data.sealed.records import Records, fingerprint, to_records, to_table

names = st.text(max_size=6)
indices = st.lists(st.integers(0, 2**15 - 1), max_size=3).map(tuple)
floats = st.floats(allow_nan=False)
files = st.builds(SourceFile, names, st.integers(0, 2**60), st.none() | names)
records = st.builds(
    Record,
    key=names,
    files=st.lists(files, max_size=3).map(tuple),
    labels=st.dictionaries(names, indices, max_size=3),
    group=st.none() | names,
    time=st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    orbit_pass=st.none() | st.sampled_from(["ascending", "descending"]),
    relative_orbit=st.none() | st.integers(0, 175),
    crs=st.none() | names,
    transform=st.none() | st.tuples(*[floats] * 6),
    footprint=st.none() | st.tuples(*[floats] * 4),
    unused=st.none() | names,
    attrs=st.dictionaries(names, names, max_size=3),
)


def fields_of(record: Record) -> list[Any]:
    return [getattr(record, field.name) for field in fields(Record)]


@settings(max_examples=100, deadline=None)
@given(made=st.lists(records, max_size=6), start=st.integers(0, 5))
def test_records_survive_a_table_whole_or_sliced(made: list[Record], start: int) -> None:
    table = to_table(made)
    assert table.schema.equals(SCAN)
    assert to_records(table) == made
    assert to_records(table.slice(start, 2)) == made[start : start + 2]
    assert to_records(pa.concat_tables([table, table])) == made + made
    assert list(map(fields_of, Records(table))) == list(map(fields_of, made))
    assert list(map(fields_of, copy.deepcopy(Records(table)[start:]))) == list(map(fields_of, made[start:]))


def test_the_first_moment_of_unix_time_is_a_time() -> None:
    made = Record(key="a", files=(), time=datetime(1970, 1, 1, tzinfo=UTC))
    assert to_records(to_table([made])) == [made]


def test_times_of_other_zones_are_the_same_moment() -> None:
    time = datetime(2017, 6, 13, 18, 50, 43, 7, tzinfo=timezone(timedelta(hours=2)))
    (found,) = to_records(to_table([Record(key="a", files=(), time=time)]))
    assert found.time == time


RECORD = Record(
    key="a",
    files=(SourceFile("a/a.tif", 10, None), SourceFile("a/a.json", 3, "aa")),
    labels={"one": (1, 2), "two": (3,)},
)


def other(**changes: Any) -> Record:
    return replace(RECORD, **changes)


@pytest.mark.parametrize(
    "grown",
    [
        [RECORD, other(key="b")],
        [other(key="b")],
        [other(files=(SourceFile("a/a.tif", 11, None), RECORD.files[1]))],
        [other(files=(SourceFile("b/a.tif", 10, None), RECORD.files[1]))],
        [other(files=(SourceFile("a/a.tif", 10, "ab"), RECORD.files[1]))],
        [other(files=RECORD.files[:1])],
        [other(labels={"one": (1,), "two": (3,)})],
        [other(labels={"one": (1, 2)})],
    ],
)
def test_the_fingerprint_sees_members_sizes_hashes_and_labels(grown: list[Record]) -> None:
    assert fingerprint(to_table(grown)) != fingerprint(to_table([RECORD]))


@given(order=st.permutations([RECORD, other(key="b"), other(key="c", labels={"two": (3,), "one": (1, 2)})]))
def test_the_fingerprint_does_not_see_order(order: list[Record]) -> None:
    assert fingerprint(to_table(order)) == fingerprint(to_table(sorted(order, key=lambda one: one.key)))


def test_labels_are_the_names_of_their_indices() -> None:
    rows = [[("one", [0, 2])], [("two", [1])], []]
    targets = pa.chunked_array(
        [pa.array(rows[:1], INDEX.field("targets").type), pa.array(rows[1:], INDEX.field("targets").type)]
    )
    labels, numbers = label_columns(targets, "one", ("a", "b", "c"))
    assert labels.to_pylist() == [["a", "c"], [], []]
    assert numbers.to_pylist() == [[0, 2], [], []]


def test_every_column_says_what_it_means(sealed: dict[str, Build]) -> None:
    described = {field["name"]: field["description"] for field in document()["fields"]}
    assert list(described) == INDEX.names
    assert all(described.values())
    for build in sealed.values():
        schema = pq.read_schema(build.path / "index.parquet")
        assert schema.equals(INDEX)
        assert {f.name: f.metadata[b"description"].decode() for f in schema} == described
