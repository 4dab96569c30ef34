"""A miniature SEN1-2: scenes of land and water whose patches overlap by half, stretched to 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sar_data import synth

SEASONS = ("ROIs1158_spring", "ROIs1868_summer", "ROIs1970_fall", "ROIs2017_winter")
SIDE, PATCHES = 256, 4  # patches of a scene lie side by side, each over half of the one before
SIGMA0_DB = (-8.0, -13.0, -20.0)


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` pictures to OUT/<season>/s1_<scene>, four a scene, scenes numbered from 0."""
    for index in range(count):
        season = SEASONS[index // PATCHES % len(SEASONS)]
        scene, patch = index // PATCHES // len(SEASONS), index % PATCHES
        folder = out / season / f"s1_{scene}"
        folder.mkdir(parents=True, exist_ok=True)
        (out / season / f"s2_{scene}").mkdir(exist_ok=True)
        ground = synth.generator(seed, index // PATCHES).standard_normal((3, 9, 9), np.float32)
        winners, _ = synth.mosaic(ground[:, :3, patch : patch + 3], SIDE)
        image = synth.speckle(np.take(synth.from_db(SIGMA0_DB), winners), 4.4, synth.generator(seed, index, 1))
        grey = np.clip((image + 25) / 25 * 255, 0, 255).astype(np.uint8)
        (folder / f"{season}_s1_{scene}_p{30 + patch}.png").write_bytes(synth.png(grey))
