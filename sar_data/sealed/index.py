"""Columns of index.parquet, one row a record, and of scan.parquet, the same table before the pixels are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.errors import BuildError
from sar_data.split.policy import SPLITS, UNUSED

INDEX_NAME = "index.parquet"
FILE = pa.struct([pa.field("path", pa.string()), pa.field("size", pa.int64()), pa.field("xxh3", pa.string())])
MASKED = pa.struct([("band", pa.string()), ("reason", pa.string()), ("count", pa.int32())])


def _list(kind: pa.DataType) -> pa.DataType:
    """Return a list type whose child has Parquet's own name, so that a table has the same type when it is read."""
    return pa.list_(pa.field("element", kind))


def _pairs_type(name: str, value: str, kind: pa.DataType) -> pa.DataType:
    """Return the type of a list of named values; not every table library reads maps."""
    return _list(pa.struct([pa.field(name, pa.string()), pa.field(value, kind)]))


TARGETS = _pairs_type("task", "labels", _list(pa.int16()))
ATTRS = _pairs_type("name", "value", pa.string())
DROPPED = _pairs_type("reason", "count", pa.int32())
DATE = pa.struct(
    [
        pa.field("role", pa.string()),
        pa.field("time", pa.timestamp("us", "UTC")),
        pa.field("platform", pa.string()),
        pa.field("relative_orbit", pa.int16()),
    ]
)


