"""A miniature OpenSARUrban: two cities as numbered packages, in the four formats, with the cities' own spellings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines._opensarurban import CLASSES
from pipelines.opensarurban import LISTS
from sar_data import synth
from sar_data.record import Image

LOOKS = 4.4  # equivalent looks of a Sentinel-1 IW GRDH product
SIDE = 100
# VV and VH in dB of each class and of what lies between its buildings.
SIGMA0_DB = {
    "highbuildings": ((1.0, -8.0), (-9.0, -16.5)),
    "StorageArea": ((0.0, -9.5), (-10.5, -18.5)),
    "GeneralResidential": ((-4.0, -11.5), (-9.5, -16.0)),
    "denselow": ((-5.5, -12.5), (-8.5, -15.0)),
    "Skyscraper": ((4.0, -5.0), (-8.0, -15.5)),
    "SingleBuilding": ((2.0, -7.5), (-11.0, -18.0)),
    "vegetation": ((-9.5, -15.5), (-11.5, -18.0)),
    "highway": ((-14.0, -21.0), (-9.0, -15.5)),
    "airport": ((-16.5, -23.5), (-11.0, -18.0)),
    "railway": ((-7.0, -14.0), (-10.0, -16.5)),
}
PACKAGES = ("OpenSARUrban4", "OpenSARUrban18")
SPELT_OTHERWISE = {"highbuildings": "highbuilding", "vegetation": "Vegetation"}  # in the second city
DN_OF_ONE = 600.0  # a digital number of this is 0 dB


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` pairs to OUT/<package>/<format>/, the classes in turn, and SAR-HUB's lists to OUT/lists."""
    lists: list[list[str]] = [[], [], []]
    for index in range(count):
        name, city = CLASSES[index % len(CLASSES)], index // len(CLASSES) % 2
        spelt = SPELT_OTHERWISE.get(name, name) if city else name
        place = f"x{4000 + 100 * (index // 20)}_y{9000 + 100 * (index % 20)}"
        stem = f"{spelt}_{place}_Polygon{index // 20 + 1}"
        for pol, power in zip(("vv", "vh"), _power(seed, index, name), strict=True):
            for folder, (ending, image) in _formats(power).items():
                path = out / PACKAGES[city] / folder / f"{stem}_{pol}{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(synth.geotiff(image, epsg=None, transform=None, rows_per_strip=20))
        lists[(0, 0, 0, 0, 0, 0, 0, 1, 1, 2)[(index // 10 + index) % 10]].append(f"{stem}_vv.npy {index % 10}")
    (out / "lists").mkdir(parents=True, exist_ok=True)
    for file, lines in zip(LISTS, lists, strict=True):
        (out / "lists" / file).write_text("\n".join(lines))  # without a final newline, as published


def _power(seed: int, index: int, name: str) -> synth.Floats:
    """Return sigma0 [VV, VH] in power: blocks of buildings, bright at their edges, between streets."""
    random = synth.generator(seed, index)
    winners, _ = synth.mosaic(random.standard_normal((2, 7, 7), np.float32), SIDE)
    power = synth.from_db(np.array(SIGMA0_DB[name]).T + random.normal(0, 0.5))
    return synth.from_db(synth.speckle(np.take(power, winners, axis=1), LOOKS, random))


def _formats(power: synth.Floats) -> dict[str, tuple[str, Image]]:
    """Return folder → ending and image [band, y, x]; the names of the folders are a guess, as are all in use."""
    amplitude = np.sqrt(power)[None]
    grey = np.clip(amplitude / np.percentile(amplitude, 98) * 255, 0, 255).astype(np.uint8)
    return {
        "Image": (".tif", (amplitude * DN_OF_ONE).round().clip(1, 65535).astype(np.uint16)),
        "Calib": (".tif", power[None]),
        "Uint8": (".tif", grey),
        "Pseudo_RGB": (".tif", np.repeat(grey, 3, axis=0)),
    }
