"""A miniature BigEarthNet v2.0: the patches of the miniature v1.0 in scene folders, with tables and reference maps."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.synth import bigearthnet_s1 as first
from pipelines.synth._bigearthnet_landscape import pixels
from sar_data import synth
from sar_data.labels import corine
from sar_data.labels.corine import CLASSES_19, CODES

EXTRA = "metadata_for_patches_with_snow_cloud_or_shadow.parquet"
SPLITS = {"train.csv": "train", "val.csv": "validation", "test.csv": "test"}
COUNTRIES = {"33": "Austria", "29": "Portugal", "35": "Finland"}
FLAGS = ("contains_seasonal_snow", "contains_cloud_or_shadow")
KINDS = dict.fromkeys(FLAGS, pa.bool_()) | {"labels": pa.list_(pa.string())}


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` patches to OUT/BigEarthNet-S1 and OUT/Reference_Maps, and both tables to OUT.

    Patches that v1.0 dropped for want of any of the 19 classes are not there. Every ninth map has unlabelled pixels.
    """
    draft = out / ".v1"
    first.synthesise(draft, count=count, seed=seed)
    listed = {name: set((draft / "lists" / name).read_text().split()) for name in first.LISTS}
    rows: list[dict[str, Any]] = []
    for index, (partner, key) in enumerate(_patches(draft, count, seed)):
        folder = draft / "BigEarthNet-S1-v1.0" / key
        facts = json.loads((folder / f"{key}_labels_metadata.json").read_text())
        labels = [CLASSES_19[i] for i in corine.group_classes(corine.indices(facts["labels"]))]
        if not labels:
            continue
        scene, tile, column, row = key.rsplit("_", 3)
        target = out / "BigEarthNet-S1" / scene / key
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{key}_labels_metadata.json").unlink()
        shutil.move(folder, target)
        overflight = partner.rsplit("_", 2)[0].replace("T9", "T09")[:26]
        patch_id = f"{overflight}_N9999_R022_T{tile}_{column:0>2}_{row:0>2}"
        flags = [partner in listed[name] for name in (first.SNOW, first.CLOUD)]
        split = next((SPLITS[name] for name in SPLITS if partner in listed[name]), "test" if index % 2 else "train")
        rows.append(
            {
                "patch_id": patch_id,
                "labels": sorted(labels),
                "split": split,
                "country": COUNTRIES[tile[:2]],
                "s1_name": key,
                "s2v1_name": partner,
                **dict(zip(FLAGS, flags, strict=True)),
            }
        )
        at = facts["coordinates"]["ulx"], facts["coordinates"]["uly"]
        _map(out, patch_id, seed, index, at, int(tile[:2]))
    shutil.rmtree(draft)
    schema = pa.schema([(name, KINDS.get(name, pa.string())) for name in rows[0]])
    for name, extra in (("metadata.parquet", False), (EXTRA, True)):
        chosen = [row for row in rows if any(row[flag] for flag in FLAGS) == extra]
        pq.write_table(pa.Table.from_pylist(chosen, schema), out / name)


def synthesise_bench(out: Path, *, count: int, seed: int) -> None:
    """Write the recommended ones of the same patches as Copernicus-Bench has them, to OUT/bigearthnet_s1s2.

    Both bands are in one file; three tables have a column of 0 and 1 a class.
    """
    draft, home = out / ".v2", out / "bigearthnet_s1s2"
    synthesise(draft, count=count, seed=seed)
    numbers = {first.key(seed, index): index for index in range(count)}
    tables: dict[str, list[list[object]]] = {name: [] for name in SPLITS.values()}
    for row in pq.read_table(draft / "metadata.parquet").to_pylist():
        name, index = row["s1_name"], numbers[row["s1_name"]]
        place, (epsg, transform) = f"{name.rsplit('_', 3)[0]}/{name}/{name}_allbands.tif", first.place(index)
        path = home / "BigEarthNet-S1-5%" / place
        path.parent.mkdir(parents=True)
        image = pixels(seed, index)[0]
        path.write_bytes(synth.geotiff(image, epsg=epsg, transform=transform, rows_per_strip=17))
        tables[row["split"]].append([place, f"{row['patch_id']}.tif", *(int(c in row["labels"]) for c in CLASSES_19)])
    shutil.rmtree(draft)
    heading = ["s1_path", "s2_path", *(f"c{i}" for i in range(len(CLASSES_19)))]
    for name, split in SPLITS.items():
        with (home / f"multilabel-{name}").open("w", newline="") as file:
            csv.writer(file).writerows([heading, *tables[split]])


GENERATORS = {"copernicus-bench": synthesise_bench}


def _patches(draft: Path, count: int, seed: int) -> list[tuple[str, str]]:
    """Return (partner, key) of the patches in the order in which they were made, as far as maps need it."""
    pairs = [line.split(",") for line in (draft / "lists/s1s2_mapping.csv").read_text().split()]
    by_key = {key: partner for partner, key in pairs}
    return [(by_key[key], key) for key in (first.key(seed, index) for index in range(count))]


def _map(out: Path, patch_id: str, seed: int, index: int, corner: tuple[float, float], zone: int) -> None:
    cover = np.array(CODES, np.uint16)[pixels(seed, index)[2]]
    if index % 9 == 0:
        cover[:20, :30] = 999
    folder = out / "Reference_Maps" / patch_id.rsplit("_", 2)[0] / patch_id
    folder.mkdir(parents=True, exist_ok=True)
    transform = (10.0, 0.0, corner[0], 0.0, -10.0, corner[1])
    data = synth.geotiff(cover[None], epsg=32600 + zone, transform=transform, rows_per_strip=34)
    (folder / f"{patch_id}_reference_map.tif").write_bytes(data)
