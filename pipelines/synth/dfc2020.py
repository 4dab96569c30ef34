"""A miniature DFC2020: the validation archives wrapped in their folders, those of the test flat, with macOS junk."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from sar_data import synth
from sar_data.labels import igbp
from sar_data.record import Image

LOOKS = 4.4  # equivalent looks of a Sentinel-1 IW GRDH product
# VV and VH in dB of the contest's codes that occur.
SIGMA0_DB = {
    1: (-9.5, -14.6),
    2: (-12.5, -19),
    4: (-13, -20.5),
    5: (-11.5, -18.5),
    6: (-11, -17.8),
    7: (-5.5, -13),
    9: (-15, -24),
    10: (-20.5, -29),
}
OF_IGBP = {code: igbp.TO_DFC.index(code) for code in SIGMA0_DB}  # one IGBP code of each
SIDE, BLOCK = 256, 64  # the coarse map has pixels of 500 m, resampled
LISTS = ("dfc-train-new.csv", "dfc-val-new.csv", "dfc-test-new.csv")


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` patches, every third of the validation, to OUT, and Copernicus-Bench's lists to OUT/lists."""
    lists: dict[str, list[str]] = {name: [] for name in LISTS}
    for index in range(count):
        n, rest = divmod(index, 3)
        part, number = ("validation", n) if rest == 0 else ("test", 2 * n + rest - 1)
        image, codes = _pixels(seed, index)
        coarse = np.kron(codes[BLOCK // 2 :: BLOCK, BLOCK // 2 :: BLOCK], np.ones((BLOCK, BLOCK), codes.dtype))
        _write(out, part, "s1", number, image)
        _write(out, part, "dfc", number, codes.astype(np.int32)[None])
        _write(out, part, "lc", number, np.stack([np.vectorize(OF_IGBP.get)(coarse)] * 4).astype(np.uint16))
        if part == "test":
            place = number % 5 - 2
            lists[LISTS[max(place, 0)]].append(f"ROIs0000_test_dfc_0_p{number}.tif")
    junk = out / "__MACOSX" / "s1_0"
    junk.mkdir(parents=True, exist_ok=True)
    (junk / "._ROIs0000_test_s1_0_p0.tif").write_bytes(b"\0\5\x16\7")
    (out / "lists").mkdir(exist_ok=True)
    for name, names in lists.items():
        (out / "lists" / name).write_text("".join(f"{line}\n" for line in names))


def synthesise_bench(out: Path, *, count: int, seed: int) -> None:
    """Write `count` patches of the test as Copernicus-Bench has them, to OUT/dfc2020_s1s2, with its lists beside."""
    home = out / "dfc2020_s1s2"
    synthesise(home, count=-(-3 * count // 2), seed=seed)  # two of three are of the test
    for kind in ("s1", "dfc"):
        (home / f"{kind}_0").rename(home / kind)
    for name in LISTS:
        (home / "lists" / name).rename(home / name)
    for folder in ("ROIs0000_validation", "lc_0", "lists", "__MACOSX"):
        shutil.rmtree(home / folder)


GENERATORS = {"copernicus-bench": synthesise_bench}


def _write(out: Path, part: str, kind: str, number: int, image: Image) -> None:
    wrapped = out / "ROIs0000_validation" / f"{kind}_validation" if part == "validation" else out / f"{kind}_0"
    wrapped.mkdir(parents=True, exist_ok=True)
    data = synth.geotiff(image, epsg=4326, transform=None, rows_per_strip=16)
    (wrapped / f"ROIs0000_{part}_{kind}_0_p{number}.tif").write_bytes(data)


def _pixels(seed: int, index: int) -> tuple[Image, Image]:
    """Return the image [band, y, x] in dB, float64, and the codes [y, x]."""
    random = synth.generator(seed, index)
    winners, _ = synth.mosaic(random.standard_normal((len(SIGMA0_DB), 5, 5), np.float32), SIDE)
    power = synth.from_db(np.array(list(SIGMA0_DB.values())).T + random.normal(0, 0.4))
    image = synth.speckle(np.take(power, winners, axis=1), LOOKS, random).astype(np.float64)
    image += 1e-9  # a value that float32 does not hold, as in the files
    return image, np.array(list(SIGMA0_DB))[winners]
