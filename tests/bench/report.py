"""How long a report of a build of 590,326 samples takes, and how large it is: the figures of docs/performance.md.

    python -m tests.bench.report [FOLDER]

The build has the documents of one of that size, made of 256 miniature patches over and over; its shards are one shard
under many names, since a report reads a few hundred images only.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import sar_data
from sar_data import catalog
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.samples import SAMPLES_NAME
from tests.mini.resealed import edit

DATASET, PATCHES, RECORDS = "bigearthnet-s1", 256, 590_326
SIDE = 700  # patches side by side before the next row of the map begins


def large(folder: Path) -> Path:
    """Return a build of RECORDS samples below a folder."""
    raw = folder / "raw"
    catalog.synthesise(DATASET)(raw, count=PATCHES, seed=0)
    path = sar_data.build(DATASET, source=raw, out=folder, split="random", workers=2).path
    index, samples = (pq.read_table(path / name) for name in (INDEX_NAME, SAMPLES_NAME))
    packed = index.filter(pc.is_valid(index["shard"]))
    times = RECORDS // len(packed)
    shards = {split: int(pc.max(rows["shard"]).as_py()) + 1 for split, rows in _by_split(packed)}
    pq.write_table(pa.concat_tables([_copy(packed, i, shards) for i in range(times)]), path / INDEX_NAME)
    copies = [samples.set_column(0, samples.schema.field(0), _keys(samples, i)) for i in range(times)]
    pq.write_table(pa.concat_tables(copies), path / SAMPLES_NAME)

    def change(document: dict[str, Any]) -> None:
        for name, split in document["splits"].items():
            split["count"] *= times
            split["shards"] = [
                _linked(path, name, shard, i, shards[name]) for i in range(times) for shard in split["shards"]
            ]

    edit(path, change)
    return path


def _by_split(table: pa.Table) -> list[tuple[str, pa.Table]]:
    return [(name, table.filter(pc.equal(table["split"], name))) for name in pc.unique(table["split"]).to_pylist()]


def _keys(table: pa.Table, number: int) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(table["key"], f"{number:04}", "_")


def _copy(table: pa.Table, number: int, shards: dict[str, int]) -> pa.Table:
    """Return index rows once more: other keys, later shards, other ground."""
    moved = pc.add(table["shard"], pc.multiply(pa.array([shards[s] for s in table["split"].to_pylist()]), number))
    ground = np.array(table["footprint"].to_pylist())
    ground[:, [0, 2]] += 1200.0 * (number % SIDE)
    ground[:, [1, 3]] -= 12_000.0 * (number // SIDE)
    columns = {"key": _keys(table, number), "shard": moved.cast(pa.int32()), "footprint": pa.array(ground.tolist())}
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), values.cast(table.schema.field(place).type))
    return table


def _linked(path: Path, split: str, shard: dict[str, Any], number: int, shards: int) -> dict[str, Any]:
    """Return the document of a shard's copy, a link to the same file."""
    own = int(shard["name"].rpartition("/")[2])
    file = shard["file"].replace(f"/c/{own}/", f"/c/{own + number * shards}/")
    if number:
        (path / file).parent.mkdir(parents=True)
        os.link(path / shard["file"], path / file)
    return {**shard, "name": f"{split}/{own + number * shards:06}", "file": file}


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch)
        path = large(folder)
        began = time.perf_counter()
        made = sar_data.report(path, out=folder / "report.html")
        taken, size = time.perf_counter() - began, made.stat().st_size
        print(f"{RECORDS:,} samples: {taken:.1f} s, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
