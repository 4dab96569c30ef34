"""A miniature EuroSAT-SAR in its documented layout: one class a patch, told by its contrasts and their grain."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.eurosat_sar import CLASSES
from sar_data import synth

LOOKS = 4.4  # equivalent looks of a Sentinel-1 IW GRDH product
# VV and VH in dB of each class and of what interrupts it: fields between crops, land beside a river.
SIGMA0_DB = {
    "AnnualCrop": ((-11.5, -18.5), (-9.5, -15.5)),
    "Forest": ((-9.0, -14.2), (-11.0, -17.5)),
    "HerbaceousVegetation": ((-13.0, -20.5), (-10.5, -16.5)),
    "Highway": ((-12.0, -19.0), (-4.0, -14.5)),
    "Industrial": ((-4.5, -12.5), (-9.0, -17.5)),
    "Pasture": ((-12.2, -20.8), (-9.3, -14.6)),
    "PermanentCrop": ((-10.2, -17.0), (-12.0, -18.8)),
    "Residential": ((-6.5, -13.0), (-9.5, -15.8)),
    "River": ((-18.0, -26.0), (-10.5, -16.8)),
    "SeaLake": ((-20.5, -28.0), (-19.5, -27.5)),
}
# Nodes across a patch of each class's mosaic: from a lake in one piece to a block every 40 m.
GRAIN = {
    "AnnualCrop": 5,
    "Forest": 3,
    "HerbaceousVegetation": 8,
    "Highway": 12,
    "Industrial": 8,
    "Pasture": 4,
    "PermanentCrop": 12,
    "Residential": 16,
    "River": 4,
    "SeaLake": 2,
}
# Moisture, season and incidence move both bands, and each a little by itself: means tell classes apart in part only.
COMMON_DB, OWN_DB = 2.0, 0.8
UTM_ZONES = (30, 31, 32, 33, 34)
PIXEL_M = (9.895, 9.787)  # as found in a patch: EuroSAT's pixels are not quite 10 m


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` patches to OUT/EuroSAT-SAR/<Class>/<Class>_<n>.tif, the classes in turn, n from 1."""
    _write(out / "EuroSAT-SAR", count, seed)


def synthesise_bench(out: Path, *, count: int, seed: int) -> None:
    """Write the same patches as Copernicus-Bench has them, to OUT/eurosat_s1/all_imgs, with three lists beside."""
    home = out / "eurosat_s1"
    _write(home / "all_imgs", count, seed)
    names = [f"{path.stem}.jpg\n" for path in sorted(home.rglob("*.tif"))]
    for i, split in enumerate(("train", "val", "test")):
        (home / f"eurosat-{split}.txt").write_text("".join(names[i::3]))


GENERATORS = {"copernicus-bench": synthesise_bench}


def _write(root: Path, count: int, seed: int) -> None:
    for name in CLASSES:
        (root / name).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        name, number = CLASSES[index % len(CLASSES)], index // len(CLASSES) + 1
        (root / name / f"{name}_{number}.tif").write_bytes(_file(seed, index, name))


def _file(seed: int, index: int, name: str) -> bytes:
    random = synth.generator(seed, index)
    nodes = random.standard_normal((2, GRAIN[name], GRAIN[name]), np.float32)
    nodes[0] += 1.2  # the class itself holds most of its patch
    winners, _ = synth.mosaic(nodes, 64)
    drift_db = random.normal(0, COMMON_DB) + random.normal(0, OWN_DB, (2, 1))
    power = synth.from_db(np.array(SIGMA0_DB[name]).T + drift_db)
    image = synth.speckle(np.take(power, winners, axis=1), LOOKS, random)
    # Patches lie beside each other in rows of 40 within a zone, which is what makes places worth holding apart.
    zone, place = UTM_ZONES[index % len(UTM_ZONES)], index // len(UTM_ZONES)
    west = 400_000 + place % 40 * 64 * PIXEL_M[0]
    north = 5_400_000 - place // 40 * 64 * PIXEL_M[1]
    transform = (PIXEL_M[0], 0.0, west, 0.0, -PIXEL_M[1], north)
    return synth.geotiff(image, epsg=32600 + zone, transform=transform, rows_per_strip=16)
