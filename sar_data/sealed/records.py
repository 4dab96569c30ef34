"""Records as rows of a table and back, and the fingerprint of a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar, overload

import pyarrow as pa
import pyarrow.compute as pc
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
FIELDS = tuple(field.name for field in fields(Record))
COLUMN_OF = {"labels": "targets", "shape": "height", "unused": "reason"}  # of fields whose column has another name
BLOCK = 8192  # records whose fields are in memory at once, where all are read


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


class Records(Sequence[Record]):
    """The records of a table that has the SCAN columns, in its order.

    A column is decoded when a field of some record is first read, so that half a million records take little memory.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self._values: dict[str, list[Any]] = {}

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> list[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | list[Record]:
        rows = range(len(self.table))[place]
        return _Row.of(self, rows) if isinstance(rows, int) else [_Row.of(self, row) for row in rows]

    def __iter__(self) -> Iterator[Record]:
        return (_Row.of(self, row) for row in range(len(self.table)))

    def values(self, field: str) -> list[Any]:
        """Return the values of one field, a record each."""
        if field not in self._values:
            with bulk():
                self._values[field] = list(_decode(self.table, field))
        return self._values[field]


class _Row(Record):
    """A record of a table, each of whose fields is empty until it is read."""

    __slots__ = ("_records", "_row")
    _records: Records
    _row: int

    @classmethod
    def of(cls, records: Records, row: int) -> _Row:
        self = object.__new__(cls)
        object.__setattr__(self, "_records", records)
        object.__setattr__(self, "_row", row)
        return self

    def __getattr__(self, name: str) -> Any:  # called for an empty slot
        if name not in FIELDS:
            raise AttributeError(name)
        value = self._records.values(name)[self._row]
        object.__setattr__(self, name, value)
        return value


@bulk()
def to_records(table: pa.Table) -> list[Record]:
    """Return the records of a table that has the SCAN columns, in its order."""
    columns = [_decode(table, name) for name in FIELDS]
    return [Record(**dict(zip(FIELDS, row, strict=True))) for row in zip(*columns, strict=True)]


def _decode(table: pa.Table, field: str) -> Iterable[Any]:
    """Return the values of one field of the records of a table."""
    column = table[COLUMN_OF.get(field, field)].combine_chunks()
    match field:
        case "files":
            return map(tuple, cut_lists([SourceFile(*row) for row in rows_of(column.flatten())], column))
        case "labels":
            return _share_equal(named_values(column))
        case "attrs" | "dropped":
            return map(dict, named_values(column))
        case "dates":
            return (tuple(map(_date, row or ())) for row in column.to_pylist())
        case "objects":
            return (tuple(map(to_object, row)) for row in column.to_pylist())
        case "transform" | "footprint":
            return (tuple(row) or None for row in cut_lists(column.flatten().to_pylist(), column))
        case "shape":
            sides = zip(column.to_pylist(), table["width"].to_pylist(), strict=True)
            return (None if height is None else (height, width) for height, width in sides)
        case "time":
            return map(_time, column.cast(pa.int64()).to_pylist())
    values: list[Any] = column.to_pylist()
    return values


def _share_equal(rows: Iterable[list[Any]]) -> Iterator[dict[str, Any]]:
    """Yield the named values of each row, one dictionary for equal rows: few combinations of labels are different."""
    known: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple(row)
        yield known.get(key) or known.setdefault(key, dict(row))


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


def rows_of(structs: pa.StructArray) -> Iterator[tuple[Any, ...]]:
    """Return the values of each struct."""
    return zip(*(column.to_pylist() for column in structs.flatten()), strict=True)


def named_values(lists: pa.ListArray) -> Iterator[list[tuple[str, Any]]]:
    """Yield the pairs of name and value of each row of a column such as `targets`; values that are lists are tuples."""
    names, values = lists.flatten().flatten()
    parts = (
        map(tuple, cut_lists(values.flatten().to_pylist(), values))
        if pa.types.is_list(values.type)
        else values.to_pylist()
    )
    return cut_lists(list(zip(names.to_pylist(), parts, strict=True)), lists)


def cut_lists(values: list[T], lists: pa.ListArray) -> Iterator[list[T]]:
    """Cut `values` into the lists that they came from; a sliced array begins at its first offset."""
    offsets = lists.offsets.to_pylist()
    return (values[a - offsets[0] : b - offsets[0]] for a, b in pairwise(offsets))


def fingerprint(table: pa.Table, *, whole: bool = False) -> str:
    """Return the digest of a source: sorted member paths, sizes, known hashes and labels; no absolute path.

    `table` has the SCAN columns. With `whole` the digest covers all fields of records, since a user may change dates,
    places and groups of a dataset.
    """
    digest = xxhash.xxh3_128()
    order = pc.sort_indices(table["key"])
    for start in range(0, len(table), BLOCK):
        rows = table.take(order[start : start + BLOCK])
        records, lists = Records(rows), rows["files"].combine_chunks()
        files = cut_lists(list(rows_of(lists.flatten())), lists)
        columns = (records.values(name) for name in ("key", "labels", "objects"))
        for record, own, key, labels, objects in zip(records, files, *columns, strict=True):
            parts = (key, own, sorted(labels.items()), *((objects,) if objects else ()))
            digest.update(repr((*parts, _others(record)) if whole else parts).encode())
    return digest.hexdigest()


def _others(record: Record) -> list[tuple[str, Any]]:
    """Return the fields of a record other than key, files, labels and objects; empty fields are no part of a digest."""
    names = [name for name in FIELDS if name not in ("key", "files", "labels", "objects")]
    return [(name, value) for name in names if (value := getattr(record, name))]
