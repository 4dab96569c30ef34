"""A miniature SEN12MS: scenes whose patches overlap by half, coarse maps of four bands, lists of S2 names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sar_data import synth

SEASONS = ("ROIs1158_spring", "ROIs1868_summer", "ROIs1970_fall", "ROIs2017_winter")
SIDE, PATCHES = 256, 4
CODES = (5, 10, 12, 13, 17)  # IGBP: mixed forests, grasslands, croplands, urban, water
SIGMA0_DB = ((-9.2, -14.4), (-12.5, -19.5), (-11.0, -17.8), (-5.5, -13.0), (-20.0, -27.5))
BAD = ("ROIs1868_summer", 1, 1)  # season, scene and patch in the row of the one with NaN, which no list names


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` patches, four a scene, float64 in every second scene, and the lists to OUT/lists."""
    listed: dict[str, list[str]] = {"train": [], "test": []}
    for index in range(count):
        place, patch = divmod(index, PATCHES)
        season, scene = SEASONS[place % len(SEASONS)], 1 + place // len(SEASONS)
        image, cover = _patch(seed, place, patch)
        bad = (season, scene, patch) == BAD
        if bad:
            image[0, :9, :9] = np.nan
        if place % 2:
            image = image.astype(np.float64)
        transform = (10.0, 0.0, 400000.37 + place * 1e4 + patch * SIDE * 5, 0.0, -10.0, 5400000.81)
        for kind, pixels in (("s1", image), ("lc", cover)):
            folder = out / season / f"{kind}_{scene}"
            folder.mkdir(parents=True, exist_ok=True)
            data = synth.geotiff(pixels, epsg=32633, transform=transform, rows_per_strip=32, planar=kind == "lc")
            (folder / f"{season}_{kind}_{scene}_p{30 + patch}.tif").write_bytes(data)
        if not bad:
            listed["test" if place % 5 == 4 else "train"].append(f"{season}_s2_{scene}_p{30 + patch}.tif")
    (out / "lists").mkdir(exist_ok=True)
    for name, lines in listed.items():
        (out / "lists" / f"{name}_list.txt").write_text("".join(f"{line}\n" for line in lines))


def _patch(seed: int, place: int, patch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return [VV, VH] in dB and the map [IGBP, LCCS land cover, use, hydrology], coarse as its sensor."""
    ground = synth.generator(seed, place).standard_normal((len(CODES), 9, 9), np.float32)
    winners, _ = synth.mosaic(ground[:, :3, patch : patch + 3], SIDE)
    power = np.take(synth.from_db(np.array(SIGMA0_DB).T), winners, axis=1)
    image = synth.speckle(power, 4.4, synth.generator(seed, place, patch))
    coarse = np.repeat(np.repeat(winners[25::50, 25::50], 50, 0), 50, 1)
    coarse = np.pad(coarse, ((0, SIDE - len(coarse)), (0, SIDE - len(coarse))), mode="edge")
    code = np.array(CODES, np.uint16)[coarse]
    code[:2, :2] = 0  # nothing known
    return image, np.stack([code, code + 10, code + 20, code + 30])
