"""Records as Arrow tables: scan.parquet (before the pixels) and index.parquet (after them)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from sar_data.errors import BuildError
from sar_data.record import Object, Record, SourceFile
from sar_data.split.policy import SPLITS, UNUSED
from sar_data.system.bulk import bulk

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FILE = pa.struct([pa.field("path", pa.string()), pa.field("size", pa.int64()), pa.field("xxh3", pa.string())])
OBJECT_ATTRS = pa.map_(pa.string(), pa.string())
MASKED = pa.struct([("band", pa.string()), ("reason", pa.string()), ("count", pa.int32())])


def _list(kind: pa.DataType) -> pa.DataType:
    """Return a list type whose child has the name that Parquet gives it, so that what is written is what is read."""
    return pa.list_(pa.field("element", kind))


def _field(name: str, kind: pa.DataType, meaning: str, *, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": meaning})


OBJECT = pa.struct(
    [
        pa.field("label", pa.int16()),
        pa.field("box", _list(pa.float64())),
        pa.field("rotated", _list(pa.float64())),
        pa.field("polygons", _list(_list(pa.float64()))),
        pa.field("attrs", OBJECT_ATTRS),
    ]
)
RECORD_FIELDS = [
    _field("key", pa.string(), "the sample's name, unique in the dataset", nullable=False),
    _field("files", _list(FILE), "source files: path below the source, bytes, xxh3_128 of the contents"),
    _field("targets", pa.map_(pa.string(), _list(pa.int16())), "canonical class indices of every nomenclature"),
    _field(
        "objects",
        _list(OBJECT),
        "things in the image, in pixels: box min x, min y, max x, max y; rotated centre x "
        "and y, width, height, degrees; polygons x0, y0, x1, y1, …",
    ),
    _field("official", pa.string(), "the split the publisher put it in"),
    _field("height", pa.int32(), "rows of the image itself; what the build's shape has more is padding below"),
    _field("width", pa.int32(), "columns of the image itself; what the shape has more is padding on the right"),
    _field("group", pa.string(), "what must not be torn apart by a group split, such as a scene"),
    _field("time", pa.timestamp("us", "UTC"), "acquisition time"),
    _field("orbit_pass", pa.string(), "ascending or descending"),
    _field("relative_orbit", pa.int16(), "relative orbit number"),
    _field("crs", pa.string(), "coordinate reference system of footprint and transform, such as EPSG:32633"),
    _field("transform", _list(pa.float64()), "affine terms a, b, c, d, e, f: x = a·col + b·row + c, y = d·col + ..."),
    _field("footprint", _list(pa.float64()), "min x, min y, max x, max y in the units of crs"),
    _field("attrs", pa.map_(pa.string(), pa.string()), "what else the dataset says of the sample"),
    _field("reason", pa.string(), "why an unused record is not packed"),
]
SCAN = pa.schema(RECORD_FIELDS)
INDEX = pa.schema(
    [
        RECORD_FIELDS[0],
        _field("split", pa.string(), "train, val, test or unused", nullable=False),
        _field("shard", pa.int32(), "number of the shard in its split; null where unused"),
        _field("position", pa.int32(), "slot in the shard as planned; null where unused"),
        _field("offset", pa.int64(), "byte offset of the image's payload in the shard file; null where there is none"),
        _field("labels", _list(pa.string()), "class names in the default nomenclature"),
        _field("label_indices", _list(pa.int16()), "canonical class indices in the default nomenclature"),
        _field("xxh3", pa.string(), "xxh3_128 of the stored image's bytes, C-contiguous [band, y, x], little-endian"),
        _field("mask_offset", pa.int64(), "byte offset of the mask's payload in its file; null where there is none"),
        _field("mask_xxh3", pa.string(), "xxh3_128 of the stored mask's bytes, uint8 [y, x]; null where there is none"),
        _field("masked", _list(MASKED), "masked pixels by band and reason; only counts above zero"),
        *RECORD_FIELDS[1:],
    ]
)

BAD_KEY = r"[/\\\x00-\x1f\x7f]|^\.{0,2}$"  # names.key_flaw, for a whole column
BAD_PATH = r"^/|^$|\x00|(^|/)\.\.(/|$)"
LEAST = {"shard": 0, "position": 0, "offset": 0, "mask_offset": 0, "height": 1, "width": 1}


def check(table: pa.Table, where: object) -> None:
    """Raise BuildError where a column that is there holds what no build has: names that are paths, places below zero.

    `where` is the file, for the message. Whoever reads an index may join its names to paths and its places to addresses
    only after this.
    """
    try:
        for name in set(table.column_names) & {"key", "split", "files", *LEAST}:
            wrong = _wrong(name, table[name])
            if len(wrong):
                raise BuildError(f"{where}: column {name}: expected {_expected(name)}, found {wrong[0].as_py()!r}")
    except (pa.ArrowException, AttributeError, TypeError) as error:
        raise BuildError(f"{where}: expected the columns of an index, found others: {error}") from error


def _expected(name: str) -> str:
    if name in LEAST:
        return f"numbers of at least {LEAST[name]}"
    words = {
        "key": "keys without slashes and control characters",
        "split": f"{', '.join(SPLITS)} or {UNUSED}",
        "files": "paths below the source",
    }
    return words[name]


def _wrong(name: str, column: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return the values of a column that may not be used."""
    if name in LEAST:
        return column.filter(pc.less(column, LEAST[name]))
    if name == "split":
        found = column.unique().cast(pa.string())
        return found.filter(pc.invert(pc.is_in(found, pa.array([*SPLITS, UNUSED]))))
    if name == "key":
        return column.filter(pc.fill_null(pc.match_substring_regex(column, BAD_KEY), True))
    paths = pc.struct_field(pc.list_flatten(column), "path")
    return paths.filter(pc.fill_null(pc.match_substring_regex(paths, BAD_PATH), True))


