"""A miniature SSL4EO-S12 v1.0: places in four seasons, some with a season less, some at the edge of a swath."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from sar_data import synth

LOOKS, SIDE = 4.4, 264  # equivalent looks of a Sentinel-1 IW GRDH product
# VV and VH in dB of town, forest, crops, grass and water; crops change with the seasons.
SIGMA0_DB = np.array([(-5.5, -13), (-9.5, -14.6), (-11, -17.8), (-13, -20.5), (-20.5, -28)])
SEASONAL_DB = (0.0, 2.0, 0.5, -2.0)
PIXEL_DEG = (1.0217e-4, 8.830e-5)
VOID = (4, 5)  # numbers that no place has


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` places to OUT/s1. Every fifth lacks a season; every third has a wedge of zeros in one season."""
    number = 0
    for index in range(count):
        number += 1 + (number + 1 in VOID) * len(VOID)
        _write(out / "s1" / f"{number:07}", seed, index)


@dataclass(frozen=True, slots=True)
class Season:
    """One season of a place: its image [band, y, x] in dB, when, and in which pass."""

    image: synth.Floats
    start: datetime
    ascending: bool


def seasons(seed: int, index: int) -> Iterator[Season]:
    """Yield the four seasons of one place, a pure function of (seed, index)."""
    random = synth.generator(seed, index)
    winners, _ = synth.mosaic(random.standard_normal((len(SIGMA0_DB), 6, 6), np.float32), SIDE)
    for season in range(4):
        levels = SIGMA0_DB + np.array([[0], [0], [1], [0.5], [0]]) * SEASONAL_DB[season]
        power = synth.from_db(levels.T + random.normal(0, 0.3))
        image = synth.speckle(np.take(power, winners, axis=1), LOOKS, random)
        if index % 3 == 1 and season == 2:
            image[:, np.add.outer(np.arange(SIDE), np.arange(SIDE)) < 60] = 0  # beyond the swath
        if season == 0:
            image[0, 100, 100] = 0  # 0 dB in one band alone is a value
        ascending = (index + season) % 2 == 0
        start = datetime(2020, 3, 20, 18 if ascending else 6, 8) + timedelta(days=92 * season + index % 12)
        yield Season(image, start, ascending)


def _write(folder: Path, seed: int, index: int) -> None:
    transform = (PIXEL_DEG[0], 0.0, 73.2921 + 0.06 * index, 0.0, -PIXEL_DEG[1], 30.4758)
    for number, season in enumerate(seasons(seed, index)):
        if number == 3 and index % 5 == 3:
            continue
        span = f"{season.start:%Y%m%dT%H%M%S}_{season.start + timedelta(seconds=25):%Y%m%dT%H%M%S}"
        product = f"S1A_IW_GRDH_1SDV_{span}_{31_000 + 15 * number + index:06}_{index * 7 + number:06X}_{index:04X}"
        (folder / product).mkdir(parents=True, exist_ok=True)
        for name, band in zip(("VV", "VH"), season.image, strict=True):
            data = synth.geotiff(band[None], epsg=4326, transform=transform, rows_per_strip=7)
            (folder / product / f"{name}.tif").write_bytes(data)
        milliseconds = int(season.start.replace(tzinfo=UTC).timestamp() * 1000)
        facts = {
            "orbitProperties_pass": "ASCENDING" if season.ascending else "DESCENDING",
            "platform_number": "A",
            "system:index": product,
            "system:time_start": milliseconds,
        }
        (folder / product / "metadata.json").write_text(json.dumps(facts))
