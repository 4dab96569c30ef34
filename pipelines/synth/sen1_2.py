"""A miniature SEN1-2: stretched VV pictures of scenes that count from 0, beside optical ones that nothing reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sar_data import synth

LOOKS, SIDE = 4.4, 256  # equivalent looks of a Sentinel-1 IW GRDH product
SEASONS = ("ROIs1158_spring", "ROIs1868_summer", "ROIs1970_fall", "ROIs2017_winter")
SIGMA0_DB = np.array([(-5.5,), (-9.5,), (-11.0,), (-13.0,), (-20.5,)])  # VV
SCENES = 3  # a season


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` pairs to OUT/<season>/{s1,s2}_<scene>, seasons and scenes in turn."""
    for index in range(count):
        season, scene = SEASONS[index % 4], index // 4 % SCENES
        random = synth.generator(seed, index)
        winners, _ = synth.mosaic(random.standard_normal((len(SIGMA0_DB), 6, 6), np.float32), SIDE)
        image = synth.speckle(np.take(synth.from_db(SIGMA0_DB.T), winners, axis=1), LOOKS, random)[0]
        low, high = np.percentile(image, (1, 99))  # each picture by a stretch of its own
        grey = np.clip((image - low) / (high - low) * 255, 0, 255).astype(np.uint8)
        for kind, pixels in (("s1", grey), ("s2", 255 - grey)):
            folder = out / season / f"{kind}_{scene}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{season}_{kind}_{scene}_p{30 + index}.png").write_bytes(synth.png(pixels))