@bulk()
def to_table(records: Sequence[Record]) -> pa.Table:
    """Return a table in the SCAN schema, one row a record.

    Nested columns are built from flat ones: Arrow's own conversion of nested Python values takes three times as long.
    """
    files = [file for r in records for file in r.files]
    flat_files = pa.StructArray.from_arrays(
        [pa.array([getattr(f, name) for f in files], FILE.field(name).type) for name in ("path", "size", "xxh3")],
        fields=list(FILE),
    )
    targets = [item for r in records for item in r.labels.items()]
    indices = pa.array([i for _, row in targets for i in row], pa.int16())
    attrs = [item for r in records for item in r.attrs.items()]
    columns = {
        "files": pa.ListArray.from_arrays(_offsets(len(r.files) for r in records), flat_files),
        "targets": pa.MapArray.from_arrays(
            _offsets(len(r.labels) for r in records),
            pa.array([task for task, _ in targets], pa.string()),
            pa.ListArray.from_arrays(_offsets(len(row) for _, row in targets), indices),
        ),
        "attrs": pa.MapArray.from_arrays(
            _offsets(len(r.attrs) for r in records),
            pa.array([name for name, _ in attrs], pa.string()),
            pa.array([value for _, value in attrs], pa.string()),
        ),
        "objects": _objects(records),
        "height": pa.array([r.shape and r.shape[0] for r in records], pa.int32()),
        "width": pa.array([r.shape and r.shape[1] for r in records], pa.int32()),
        "time": pa.array([r.time and _microseconds(r.time) for r in records], pa.int64()),
        "reason": pa.array([r.unused for r in records], pa.string()),
    }
    for name in ("key", "official", "group", "orbit_pass", "relative_orbit", "crs", "transform", "footprint"):
        columns[name] = pa.array([getattr(r, name) for r in records], SCAN.field(name).type)
    return pa.table({f.name: columns[f.name].cast(f.type) for f in SCAN}, schema=SCAN)


def _objects(records: Sequence[Record]) -> pa.ListArray:
    """Return the column of objects; most datasets have none, which costs nothing."""
    found = [thing for r in records for thing in r.objects]
    attrs = [list(thing.attrs.items()) for thing in found]
    columns = [
        pa.array([thing.label for thing in found], pa.int16()),
        pa.array([thing.box for thing in found], OBJECT.field("box").type),
        pa.array([thing.rotated for thing in found], OBJECT.field("rotated").type),
        pa.array([thing.polygons for thing in found], OBJECT.field("polygons").type),
        pa.array(attrs, OBJECT_ATTRS),
    ]
    flat = pa.StructArray.from_arrays(columns, fields=list(OBJECT))
    return pa.ListArray.from_arrays(_offsets(len(r.objects) for r in records), flat)


def to_object(row: dict[str, Any]) -> Object:
    """Return the object of one element of the column `objects`."""
    rotated = row["rotated"]
    return Object(
        label=row["label"],
        box=tuple(row["box"]),
        rotated=None if rotated is None else tuple(rotated),
        polygons=tuple(tuple(polygon) for polygon in row["polygons"] or ()),
        attrs=dict(row["attrs"] or ()),
    )


