"""Records as rows of a table and back, and the fingerprint of a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar

import pyarrow as pa
import xxhash

from sar_data.record import Date, Object, Record, SourceFile
from sar_data.sealed.index import ATTRS, DATE, DROPPED, FILE, OBJECT, SCAN, TARGETS, list_offsets
from sar_data.system.bulk import bulk

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLAIN = (
    "key",
    "official",
    "group",
    "place",
    "orbit_pass",
    "relative_orbit",
    "crs",
    "transform",
    "footprint",
    "reference_frame",
)  # columns that hold a record's fields as they are


@bulk()
def to_table(records: Sequence[Record]) -> pa.Table:
    """Return a table in the SCAN schema, one row a record.

    Nested columns are built from flat columns, because Arrow's own conversion takes three times as long.
    """
    columns = {
        "files": _structs([r.files for r in records], FILE),
        "targets": _pairs([r.labels for r in records], TARGETS),
        "attrs": _pairs([r.attrs for r in records], ATTRS),
        "dropped": _pairs([r.dropped for r in records], DROPPED),
        "dates": _dates(records),
        "objects": _objects(records),
        "height": pa.array([r.shape and r.shape[0] for r in records], pa.int32()),
        "width": pa.array([r.shape and r.shape[1] for r in records], pa.int32()),
        "time": _times([r.time for r in records]),
        "reason": pa.array([r.unused for r in records], pa.string()),
    }
    for name in PLAIN:
        columns[name] = pa.array([getattr(r, name) for r in records], SCAN.field(name).type)
    return pa.table({f.name: columns[f.name].cast(f.type) for f in SCAN}, schema=SCAN)


def _structs(rows: Sequence[Sequence[Any]], kind: pa.StructType) -> pa.ListArray:
    """Return lists of structs whose fields are the attributes of that name."""
    values = [value for row in rows for value in row]
    columns = [pa.array([getattr(value, f.name) for value in values], f.type) for f in kind]
    flat = pa.StructArray.from_arrays(columns, fields=list(kind))
    return pa.ListArray.from_arrays(list_offsets(len(row) for row in rows), flat)


def _pairs(rows: Sequence[Mapping[str, Any]], kind: pa.ListType) -> pa.ListArray:
    """Return lists of named values."""
    items = [item for row in rows for item in row.items()]
    names, values = (f.type for f in kind.value_type)
    columns = [pa.array([name for name, _ in items], names), _values([value for _, value in items], values)]
    flat = pa.StructArray.from_arrays(columns, fields=list(kind.value_type))
    return pa.ListArray.from_arrays(list_offsets(len(row) for row in rows), flat)


def _values(values: list[Any], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_list(kind):
        return pa.array(values, kind)
    flat = pa.array([element for value in values for element in value], kind.value_type)
    return pa.ListArray.from_arrays(list_offsets(len(value) for value in values), flat)


def _dates(records: Sequence[Record]) -> pa.ListArray:
    dates = [date for r in records for date in r.dates]
    columns = [
        pa.array([date.role for date in dates], pa.string()),
        _times([date.time for date in dates]),
        pa.array([date.platform for date in dates], pa.string()),
        pa.array([date.relative_orbit for date in dates], pa.int16()),
    ]
    flat = pa.StructArray.from_arrays(columns, fields=list(DATE))
    return pa.ListArray.from_arrays(list_offsets(len(r.dates) for r in records), flat)


def _objects(records: Sequence[Record]) -> pa.ListArray:
    """Return the column of objects."""
    items = [item for r in records for item in r.objects]
    columns = [
        pa.array([getattr(item, name) for item in items], OBJECT.field(name).type)
        for name in ("label", "box", "rotated", "polygons")
    ]
    flat = pa.StructArray.from_arrays([*columns, _pairs([item.attrs for item in items], ATTRS)], fields=list(OBJECT))
    return pa.ListArray.from_arrays(list_offsets(len(r.objects) for r in records), flat)


def _times(times: Sequence[datetime | None]) -> pa.Array:
    microseconds = [None if time is None else (time - EPOCH) // timedelta(microseconds=1) for time in times]
    return pa.array(microseconds, pa.int64()).cast(pa.timestamp("us", "UTC"))


@bulk()
def to_records(table: pa.Table) -> list[Record]:
    """Return the records of a table that has the SCAN columns, in its order."""
    columns = {name: table[name].combine_chunks() for name in SCAN.names}
    files = columns["files"]
    heights, widths = columns["height"].to_pylist(), columns["width"].to_pylist()
    values: dict[str, Iterable[Any]] = {
        **{name: columns[name].to_pylist() for name in PLAIN if name not in ("transform", "footprint")},
        **{name: [row and tuple(row) for row in columns[name].to_pylist()] for name in ("transform", "footprint")},
        "files": map(tuple, _cut_lists([SourceFile(*row) for row in _rows(files.flatten())], files)),
        "labels": _mappings(columns["targets"], tuple),
        "attrs": _mappings(columns["attrs"]),
        "dropped": _mappings(columns["dropped"]),
        "dates": (tuple(map(_date, row or ())) for row in columns["dates"].to_pylist()),
        "objects": (tuple(map(to_object, row)) for row in columns["objects"].to_pylist()),
        "shape": (None if h is None else (h, w) for h, w in zip(heights, widths, strict=True)),
        "time": map(_time, columns["time"].cast(pa.int64()).to_pylist()),
        "unused": columns["reason"].to_pylist(),
    }
    names = [field.name for field in fields(Record)]
    return [Record(**dict(zip(names, row, strict=True))) for row in zip(*(values[name] for name in names), strict=True)]


def to_object(row: dict[str, Any]) -> Object:
    """Return the object of one element of the column `objects`."""
    rotated = row["rotated"]
    return Object(
        label=row["label"],
        box=tuple(row["box"]),
        rotated=None if rotated is None else tuple(rotated),
        polygons=tuple(tuple(polygon) for polygon in row["polygons"] or ()),
        attrs={attr["name"]: attr["value"] for attr in row["attrs"] or ()},
    )


def _date(row: dict[str, Any]) -> Date:
    return Date(**row)


def _time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else EPOCH + timedelta(microseconds=microseconds)


def _rows(structs: pa.StructArray) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in structs.flatten()), strict=True)


def _mappings(lists: pa.ListArray, convert: Any = None) -> Iterator[dict[str, Any]]:
    """Yield the named values of each row."""
    names, values = (column.to_pylist() for column in lists.flatten().flatten())
    items = list(zip(names, map(convert, values) if convert else values, strict=True))
    return map(dict, _cut_lists(items, lists))


def _cut_lists(values: list[T], lists: pa.ListArray) -> Iterator[list[T]]:
    """Cut `values` into the lists that they came from; a sliced array begins at its first offset."""
    offsets = lists.offsets.to_pylist()
    return (values[a - offsets[0] : b - offsets[0]] for a, b in pairwise(offsets))


def fingerprint(records: Sequence[Record], *, whole: bool = False) -> str:
    """Return the digest of a source: sorted member paths, sizes, known hashes and labels; no absolute path.

    With `whole` it covers all fields of records, since a user may change dates, places and groups of a dataset.
    """
    digest = xxhash.xxh3_128()
    for r in sorted(records, key=lambda r: r.key):
        labels = sorted(r.labels.items())
        parts = (r.key, [(f.path, f.size, f.xxh3) for f in r.files], labels, *((r.objects,) if r.objects else ()))
        digest.update(repr((*parts, _others(r)) if whole else parts).encode())
    return digest.hexdigest()


def _others(record: Record) -> list[tuple[str, Any]]:
    """Return the fields of a record other than key, files, labels and objects; empty fields are no part of a digest."""
    names = [field.name for field in fields(Record) if field.name not in ("key", "files", "labels", "objects")]
    return [(name, value) for name in names if (value := getattr(record, name))]
