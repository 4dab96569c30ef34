"""A miniature BigEarthNet-S1 v2.0: the patches of the miniature v1.0 in scene folders, with tables and maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.synth.bigearthnet_s1 import Patch, patch
from sar_data import synth
from sar_data.labels import corine

COUNTRIES = {33: "Austria", 29: "Portugal", 35: "Finland"}
SPLITS = ((0.5, "train"), (0.75, "validation"), (1.0, "test"))
SCHEMA = pa.schema([
    ("patch_id", pa.string()), ("labels", pa.list_(pa.string())), ("split", pa.string()), ("country", pa.string()),
    ("s1_name", pa.string()), ("s2v1_name", pa.string()), ("contains_seasonal_snow", pa.bool_()),
    ("contains_cloud_or_shadow", pa.bool_()),
])  # fmt: skip
NAMES = "metadata.parquet", "metadata_for_patches_with_snow_cloud_or_shadow.parquet"


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` patches to OUT/BigEarthNet-S1/<scene>, their maps to OUT/Reference_Maps/<tile>, and both tables.

    About one patch in eight is in the second table alone. Patches without any of the 19 classes are not of v2.0.
    """
    rows: tuple[list[dict[str, Any]], ...] = ([], [])
    index = 0
    while sum(map(len, rows)) < count:
        made = patch(seed, index)
        labels = corine.grouped(made.labels)
        index += 1
        if not labels:
            continue
        made.write(out / "BigEarthNet-S1" / made.scene.name)
        name = _partner(made)
        share = (index * 0.6180339887498949 + seed * 0.7548776662466927) % 1
        snow, cloud = index % 8 == 5, index % 16 == 9
        rows[snow or cloud].append({
            "patch_id": name, "labels": sorted(corine.CLASSES_19[i] for i in labels),
            "split": next(split for below, split in SPLITS if share < below), "country": COUNTRIES[made.zone],
            "s1_name": made.key, "s2v1_name": f"{made.scene.partner}_{made.column}_{made.row}",
            "contains_seasonal_snow": snow, "contains_cloud_or_shadow": cloud,
        })  # fmt: skip
        if not (snow or cloud):
            _write_map(out / "Reference_Maps" / name[:-6] / name, made)
    for table, found in zip(NAMES, rows, strict=True):
        pq.write_table(pa.Table.from_pylist(found, SCHEMA), out / table)


def _partner(made: Patch) -> str:
    """Return the Sentinel-2 patch's name: a whole time, and column and row in two digits."""
    start = made.scene.partner.split("_")
    return f"{start[0]}_MSIL2A_{made.scene.time:%Y%m%dT%H%M%S}_N9999_R022_T{made.tile}_{made.column:02}_{made.row:02}"


def _write_map(folder: Path, made: Patch) -> None:
    codes = np.array(corine.CODES, np.uint16)[made.classes]
    codes[:2, :3] = 999  # unlabelled
    place = (10, 0, made.west, 0, -10, made.north)
    folder.mkdir(parents=True, exist_ok=True)
    data = synth.geotiff(codes[None], epsg=32600 + made.zone, transform=place, rows_per_strip=34)
    (folder / f"{folder.name}_reference_map.tif").write_bytes(data)