@bulk()
def to_records(table: pa.Table) -> list[Record]:
    """Return the records of a table that has the SCAN columns, in its order."""
    columns = {name: table[name].combine_chunks() for name in SCAN.names}
    files, targets, attrs = (columns[name] for name in ("files", "targets", "attrs"))
    flat = files.flatten()
    made = [SourceFile(*row) for row in zip(*(c.to_pylist() for c in flat.flatten()), strict=True)]
    labels = zip(targets.keys.to_pylist(), map(tuple, targets.items.to_pylist()), strict=True)
    others = zip(attrs.keys.to_pylist(), attrs.items.to_pylist(), strict=True)
    times = columns["time"].cast(pa.int64()).to_pylist()
    heights, widths = columns["height"].to_pylist(), columns["width"].to_pylist()
    rows = zip(
        columns["key"].to_pylist(),
        map(tuple, _grouped(made, files)),
        map(dict, _grouped(list(labels), targets)),
        (tuple(map(to_object, row)) for row in columns["objects"].to_pylist()),
        columns["official"].to_pylist(),
        (None if h is None else (h, w) for h, w in zip(heights, widths, strict=True)),
        columns["group"].to_pylist(),
        [None if t is None else EPOCH + timedelta(microseconds=t) for t in times],
        columns["orbit_pass"].to_pylist(),
        columns["relative_orbit"].to_pylist(),
        columns["crs"].to_pylist(),
        [t and tuple(t) for t in columns["transform"].to_pylist()],
        [f and tuple(f) for f in columns["footprint"].to_pylist()],
        columns["reason"].to_pylist(),
        map(dict, _grouped(list(others), attrs)),
        strict=True,
    )
    names = [field.name for field in fields(Record)]
    return [Record(**dict(zip(names, row, strict=True))) for row in rows]


def _offsets(lengths: Iterable[int]) -> pa.Array:
    return pa.array([0, *accumulate(lengths)], pa.int32())


def _grouped(values: list[T], lists: pa.ListArray | pa.MapArray) -> Iterator[list[T]]:
    """Cut `values` into the lists they came from; an array that was sliced begins at its first offset."""
    offsets = lists.offsets.to_pylist()
    return (values[a - offsets[0] : b - offsets[0]] for a, b in pairwise(offsets))


def _microseconds(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)


def fingerprint(records: Sequence[Record]) -> str:
    """Return the digest of a source: sorted member paths, sizes, known hashes and labels; no absolute path, no time."""
    digest = xxhash.xxh3_128()
    for r in sorted(records, key=lambda r: r.key):
        labels = sorted(r.labels.items())
        facts = (r.key, [(f.path, f.size, f.xxh3) for f in r.files], labels, *((r.objects,) if r.objects else ()))
        digest.update(repr(facts).encode())
    return digest.hexdigest()


def label_columns(targets: pa.ChunkedArray, task: str | None, classes: Sequence[str]) -> tuple[pa.Array, pa.Array]:
    """Return the columns `labels` and `label_indices` of one nomenclature; a record without it has empty lists."""
    if task is None:
        nothing = _offsets([0] * len(targets))
        empty = pa.array([], pa.string()), pa.array([], pa.int16())
        return pa.ListArray.from_arrays(nothing, empty[0]), pa.ListArray.from_arrays(nothing, empty[1])
    found = pc.map_lookup(targets, pa.scalar(task), "first").combine_chunks()
    indices = found.flatten()
    offsets = _offsets(pc.fill_null(found.value_lengths(), 0).to_pylist())
    names = pa.array(classes, pa.string()).take(indices)
    return pa.ListArray.from_arrays(offsets, names), pa.ListArray.from_arrays(offsets, indices)


def has_objects(index: pa.Table) -> pa.ChunkedArray:
    """Say of each row whether it has objects."""
    return pc.greater(pc.fill_null(pc.list_value_length(index["objects"]), 0), 0)


def document() -> dict[str, Any]:
    """Return the index's Arrow schema as a JSON document for schemas/."""
    fields = [
        {
            "name": f.name,
            "type": str(f.type),
            "nullable": f.nullable,
            "description": f.metadata[b"description"].decode(),
        }
        for f in INDEX
    ]
    return {"title": "index.parquet", "description": "One row a record, packed rows in shard order.", "fields": fields}
