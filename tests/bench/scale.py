"""How long half a million records take to split and to score: the figures of docs/performance.md.

    python -m tests.bench.scale [POLICY]

590,326 synthetic records on the lattice of BigEarthNet: tiles of 90 x 90 patches of 1,200 m, alternately in two zones
of UTM, three labels a record. The card is the whole one: three pairs of splits, at five distances. The goal is 60 s
and 1.5 GB for placing and scoring together.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pipelines.bigearthnet_s1 import PIPELINE
from sar_data.record import Record, SourceFile
from sar_data.sealed.leakage import COLUMNS, card, records_share
from sar_data.sealed.records import to_table
from sar_data.split.parse import parse
from tests.split import Shelf

COUNT, SIDE, EXTENT = 590_326, 90, 1200.0


def records(count: int) -> Iterator[Record]:
    labels = np.sort(np.random.default_rng(0).integers(0, 19, (count, 3)), axis=1).tolist()
    for number, classes in enumerate(labels):
        tile, cell = divmod(number, SIDE**2)
        column, row = divmod(cell, SIDE)
        zone, place = tile % 2, tile // 2
        x, y = 300_000 + column * EXTENT, 4_000_000 + (place * SIDE + row) * EXTENT
        yield Record(
            key=f"T{tile:02d}_{column:02d}_{row:02d}",
            files=(SourceFile("a.tif", 1),),
            labels={"classes": tuple(dict.fromkeys(classes))},
            group=f"{tile}.{row // 30}",
            place=f"T{tile:02d}",
            crs=f"EPSG:3263{3 + zone}",
            footprint=(x, y, x + EXTENT, y + EXTENT),
        )


def main() -> None:
    asked = sys.argv[1] if len(sys.argv) > 1 else "blocks"
    every = list(records(COUNT))
    walls, used = [time.perf_counter()], [time.process_time()]

    def step() -> None:
        walls.append(time.perf_counter())
        used.append(time.process_time())

    _, policy = parse(asked, PIPELINE.all_splits)
    placed = policy.assign(every, seed=0, lists=Shelf()).split
    step()
    found = card(to_table(every).select(COLUMNS).append_column("split", pa.array(placed, pa.string())), records_share)
    step()
    (placing, scoring), (first, second) = np.diff(walls), np.diff(used)
    print(f"{asked}: {len(every):,} records, touching {found['touching'].value}")
    print(f"placing {placing:.1f} s ({first:.1f} of processor), scoring {scoring:.1f} s ({second:.1f} of processor)")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
