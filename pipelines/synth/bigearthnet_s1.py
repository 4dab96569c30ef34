"""A miniature BigEarthNet-S1 v1.0 in its published layout: invented landscapes on the real grid of real tiles.

Each tile has a landscape of the classes of its country, which its patches cut in dense squares, so that neighbours
resemble each other as they do in the archive. Backscatter is near that of Sentinel-1 at C band; its absolute values
are plausible, not measured.
"""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.synth._bigearthnet_landscape import pixels
from pipelines.synth._bigearthnet_tiles import SIDE, TILES, scene_of, square
from sar_data import synth
from sar_data.labels import corine

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
        for name in _draw_lists(seed, index, labels):
            lists[name].append(partner)
        mapping.append(f"{partner},{name_of_patch}")
    (out / "lists").mkdir(parents=True, exist_ok=True)
    for name, names in {**lists, "s1s2_mapping.csv": mapping}.items():
        (out / "lists" / name).write_bytes("".join(f"{line}\r\n" for line in sorted(names)).encode())


def key(seed: int, index: int) -> str:
    """Return the name of a patch."""
    at, (column, row) = index % len(TILES), square(index // len(TILES) % (SIDE * SIDE))
    overflight = (column // 4 + row // 4) % 3 + 3 * (index // len(TILES) // (SIDE * SIDE))
    return f"{scene_of(at, TILES[at][1], overflight).name}_{TILES[at][0]}_{column}_{row}"


def place(index: int) -> tuple[int, tuple[int, int, int, int, int, int]]:
    """Return the EPSG code and the transform of a patch."""
    _, zone, square_x, square_y, _ = TILES[index % len(TILES)]
    column, row = square(index // len(TILES) % (SIDE * SIDE))
    # Sentinel-2's grid is that of multiples of 60 m, outwards from the 100 km square.
    west = square_x // 60 * 60 + 1200 * column
    north = -(-(square_y + 100_000) // 60) * 60 - 1200 * row
    return 32600 + zone, (10, 0, west, 0, -10, north)


def _write(root: Path, seed: int, index: int) -> tuple[str, str, list[int]]:
    """Write one patch; return its name, its partner's name and its labels among the 43."""
    at = index % len(TILES)
    overflight, position = divmod(index // len(TILES), SIDE * SIDE)
    column, row = square(position)
    tile, zone, *_ = TILES[at]
    epsg, transform = place(index)
    west, north = transform[2], transform[5]
    image, labels, _ = pixels(seed, index)
    scene = scene_of(at, zone, (column // 4 + row // 4) % 3 + 3 * overflight)
    key = f"{scene.name}_{tile}_{column}_{row}"
    partner = f"{scene.partner}_{column}_{row}"
    folder = root / key
    folder.mkdir(parents=True, exist_ok=True)
    for band, name in zip(image, ("VV", "VH"), strict=True):
        data = synth.geotiff(band[None], epsg=epsg, transform=transform, rows_per_strip=17)
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


def _draw_lists(seed: int, index: int, labels: list[int]) -> tuple[str, ...]:
    """Return the lists that name a patch; the golden ratio keeps the shares in archives of any size."""
    share = (index * 0.6180339887498949 + seed * 0.7548776662466927) % 1
    if not corine.group_classes(labels):
        return (NO_19, SNOW) if share > 0.85 else (NO_19,)
    for below, name in SPLITS:
        if share < below:
            return (name,)
    return (SNOW, CLOUD) if 0.965 < share < 0.97 else (SNOW,) if share < 0.97 else (CLOUD,)
