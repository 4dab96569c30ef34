"""What the splits of BigEarthNet share, from its real tables and lists alone: the figures of docs/leakage.md.

    python -m tests.bench.splits

The tables are those of v2.0, which name the Sentinel-2 partner in v1.0 of each patch; so the lists of v1.0 place them,
too. Patches that the tables do not have are left out (40,838 of 590,326).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.bigearthnet_s1 import PIPELINE
from sar_data.record import Record
from sar_data.sealed.leakage import COLUMNS, card, pair, records_share
from sar_data.sealed.records import to_table
from sar_data.split.blocks import Blocks
from sar_data.split.group import Group
from sar_data.split.policy import SplitPolicy
from sar_data.split.random import Random
from tests.places import SAMPLES
from tests.split import Shelf

TABLES = ("metadata.parquet", "metadata_for_patches_with_snow_cloud_or_shadow.parquet")
FIGURES = ("touching", "identical", "within_8", "place", "group", "pass")
THIRDS: dict[str, float] = {"train": 0.8, "val": 0.0, "test": 0.2}
POLICIES: dict[str, SplitPolicy] = {
    "random, 80/20": Random(**THIRDS),
    "group by acquisition, 80/20": Group(**THIRDS),
    "group by tile, 80/20": Group(**THIRDS, by="place"),
    "blocks of 10 without a buffer, 80/20": Blocks(**THIRDS, size=10, buffer=0),
    "blocks of 10 and a buffer of 1, 80/20": Blocks(**THIRDS, size=10, buffer=1),
}


def show(name: str, records: Sequence[Record], split: Sequence[str]) -> None:
    table = to_table(records).select(COLUMNS).append_column("split", pa.array(split, pa.string()))
    found = pair(card(table, records_share))
    shares = " | ".join(f"{100 * (found[figure].value or 0):.2f}" for figure in FIGURES)
    print(f"| {name} | {found['touching'].of:,} | {shares} |", flush=True)


def main() -> None:
    parts = [pq.read_table(SAMPLES / "bigearthnet-v2.0" / name) for name in TABLES]
    table = pa.concat_tables([part.select(["s1_name", "s2v1_name", "split"]) for part in parts])
    assert PIPELINE.named is not None
    records = [one for one in map(PIPELINE.named, table["s1_name"].to_pylist()) if one is not None]
    assert len(records) == len(table)
    print(f"| split | test patches | {' | '.join(FIGURES)} |")
    sides = {}
    for side in ("train", "val", "test"):
        lines = (SAMPLES / "bigearthnet-v1.0-lists" / f"{side}.csv").read_text().split()
        sides |= dict.fromkeys(lines, side)
    show("v1.0 official", records, [sides.get(name, "unused") for name in table["s2v1_name"].to_pylist()])
    count = len(parts[0])
    official = ["val" if side == "validation" else side for side in table["split"].to_pylist()]
    show("v2.0 official", records[:count], official[:count])
    for name, policy in POLICIES.items():
        show(name, records, policy.assign(records, seed=0, lists=Shelf()).split)
    print(f"{np.unique(table['s1_name'].to_numpy()).size:,} patches")


if __name__ == "__main__":
    main()
