"""Records as Arrow tables: scan.parquet (before the pixels) and index.parquet (after them)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import xxhash

from sar_data.record import Record, SourceFile

FILE = pa.struct([pa.field("path", pa.string()), pa.field("size", pa.int64()), pa.field("xxh3", pa.string())])
MASKED = pa.struct([("band", pa.string()), ("reason", pa.string()), ("count", pa.int32())])


def _field(name: str, kind: pa.DataType, meaning: str, *, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": meaning})


RECORD_FIELDS = [
    _field("key", pa.string(), "the sample's name, unique in the dataset", nullable=False),
    _field("files", pa.list_(FILE), "source files: path below the source, bytes, xxh3_128 of the contents"),
    _field("targets", pa.map_(pa.string(), pa.list_(pa.int16())), "canonical class indices of every nomenclature"),
    _field("group", pa.string(), "what must not be torn apart by a group split, such as a scene"),
    _field("time", pa.timestamp("us", "UTC"), "acquisition time"),
    _field("orbit_pass", pa.string(), "ascending or descending"),
    _field("relative_orbit", pa.int16(), "relative orbit number"),
    _field("crs", pa.string(), "coordinate reference system of footprint and transform, such as EPSG:32633"),
    _field("transform", pa.list_(pa.float64()), "affine terms a, b, c, d, e, f: x = a·col + b·row + c, y = d·col + ..."),
    _field("footprint", pa.list_(pa.float64()), "min x, min y, max x, max y in the units of crs"),
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
        _field("labels", pa.list_(pa.string()), "class names in the default nomenclature"),
        _field("label_indices", pa.list_(pa.int16()), "canonical class indices in the default nomenclature"),
        _field("xxh3", pa.string(), "xxh3_128 of the stored image's bytes, C-contiguous [band, y, x], little-endian"),
        _field("masked", pa.list_(MASKED), "masked pixels by band and reason; only counts above zero"),
        *RECORD_FIELDS[1:],
    ]
)


def to_table(records: Iterable[Record]) -> pa.Table:
    """Return a table in the SCAN schema, one row a record."""
    columns: dict[str, list[Any]] = {name: [] for name in SCAN.names}
    for r in records:
        columns["key"].append(r.key)
        columns["files"].append([{"path": f.path, "size": f.size, "xxh3": f.xxh3} for f in r.files])
        columns["targets"].append(list(r.labels.items()))
        columns["attrs"].append(list(r.attrs.items()))
        columns["reason"].append(r.unused)
        for name in ("group", "time", "orbit_pass", "relative_orbit", "crs", "transform", "footprint"):
            columns[name].append(getattr(r, name))
    return pa.table({name: pa.array(columns[name], SCAN.field(name).type) for name in SCAN.names}, schema=SCAN)


def to_records(table: pa.Table) -> list[Record]:
    """Return the records of a table that has the SCAN columns, in its order."""
    return [
        Record(
            key=row["key"],
            files=tuple(SourceFile(**file) for file in row["files"]),
            labels={task: tuple(indices) for task, indices in row["targets"]},
            group=row["group"],
            time=row["time"],
            orbit_pass=row["orbit_pass"],
            relative_orbit=row["relative_orbit"],
            crs=row["crs"],
            transform=row["transform"] and tuple(row["transform"]),
            footprint=row["footprint"] and tuple(row["footprint"]),
            unused=row["reason"],
            attrs=dict(row["attrs"]),
        )
        for row in table.select(SCAN.names).to_pylist()
    ]


def fingerprint(records: Sequence[Record]) -> str:
    """Return the digest of a source: sorted member paths, sizes, known hashes and labels; no absolute path, no time."""
    digest = xxhash.xxh3_128()
    for r in sorted(records, key=lambda r: r.key):
        labels = sorted(r.labels.items())
        digest.update(repr((r.key, [(f.path, f.size, f.xxh3) for f in r.files], labels)).encode())
    return digest.hexdigest()


def label_columns(
    targets: Sequence[Mapping[str, Sequence[int]]], task: str, classes: Sequence[str]
) -> tuple[pa.Array, pa.Array]:
    """Return the columns `labels` and `label_indices` of one nomenclature."""
    indices = [list(target.get(task, ())) for target in targets]
    names = [[classes[i] for i in row] for row in indices]
    return pa.array(names, pa.list_(pa.string())), pa.array(indices, pa.list_(pa.int16()))


def document() -> dict[str, Any]:
    """Return the index's Arrow schema as a JSON document for schemas/."""
    fields = [
        {"name": f.name, "type": str(f.type), "nullable": f.nullable, "description": f.metadata[b"description"].decode()}
        for f in INDEX
    ]
    return {"title": "index.parquet", "description": "One row a record, packed rows in shard order.", "fields": fields}


