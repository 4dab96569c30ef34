"""A miniature BigEarthNet-S1 v1.0 in its published layout: invented landscapes on the real grid of real tiles.

Each tile has a landscape of the classes of its country, which its patches cut in dense squares, so that neighbours
resemble each other as they do in the archive. Backscatter is near that of Sentinel-1 at C band; its absolute values
are plausible, not measured.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from sar_data import synth
from sar_data.labels import corine

LOOKS = 4.4  # equivalent looks of a Sentinel-1 IW GRDH product
SIDE = 91  # patches along a tile
# VV and VH in dB of the 43 classes, in canonical order.
SIGMA0_DB = (
    (-5, -12), (-7, -13.5), (-4.5, -12.5), (-9, -16), (-5, -14), (-15, -22), (-11, -19), (-10.5, -18), (-10, -17.5),
    (-9.5, -15.5), (-11.5, -18.5), (-11.5, -18.5), (-10, -16.5), (-14, -22), (-11, -20), (-10, -16), (-9.5, -16.8),
    (-12.5, -20), (-10.8, -17.8), (-10.5, -17), (-10, -16.2), (-11, -17.5), (-8.8, -13.8), (-10, -15), (-9.4, -14.4),
    (-13.5, -21.5), (-12.8, -18.8), (-10.8, -16.6), (-10.2, -15.8), (-16.5, -25), (-10, -19.5), (-12.5, -21),
    (-11, -20.5), (-11, -18), (-12, -19.3), (-14, -20.8), (-19, -26), (-17.5, -25.5), (-20, -28), (-21.5, -29),
    (-18.5, -27.5), (-18, -27), (-16.5, -26.5),
)  # fmt: skip
AUSTRIA = (1, 2, 10, 11, 17, 19, 20, 22, 23, 24, 31, 39)
IRELAND = (1, 10, 11, 17, 26, 28, 29, 34, 37, 39, 42)
PORTUGAL = (0, 6, 12, 14, 16, 21, 22, 25, 27, 35, 40, 42)
FINLAND = (1, 11, 20, 23, 24, 28, 30, 34, 38, 39)
# MGRS tile, UTM zone, south-west corner of its 100 km square, classes.
TILES = (
    ("33UUP", 33, 300_000, 5_300_000, AUSTRIA), ("29SND", 29, 500_000, 4_300_000, PORTUGAL),
    ("35VPK", 35, 600_000, 6_900_000, FINLAND), ("29UPU", 29, 600_000, 5_800_000, IRELAND),
    ("33UVP", 33, 400_000, 5_300_000, AUSTRIA), ("29SNC", 29, 500_000, 4_200_000, PORTUGAL),
    ("35VNK", 35, 500_000, 6_900_000, FINLAND), ("29UNU", 29, 500_000, 5_800_000, IRELAND),
)  # fmt: skip
DROPPED = tuple(i for i, index in enumerate(corine.TO_19) if index is None)
SPLITS = ((0.45, "train.csv"), (0.65, "val.csv"), (0.85, "test.csv"))
EXCLUDED = ("seasonal_snow", "cloud_and_shadow", "no_19_class_targets")
SNOW, CLOUD, NO_19 = (f"patches_with_{what}.csv" for what in EXCLUDED)
LISTS = (*(name for _, name in SPLITS), SNOW, CLOUD, NO_19)
WKT = (
    'PROJCS["WGS 84 / UTM zone {zone}N",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,'
    'AUTHORITY["EPSG","7030"]],AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],'
    'UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AXIS["Latitude",NORTH],AXIS["Longitude",EAST],'
    'AUTHORITY["EPSG","4326"]],PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",0],'
    'PARAMETER["central_meridian",{meridian}],PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],'
    'PARAMETER["false_northing",0],UNIT["metre",1,AUTHORITY["EPSG","9001"]],AXIS["Easting",EAST],'
    'AXIS["Northing",NORTH],AUTHORITY["EPSG","326{zone}"]]'
)


def synthesise(out: Path, *, count: int, seed: int) -> None:
    """Write `count` patches to OUT/BigEarthNet-S1-v1.0 and the official lists to OUT/lists.

    Patches are pure functions of (seed, index); about 45, 20 and 20 % are for train, val and test, the others are
    in one exclusion list or two. Lists name Sentinel-2 partners, CRLF, no heading; the mapping has both names.
    """
    lists: dict[str, list[str]] = {name: [] for name in LISTS}
    mapping = []
    for index in range(count):
        name_of_patch, partner, labels = _write(out / "BigEarthNet-S1-v1.0", seed, index)
        for name in _listed(seed, index, labels):
            lists[name].append(partner)
        mapping.append(f"{partner},{name_of_patch}")
    (out / "lists").mkdir(parents=True, exist_ok=True)
    for name, names in {**lists, "s1s2_mapping.csv": mapping}.items():
        (out / "lists" / name).write_bytes("".join(f"{line}\r\n" for line in sorted(names)).encode())


def key(seed: int, index: int) -> str:
    """Return the name of a patch."""
    at, (column, row) = index % len(TILES), _square(index // len(TILES) % (SIDE * SIDE))
    overflight = (column // 4 + row // 4) % 3 + 3 * (index // len(TILES) // (SIDE * SIDE))
    return f"{_scene(at, TILES[at][1], overflight).name}_{TILES[at][0]}_{column}_{row}"


def _write(root: Path, seed: int, index: int) -> tuple[str, str, list[int]]:
    """Write one patch; return its name, its partner's name and its labels among the 43."""
    at = index % len(TILES)
    overflight, position = divmod(index // len(TILES), SIDE * SIDE)
    column, row = _square(position)
    tile, zone, square_x, square_y, _ = TILES[at]
    image, labels, _ = pixels(seed, index)
    scene = _scene(at, zone, (column // 4 + row // 4) % 3 + 3 * overflight)
    # Sentinel-2's grid is that of multiples of 60 m, outwards from the 100 km square.
    west = square_x // 60 * 60 + 1200 * column
    north = -(-(square_y + 100_000) // 60) * 60 - 1200 * row
    key = f"{scene.name}_{tile}_{column}_{row}"
    partner = f"{scene.partner}_{column}_{row}"
    folder = root / key
    folder.mkdir(parents=True, exist_ok=True)
    for band, name in zip(image, ("VV", "VH"), strict=True):
        data = synth.geotiff(band[None], epsg=32600 + zone, transform=(10, 0, west, 0, -10, north), rows_per_strip=17)
        (folder / f"{key}_{name}.tif").write_bytes(data)
    facts = {
        "labels": [corine.CLASSES_43[i] for i in labels],
        "coordinates": {"ulx": west, "uly": north, "lrx": west + 1200, "lly": north - 1200},
        "projection": WKT.format(zone=zone, meridian=6 * zone - 183),
        "corresponding_s2_patch": partner,
        "scene_source": scene.product,
        "acquisition_time": scene.time.isoformat(),
    }
    (folder / f"{key}_labels_metadata.json").write_text(json.dumps(facts), encoding="utf-8")
    return key, partner, labels


def pixels(seed: int, index: int) -> tuple[synth.Floats, list[int], synth.Classes]:
    """Return a patch in dB [VV and VH, y, x], its labels among the 43, and the class of each of its pixels [y, x]."""
    at = index % len(TILES)
    column, row = _square(index // len(TILES) % (SIDE * SIDE))
    random = synth.generator(seed, 1, index)
    classes = np.array(TILES[at][4])
    if index % 97 == 41:  # rare as in the archive: a patch without any of the 19 classes
        classes, nodes = np.array(DROPPED), np.zeros((len(DROPPED), 3, 3), np.float32)
        nodes[random.integers(len(DROPPED))] = 1
    else:
        nodes = _landscape(seed, at)[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
    winners, present = synth.mosaic(nodes, 120)
    # Incidence grows from near to far range, and no two overflights are equal.
    drift_db = 0.5 - column / SIDE + random.normal(0, 0.3)
    power = synth.from_db(np.array(SIGMA0_DB)[classes].T + drift_db)
    image = synth.speckle(np.take(power, winners, axis=1), LOOKS, random)
    return image, sorted(classes[present].tolist()), classes[winners]


@functools.lru_cache(len(TILES))
def _landscape(seed: int, at: int) -> synth.Floats:
    """Return scores [class, y, x] on a grid of 600 m: regions of some patches' size with detail within."""
    random = synth.generator(seed, 0, at)
    nodes = 2 * SIDE + 1
    classes = TILES[at][4]
    regions = random.standard_normal((len(classes), nodes // 6 + 2, nodes // 6 + 2), np.float32)
    place = np.arange(nodes)
    weights = np.maximum(0, 1 - np.abs(place[:, None] / 6 - np.arange(nodes // 6 + 2))).astype(np.float32)
    scores: synth.Floats = 2 * (weights @ regions @ weights.T)
    scores += 0.7 * random.standard_normal(scores.shape, np.float32)
    scores[np.isin(classes, DROPPED)] -= 1.5  # rare in the archive, so that few patches lose all their labels
    return scores


def _square(position: int) -> tuple[int, int]:
    """Return column and row of the n-th patch of a tile: every first n*n patches are a square."""
    side = math.isqrt(position)
    rest = position - side * side
    return (side, rest) if rest <= side else (rest - side - 1, side)


@dataclass(frozen=True, slots=True)
class _Scene:
    name: str
    partner: str
    product: str
    time: datetime


@functools.lru_cache(256)
def _scene(at: int, zone: int, overflight: int) -> _Scene:
    """Return an overflight of a tile: 6 or 18 h local solar time, every 12 days, S1B six days apart from S1A."""
    satellite, first = ("S1B", 6122) if (at + overflight) % 3 == 2 else ("S1A", 17018)
    offset_h = (6 * zone - 183) / 15
    epoch = datetime(2017, 6, 13, 16, 50, 43) + timedelta(days=6 * (satellite == "S1B"))
    day = datetime(2017, 6, 13) + timedelta(days=37 * at % 240 + 12 * overflight + 6 * (satellite == "S1B"))
    time = day + timedelta(hours=(6 if at % 2 else 18) - offset_h, minutes=at, seconds=overflight % 60)
    orbit = first + math.floor((time - epoch) / timedelta(days=12) * 175)
    span = f"{time:%Y%m%dT%H%M%S}_{time + timedelta(seconds=25):%Y%m%dT%H%M%S}"
    product = f"{satellite}_IW_GRDH_1SDV_{span}_{orbit:06d}_{orbit * 7:06X}_{orbit * 40503 % 65536:04X}"
    # Published Sentinel-2 names lost the zero of 09 h, and some of those count 60 and 61 seconds.
    clock = {29: "11", 33: "10", 35: "9"}[zone] + f"{33 + at}" + ("61" if zone == 35 and overflight % 2 else "60")
    if zone != 35:
        clock = f"{clock[:4]}{21 + overflight % 30}"
    partner = f"S2{'AB'[overflight % 2]}_MSIL2A_{time + timedelta(days=1):%Y%m%d}T{clock}"
    return _Scene(f"{satellite}_IW_GRDH_1SDV_{time:%Y%m%dT%H%M%S}", partner, product, time)


def _listed(seed: int, index: int, labels: list[int]) -> tuple[str, ...]:
    """Return the lists that name a patch; the golden ratio keeps the shares in archives of any size."""
    share = (index * 0.6180339887498949 + seed * 0.7548776662466927) % 1
    if not corine.grouped(labels):
        return (NO_19, SNOW) if share > 0.85 else (NO_19,)
    for below, name in SPLITS:
        if share < below:
            return (name,)
    return (SNOW, CLOUD) if 0.965 < share < 0.97 else (SNOW,) if share < 0.97 else (CLOUD,)
