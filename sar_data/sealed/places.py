"""The places of the samples of a sealed build: from its index, and as a column of a plan that is made from it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from sar_data.formats.container import Place

PLACE = pa.struct(
    [
        ("split", pa.string()),
        ("shard", pa.int32()),
        ("position", pa.int32()),
        ("offset", pa.int64()),
        ("key", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("mask_offset", pa.int64()),
        ("xxh3", pa.string()),
        ("mask_xxh3", pa.string()),
        ("nodata", pa.list_(pa.int64())),
    ]
)
"""The type of a place in a plan; `nodata` counts the pixels [band] that the source marks as no data."""


def place_column(index: pa.Table, bands: Sequence[str]) -> pa.StructArray:
    """Return the place of every row of an index, in its order."""
    columns = {f.name: index[f.name].combine_chunks().cast(f.type) for f in PLACE if f.name != "nodata"}
    columns["nodata"] = pa.array(_nodata(index, bands), PLACE.field("nodata").type)
    return pa.StructArray.from_arrays([columns[f.name] for f in PLACE], fields=list(PLACE))


def places_of(column: pa.StructArray) -> list[Place]:
    """Return the places of a column that `place_column` made; an empty slot is at a place without values."""
    rows = zip(*(values.to_pylist() for values in column.flatten()), strict=True)
    return [
        Place(split, shard, position, offset, key, (height, width), mask_offset, xxh3, mask_xxh3, tuple(nodata or ()))
        for split, shard, position, offset, key, height, width, mask_offset, xxh3, mask_xxh3, nodata in rows
    ]


def places(index: pa.Table, bands: Sequence[str] = ()) -> list[Place]:
    """Return the places of the packed rows of an index, in its order; without `bands`, `nodata` is empty."""
    return places_of(place_column(index.filter(pc.is_valid(index["shard"])), bands))


def _nodata(index: pa.Table, bands: Sequence[str]) -> list[list[int]]:
    """Return for every row the pixels [band] that the source marks as no data."""
    if not bands:
        return [[] for _ in range(len(index))]
    counts = []
    for row in index["masked"].to_pylist():
        marked = {entry["band"]: entry["count"] for entry in row or () if entry["reason"] == "nodata"}
        counts.append([marked.get(band, 0) for band in bands])
    return counts
