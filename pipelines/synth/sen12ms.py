"""A miniature SEN12MS: scenes of four seasons in patches that overlap by half, MODIS maps, and one broken patch."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from sar_data import synth
from sar_data.labels import igbp
from sar_data.record import Image

LOOKS, SIDE, STEP = 4.4, 256, 128  # looks of a Sentinel-1 IW GRDH product; pixels of a patch, and between two
ACROSS = 3  # patches of a scene in a row
SCENES = (
    ("ROIs1158_spring", 1),
    ("ROIs1868_summer", 146),
    ("ROIs1970_fall", 22),
    ("ROIs2017_winter", 8),
    ("ROIs1158_spring", 106),
    ("ROIs1970_fall", 7),
)
HELD_OUT = {("ROIs1158_spring", 106)}
BROKEN = ("ROIs1868_summer", 146, 202)
# VV and VH in dB of each of the contest's ten classes.
SIGMA0_DB = (
    (-9.5, -14.6),
    (-12.5, -19),
    (-12, -18.5),
    (-13, -20.5),
    (-11.5, -18.5),
    (-11, -17.8),
    (-5.5, -13),
    (-12, -20),
    (-15, -24),
    (-20.5, -29),
)


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` patches to OUT/<season>/, the scenes in turn, and the official lists to OUT/lists."""
    lists: dict[str, list[str]] = {"train_list.txt": [], "test_list.txt": []}
    for index in range(count):
        place, number = index % len(SCENES), index // len(SCENES)
        season, scene = SCENES[place]
        patch = BROKEN[2] if (season, scene) == BROKEN[:2] and number == 0 else 30 + number
        image, codes = _pixels(seed, place, number)
        if (season, scene, patch) == BROKEN:
            image[0, 10:20, 10:20] = np.nan
        else:
            name = "test_list.txt" if (season, scene) in HELD_OUT else "train_list.txt"
            lists[name].append(f"{season}_s2_{scene}_p{patch}.tif")
        west, north = 400_000.5 + 10 * STEP * (number % ACROSS), 5_000_000.25 - 10 * STEP * (number // ACROSS)
        for kind, pixels in (("s1", image.astype(np.float64) if index % 7 == 3 else image), ("lc", codes)):
            folder = out / season / f"{kind}_{scene}"
            folder.mkdir(parents=True, exist_ok=True)
            transform = (10.0, 0.0, west, 0.0, -10.0, north)
            data = synth.geotiff(pixels, epsg=32737 - place, transform=transform, rows_per_strip=16)
            (folder / f"{season}_{kind}_{scene}_p{patch}.tif").write_bytes(data)
    (out / "lists").mkdir(parents=True, exist_ok=True)
    for name, names in lists.items():
        (out / "lists" / name).write_text("".join(f"{line}\n" for line in names))


@functools.lru_cache(len(SCENES))
def _scene(seed: int, place: int) -> tuple[synth.Floats, Image]:
    """Return a scene of 5 by 5 km: its power [band, y, x], and its IGBP codes in coarse pixels."""
    random = synth.generator(seed, 0, place)
    side = SIDE + 3 * STEP
    winners, _ = synth.mosaic(random.standard_normal((len(SIGMA0_DB), 9, 9), np.float32), side, most=10, least=0)
    coarse = np.kron(winners[16::32, 16::32], np.ones((32, 32), winners.dtype))
    codes = np.array([igbp.TO_DFC.index(code) for code in range(1, 11)], np.uint16)[coarse]
    return np.take(synth.from_db(np.array(SIGMA0_DB).T), winners, axis=1), codes


def _pixels(seed: int, place: int, number: int) -> tuple[Image, Image]:
    power, codes = _scene(seed, place)
    y, x = STEP * (number // ACROSS % ACROSS), STEP * (number % ACROSS)
    window = np.s_[..., y : y + SIDE, x : x + SIDE]
    image = synth.speckle(power[window], LOOKS, synth.generator(seed, 1, place, number))
    return image, np.stack([codes[window]] * 4)
