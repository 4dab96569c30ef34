"""How long a report of a build of 590,326 samples takes, and how large it is: the figures of docs/performance.md.

    python -m tests.bench.report [FOLDER]

The build has the documents of one of that size, made of 256 miniature patches over and over; its shards are one shard
under many names, since a report reads a few hundred images only. Each report is a `sar-data report` of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
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
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.samples import SAMPLES_NAME
from sar_data.split.policy import SPLITS
from tests.mini.resealed import edit

DATASET, PATCHES, RECORDS, REPORTS = "bigearthnet-s1", 256, 590_326, 5
SIDE = 700  # patches side by side before the next row of the map begins


def large(folder: Path) -> Path:
    """Return a build of RECORDS samples below a folder."""
    raw = folder / "raw"
    catalog.synthesise(DATASET)(raw, count=PATCHES, seed=0)
    path = sar_data.build(DATASET, source=raw, out=folder, split="random", workers=2).path
    index, samples = (pq.read_table(path / name) for name in (INDEX_NAME, SAMPLES_NAME))
    packed = index.filter(pc.is_valid(index["shard"]))
    times = RECORDS // len(packed)
    shards = {name: len(split.shards) for name, split in Manifest.load(path).splits.items()}
    pq.write_table(_by_split([_copy(packed, i, shards) for i in range(times)]), path / INDEX_NAME)
    copies = [samples.set_column(0, samples.schema.field(0), _keys(samples, i)) for i in range(times)]
    pq.write_table(_by_split(copies), path / SAMPLES_NAME)

    def change(document: dict[str, Any]) -> None:
        for name, split in document["splits"].items():
            split["count"] *= times
            split["shards"] = [
                _linked(path, name, shard, i, shards[name]) for i in range(times) for shard in split["shards"]
            ]

    edit(path, change)
    return path


def _by_split(tables: list[pa.Table]) -> pa.Table:
    """Return the rows of tables, split by split, as a builder packs them."""
    return pa.concat_tables(table.filter(pc.equal(table["split"], name)) for name in SPLITS for table in tables)


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="of the build and its report; by default a temporary one")
    given = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as scratch:
        folder = given or Path(scratch)
        path, page = large(folder), folder / "report.html"
        typed = [sys.executable, "-m", "sar_data", "report", str(path), "--out", str(page)]
        for _ in range(REPORTS):
            began, before = time.perf_counter(), os.times()
            subprocess.run(typed, check=True, stdout=subprocess.DEVNULL)
            clock, after = time.perf_counter() - began, os.times()
            processor = after.children_user + after.children_system - before.children_user - before.children_system
            size = page.stat().st_size / 1e6
            print(f"{RECORDS:,} samples: {clock:.1f} s, {processor:.1f} s of processors, {size:.2f} MB", flush=True)


if __name__ == "__main__":
    main()
