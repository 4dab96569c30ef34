"""xView3-SAR: about 1,000 whole Sentinel-1 scenes at sea, with vessels and fixed structures found in them.

A scene is a folder <scene_id>/ with VV_dB.tif and VH_dB.tif, sigma0 in dB, about 29,400x24,400 pixels of 10 m; wind and
bathymetry lie beside them, coarser, and are left alone. Scenes are cut into tiles of 800 pixels, whose window alone is
read. What is odd about the data:
- -32768 is no data, everywhere. Tiles at a scene's edge may hold nothing else; they and the padding of the last row
  and column are NaN, counted as no data, and stay in the build.
- Detections are points (detect_scene_row, detect_scene_column) of train.csv, validation.csv, public.csv: no boxes, so
  an object is the pixel of its point. is_vessel and is_fishing may be empty, which is "unknown"; confidence LOW is
  label noise and kept in the object's attributes.
No real scene was at hand: compression, block size and the csv's further columns may be any.
"""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from sar_data.errors import BadRecord
from sar_data.labels.table import read_table
from sar_data.raster import tiff, window
from sar_data.record import Object, Record, Sample, SourceFile, window_of
from sar_data.spec import Band, DatasetSpec, Pipeline, Processing, Source, Task, Tree
from sar_data.split import declared, group

SIDE = 800
FILES = {"VV": "VV_dB.tif", "VH": "VH_dB.tif"}
LABELS = {"train.csv": "train", "validation.csv": "val", "public.csv": "test"}
CLASSES = ("not a vessel", "vessel", "fishing vessel", "unknown")
NEEDED = ("scene_id", "detect_scene_row", "detect_scene_column", "is_vessel", "is_fishing")
ATTRIBUTES = ("confidence", "vessel_length_m", "distance_from_shore_km")


def units(tree: Tree, path: str = "", below: int = 2) -> Iterator[str]:
    """Yield the scene folders at the root or up to two levels below."""
    for name in tree.folders(path):
        if FILES["VV"] in tree.files(path + name):
            yield path + name
        elif below:
            yield from units(tree, f"{path}{name}/", below - 1)


@functools.lru_cache(maxsize=2)
def _detections(tree: Tree) -> Mapping[str, tuple[str, list[tuple[tuple[int, int], dict[str, str]]]]]:
    """Return scene → its split and its detections in the csv files at the root: (row, column) and all cells of each."""
    tiles: dict[str, tuple[str, list[tuple[tuple[int, int], dict[str, str]]]]] = {}
    for name in sorted(LABELS.keys() & set(tree.files())):
        for cells in read_table(name, tree.read(name), NEEDED):
            tiles.setdefault(cells["scene_id"], (LABELS[name], []))[1].append((_place(cells, name), cells))
    return tiles


def _place(cells: Mapping[str, str], name: str) -> tuple[int, int]:
    place = [cells[column] for column in NEEDED[1:3]]
    try:
        row, column = (int(float(text)) for text in place)
    except (ValueError, OverflowError):
        raise BadRecord(name, f"expected {' and '.join(NEEDED[1:3])} in pixels, found {place}") from None
    return row, column


def _object(place: tuple[int, int], cells: Mapping[str, str], at: tuple[int, int], scene: str) -> Object:
    """Return a detection in the pixels of the tile that begins at (row, column)."""
    flags = [cells[name].lower() for name in ("is_vessel", "is_fishing")]
    if not set(flags) <= {"true", "false", ""}:
        raise BadRecord(scene, f"expected is_vessel and is_fishing of true, false or nothing, found {flags}")
    label = {"": 3, "false": 0}.get(flags[0], 2 if flags[1] == "true" else 1)
    y, x = place[0] - at[0], place[1] - at[1]
    return Object(
        label=label, box=(x, y, x + 1, y + 1), attrs={name: cells[name] for name in ATTRIBUTES if cells.get(name)}
    )


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the records of a scene's tiles, row by row."""
    scene = unit.rpartition("/")[2]
    height, width = window.shape(tree, (paths := [f"{unit}/{name}" for name in FILES.values()])[0])
    (split, rows), places = _detections(tree).get(scene, ("", [])), defaultdict(list)
    for (y, x), cells in rows:
        if not (0 <= y < height and 0 <= x < width):
            raise BadRecord(paths[0], f"expected detections inside {height}x{width} pixels, found one at {y}, {x}")
        places[y // SIDE, x // SIDE].append(((y, x), cells))
    files = tuple(SourceFile(path, tree.size(path)) for path in paths)
    crs, transform = tiff.georeference(tree, paths[0])
    for i, j in itertools.product(range(-(-height // SIDE)), range(-(-width // SIDE))):
        objects = tuple(_object(*row, (i * SIDE, j * SIDE), paths[0]) for row in places[i, j])
        where: dict[str, Any] = {**window_of(f"xView3 {scene}", row=i * SIDE, column=j * SIDE, height=SIDE, width=SIDE)}
        if crs and transform:
            a, b, c, d, e, f = transform
            west, north = c + a * j * SIDE, f + e * i * SIDE
            footprint = (west, north + SIDE * e, west + SIDE * a, north)
            where = {"crs": crs, "transform": (a, b, west, d, e, north), "footprint": footprint}
        yield Record(
            key=f"{scene}_{i:02d}_{j:02d}",
            files=files,
            objects=objects,
            group=scene,
            official=split or None,
            labels={"vessels": tuple(sorted({o.label for o in objects}))},
            unused=None if split else "scene in no label file",
            attrs={"row": str(i * SIDE), "column": str(j * SIDE)},
            **where,
        )


def read(tree: Tree, record: Record) -> Sample:
    """Return [VV, VH] in dB, float32 [2, 800, 800], NaN where there is no data."""
    image = np.full((2, SIDE, SIDE), np.nan, np.float32)
    for i, file in enumerate(record.files):
        values = window.read(tree, file.path, int(record.attrs["row"]), int(record.attrs["column"]), SIDE, SIDE)[0]
        image[i, : values.shape[0], : values.shape[1]] = np.where(values == -32768, np.float32(np.nan), values)
    return Sample(image=image, nodata=tuple(int(n) for n in np.isnan(image).sum(axis=(1, 2))))


PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="xview3",
        aliases=("xview3-sar",),
        version="1.0",
        revision=1,
        title="xView3-SAR, tiles",
        evidence="documents-only",
        may_be_empty=True,
        bands=tuple(Band(name=p, polarization=p, unit="dB", description=f"sigma0 {p}") for p in FILES),
        shape=(SIDE, SIDE),
        dtype="float32",
        pixel_size_m=10.0,
        calibration="sigma0",
        processing=Processing(),
        range_axis="mixed",
        symmetries=("azimuth-flip", "range-flip"),
        tasks=(Task(name="vessels", kind="detection", classes=CLASSES),),
        sources=(Source(name="xView3-SAR", url="https://iuu.xview.us", manual="register, download scenes and csv"),),
        lists=(),
        licence="as agreed on registration",
        citation="Paolo et al. 2022, xView3-SAR, arXiv:2206.00897",
    ),
    units=units,
    scan=scan,
    read=read,
    splits={"official": declared.Declared(), "group": group.Group()},
)
