"""A miniature xView3: scenes of sea and coast a little larger than a tile, a no-data rim, ships and platforms."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from sar_data import synth

HEIGHT, WIDTH = 900, 1000  # of a scene: four tiles, three of them cut off
LEAN = np.array([[[1.0]], [[0.0]]], np.float32)  # to the sea
RIM = 60  # columns without data on the left of a scene
SEA, LAND, SHIP = (-20.5, -28.0), (-9.5, -15.5), (3.0, -6.0)  # VV and VH in dB
COLUMNS = (
    "detect_lat",
    "detect_lon",
    "vessel_length_m",
    "source",
    "detect_scene_row",
    "detect_scene_column",
    "is_vessel",
    "is_fishing",
    "distance_from_shore_km",
    "scene_id",
    "confidence",
)
KINDS = (("True", "True"), ("True", "False"), ("False", ""), ("", ""), ("True", ""))
SPLITS = ("train", "validation", "public", "train")


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` scenes of 900x1000 pixels, and the csv files of their detections, to OUT."""
    rows: dict[str, list[dict[str, object]]] = {split: [] for split in SPLITS}
    for index in range(count):
        random = synth.generator(seed, index)
        scene, split = f"{seed:08x}{index:08x}v", SPLITS[index % len(SPLITS)]
        ashore, _ = synth.mosaic(random.standard_normal((2, 4, 4), np.float32) + LEAN, max(HEIGHT, WIDTH))
        power = np.take(synth.from_db(np.array([SEA, LAND]).T), ashore[:HEIGHT, :WIDTH], axis=1)
        for kind in KINDS:
            y, x = int(random.integers(20, HEIGHT - 20)), int(random.integers(RIM + 20, WIDTH - 20))
            power[:, y - 1 : y + 2, x - 4 : x + 5] = synth.from_db(SHIP)[:, None, None]
            length = f"{random.uniform(20, 300):.1f}" if kind[0] == "True" else ""
            values = (40.0, 10.0, length, "manual", y, x, *kind, 12.5, scene, random.choice(["HIGH", "MEDIUM", "LOW"]))
            rows[split].append(dict(zip(COLUMNS, values, strict=True)))
        image = synth.speckle(power, 4.4, random)
        image[:, :, :RIM] = -32768
        (out / scene).mkdir(parents=True, exist_ok=True)
        transform = (10.0, 0.0, 300000.0 + index * 1e5, 0.0, -10.0, 5000000.0)
        for name, plane in (("VV_dB", image[:1]), ("VH_dB", image[1:])):
            data = synth.geotiff(plane, epsg=32633, transform=transform, rows_per_strip=50)
            (out / scene / f"{name}.tif").write_bytes(data)
    for split, lines in rows.items():
        with open(out / f"{split}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(lines)
