"""A miniature set of one's own: georeferenced GeoTIFFs of linear power, two bands a file, in class folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sar_data import synth

POWER = {"Field": (0.05, 0.010), "Grove": (0.12, 0.030), "Water": (0.008, 0.001)}  # mean sigma0 of VV and VH
SIDE, PIXEL_M = 64, 10.0
DECLARATION = """\
name = "my-chips"
title = "Chips of one's own"
images = "chips"
bands = ["VV", "VH"]
unit = "power"
calibration = "sigma0"
pixel_size_m = 10
task = "classification"
labels = "folders"
split = "stratified"
"""


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` chips of 64x64 pixels below out/chips, and out/dataset.toml."""
    names = list(POWER)
    for index in range(count):
        name = names[index % len(names)]
        folder = out / "chips" / name
        folder.mkdir(parents=True, exist_ok=True)
        random = synth.generator(seed, index)
        power = np.array(POWER[name], np.float32)[:, None, None] * np.ones((1, SIDE, SIDE), np.float32)
        image = synth.from_db(synth.speckle(power, 4.4, random))
        column, row = index % 10, index // 10
        left, top = 600_000 + column * 2 * SIDE * PIXEL_M, 5_340_000 - row * 2 * SIDE * PIXEL_M
        transform = (PIXEL_M, 0.0, left, 0.0, -PIXEL_M, top)
        data = synth.geotiff(image, epsg=32632, transform=transform, rows_per_strip=32)
        (folder / f"chip_{index:04d}.tif").write_bytes(data)
    (out / "dataset.toml").write_text(DECLARATION)