def _field(name: str, kind: pa.DataType, meaning: str, *, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": meaning})


OBJECT = pa.struct(
    [
        pa.field("label", pa.int16()),
        pa.field("box", _list(pa.float64())),
        pa.field("rotated", _list(pa.float64())),
        pa.field("polygons", _list(_list(pa.float64()))),
        pa.field("attrs", ATTRS),
    ]
)
RECORD_FIELDS = [
    _field("key", pa.string(), "the sample's name, unique in the dataset", nullable=False),
    _field("files", _list(FILE), "source files: path below the source, bytes, xxh3_128 of the contents"),
    _field("targets", TARGETS, "canonical class indices of every nomenclature"),
    _field(
        "objects",
        _list(OBJECT),
        "things in the image, in pixels: box min x, min y, max x, max y; rotated centre x "
        "and y, width, height, degrees; polygons x0, y0, x1, y1, …",
    ),
    _field("official", pa.string(), "the split the publisher put it in"),
    _field("height", pa.int32(), "rows of the image itself; what the build's shape has more is padding below"),
    _field("width", pa.int32(), "columns of the image itself; what the shape has more is padding on the right"),
    _field("group", pa.string(), "what was acquired at once, such as a scene; what a group split does not tear apart"),
    _field("place", pa.string(), "the unit of ground that the image shows, and others too: a tile, a city, a ship"),
    _field("time", pa.timestamp("us", "UTC"), "acquisition time"),
    _field("orbit_pass", pa.string(), "ascending or descending"),
    _field("relative_orbit", pa.int16(), "relative orbit number"),
    _field("dates", _list(DATE), "acquisitions of one place, in the order of the image's first axis"),
    _field("crs", pa.string(), "coordinate reference system of footprint and transform, such as EPSG:32633"),
    _field("transform", _list(pa.float64()), "affine terms a, b, c, d, e, f: x = a·col + b·row + c, y = d·col + ..."),
    _field("footprint", _list(pa.float64()), "min x, min y, max x, max y in the reference frame"),
    _field("reference_frame", pa.string(), "what the footprint is measured in, such as pixels of a scene; null: crs"),
    _field("dropped", DROPPED, "objects that were left out, by reason"),
    _field("attrs", ATTRS, "what else the dataset says of the sample"),
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
    """Raise BuildError where a column has values that no build has, such as names that are paths, or negative offsets.

    `where` is the file, for the message. Only after this check is it safe to make paths of the names and addresses of
    the numbers of an index.
    """
    try:
        for name in set(table.column_names) & {"key", "split", "files", *LEAST}:
            wrong = _wrong(name, table[name])
            if len(wrong):
                raise BuildError(f"{where}: column {name}: expected {_expectation(name)}, found {wrong[0].as_py()!r}")
    except (pa.ArrowException, AttributeError, TypeError) as error:
        raise BuildError(f"{where}: expected the columns of an index, found others: {error}") from error


def _expectation(name: str) -> str:
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
        splits = column.unique().cast(pa.string())
        return splits.filter(pc.invert(pc.is_in(splits, pa.array([*SPLITS, UNUSED]))))
    if name == "key":
        if not _suspicious(column):
            return column.slice(0, 0)
        return column.filter(pc.fill_null(pc.match_substring_regex(column, BAD_KEY), True))
    paths = pc.struct_field(pc.list_flatten(column), "path")
    return paths.filter(pc.fill_null(pc.match_substring_regex(paths, BAD_PATH), True))


def _suspicious(keys: pa.ChunkedArray) -> bool:
    """Say whether a column may have a bad key, by its bytes: a regular expression for each key would be slow."""
    shortest = pc.min(pc.binary_length(keys)).as_py()
    if keys.null_count or (shortest is not None and shortest < 3):
        return True
    for part in keys.chunks:
        _, edges, text = part.buffers()
        ends = np.frombuffer(edges, np.int32)[[part.offset, part.offset + len(part)]] if len(part) else (0, 0)
        characters = np.frombuffer(text or b"", np.uint8)[ends[0] : ends[1]]
        if characters.min(initial=255) < ord(" ") or any((characters == ord(sign)).any() for sign in "/\\\x7f"):
            return True
    return False


def value_of(column: pa.ChunkedArray | pa.Array, name: str) -> pa.Array:
    """Return each row's value of one name in a column such as `targets` or `attrs`, null where a row has none."""
    lists = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    flat = lists.flatten()
    mine = pc.equal(flat.field(0), name)
    rows = pc.list_parent_indices(lists).filter(mine)
    return flat.field(1).filter(mine).take(pc.index_in(_numbers(len(lists)), value_set=rows))


def _numbers(count: int) -> pa.Array:
    # From a buffer, because pa.array of a numpy array imports pandas if it is installed.
    return pa.Array.from_buffers(pa.int64(), count, [None, pa.py_buffer(np.arange(count, dtype=np.int64))])


def label_columns(targets: pa.ChunkedArray, task: str | None, classes: Sequence[str]) -> tuple[pa.Array, pa.Array]:
    """Return the columns `labels` and `label_indices` of one nomenclature; a record without it has empty lists."""
    if task is None:
        nothing = list_offsets([0] * len(targets))
        empty = pa.array([], pa.string()), pa.array([], pa.int16())
        return pa.ListArray.from_arrays(nothing, empty[0]), pa.ListArray.from_arrays(nothing, empty[1])
    lists = value_of(targets, task)
    indices = lists.flatten()
    offsets = list_offsets(pc.fill_null(lists.value_lengths(), 0).to_pylist())
    names = pa.array(classes, pa.string()).take(indices)
    return pa.ListArray.from_arrays(offsets, names), pa.ListArray.from_arrays(offsets, indices)


def list_offsets(lengths: Iterable[int]) -> pa.Array:
    """Return the offsets of lists of these lengths."""
    return pa.array([0, *accumulate(lengths)], pa.int32())


def has_objects(index: pa.Table) -> pa.ChunkedArray:
    """Say of each row whether it has objects."""
    return pc.greater(pc.fill_null(pc.list_value_length(index["objects"]), 0), 0)


def document() -> dict[str, Any]:
    """Return the index's Arrow schema as a JSON document for schemas/."""
    return {
        "title": INDEX_NAME,
        "description": "One row a record, packed rows in shard order.",
        "fields": describe_columns(INDEX),
    }


def describe_columns(schema: pa.Schema) -> list[dict[str, Any]]:
    """Return the columns of a table as JSON."""
    return [
        {
            "name": f.name,
            "type": str(f.type),
            "nullable": f.nullable,
            "description": f.metadata[b"description"].decode(),
        }
        for f in schema
    ]
