"""LS-SSDD-v1.0: 15 large Sentinel-1 scenes with 6,015 small ships, cut into 9,000 tiles of 800x800 pixels.

A scene is 24000x16000 pixels, VV or VH amplitude stretched to 8 bits; its tiles are 01_1_1.jpg to 15_20_30.jpg: scene,
row 1 to 20, column 1 to 30. What is odd about it:
- Most tiles have no ship; each still has an XML, without any object, and all belong to the task.
- Images are in JPEGImages_sub_train (scenes 01 to 10) and JPEGImages_sub_test (11 to 15), in some copies in one flat
  folder, and some copies nest every folder in one of its own name. Each is found; a tile stored twice is an error.
- The variant "scenes" reads the 15 whole scenes of JPEGImages and Annotations instead: 384 MB each.
- A COCO form by others (ids from 0, category_id the text "1") circulates; the XML is what counts here.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from pipelines._repacked import SPLITS, VOC, YOLO, Copy, fit_copy
from sar_data.errors import BadRecord, SourceError
from sar_data.labels import boxes, voc
from sar_data.labels.discovery import Picture
from sar_data.raster import image
from sar_data.record import Record, Sample, SourceFile, window_of
from sar_data.sources.tree import read_with_digest
from sar_data.spec import Band, DatasetSpec, Pipeline, Processing, Source, Task, Tree
from sar_data.split import declared, group, random

TILE = re.compile(r"(\d{2})_(\d{1,2})_(\d{1,2})\.jpg")
SCENE = re.compile(r"(\d{2})\.jpg")
SIDE, ROWS, COLUMNS, CLASSES = 800, 20, 30, ("ship",)
DEEPEST = 5


def _within(tree: Tree, path: str = "", below: int = DEEPEST) -> Iterator[str]:
    yield path
    for name in tree.folders(path) if below else ():
        yield from _within(tree, f"{path}{name}/", below - 1)


@functools.lru_cache(maxsize=4)
def _find_files(tree: Tree, form: re.Pattern[str]) -> dict[str, dict[str, str]]:
    """Return "jpg" and "xml" → stem → path, wherever below the root files of this form of name lie."""
    files: dict[str, dict[str, str]] = {"jpg": {}, "xml": {}}
    for folder in _within(tree):
        for name in tree.files(folder):
            stem, _, ending = name.rpartition(".")
            if ending not in files or form.fullmatch(f"{stem}.jpg") is None:
                continue
            if (other := files[ending].setdefault(stem, folder + name)) != folder + name:
                raise SourceError(f"expected {name} once, found {other} and {folder}{name}: keep one of the copies")
    return files


def units(tree: Tree, form: re.Pattern[str] = TILE) -> Iterator[str]:
    """Yield the images that have, and the annotations that want, the other."""
    _find_files.cache_clear()  # a build begins here: the source may have changed since the last
    files = _find_files(tree, form)
    if files["xml"]:  # without any, the folder is of another dataset
        yield from (files["jpg"].get(stem, path) for stem, path in files["xml"].items())
        yield from (path for stem, path in files["jpg"].items() if stem not in files["xml"])


def scan(tree: Tree, unit: str, form: re.Pattern[str] = TILE) -> Iterator[Record]:
    """Yield the record of one image."""
    stem = unit.rpartition("/")[2].rpartition(".")[0]
    paths = {ending: known.get(stem) for ending, known in _find_files(tree, form).items()}
    if (missing := next((ending for ending, path in paths.items() if path is None), None)) is not None:
        raise BadRecord(unit, f"expected {stem}.jpg and {stem}.xml, found no {stem}.{missing}")
    jpg, xml = str(paths["jpg"]), str(paths["xml"])
    scene, *place = stem.split("_")
    if not 1 <= int(scene) <= 15 or (place and not (1 <= int(place[0]) <= ROWS and 1 <= int(place[1]) <= COLUMNS)):
        raise BadRecord(unit, f"expected a scene 01 to 15, rows to {ROWS} and columns to {COLUMNS}, found {stem}")
    split = "train" if int(scene) <= 10 else "test"
    if jpg.rpartition("/")[0].endswith("_train" if split == "test" else "_test"):
        raise BadRecord(jpg, f"expected scene {scene} among the {split} images, found it elsewhere")
    file, data = read_with_digest(tree, xml)
    known = voc.parse(data, xml, CLASSES)
    shape = known.shape or image.dimensions(tree, jpg)
    if place and shape != (SIDE, SIDE):
        raise BadRecord(xml, f"expected a size of {SIDE}x{SIDE}, found {shape}")
    if any(thing.box is None for thing in known.things):
        raise BadRecord(xml, "expected a <bndbox> in every <object>, found none")
    objects = boxes.collect_objects(known.things, partial(voc.object_of, shape=shape, path=xml, most=boxes.SLACK))
    yield Record(
        key=stem,
        files=(SourceFile(jpg, tree.size(jpg)), file),
        objects=objects,
        official=split,
        labels={"ships": (0,) if objects else ()},
        shape=None if place else shape,
        **_fields_of(scene, place, shape),
    )


def named(key: str) -> Record | None:
    """Return the record of a tile by its name alone."""
    return (
        Record(key=key, files=(), **_fields_of(key[:2], key.split("_")[1:])) if TILE.fullmatch(f"{key}.jpg") else None
    )


def _fields_of(scene: str, tile: Sequence[str], shape: tuple[int, int] = (SIDE, SIDE)) -> dict[str, Any]:
    """Return what a name tells: the scene, and of a tile its row and column, which count from 1."""
    y, x = (SIDE * (int(number) - 1) for number in tile or ("1", "1"))
    window = window_of(f"LS-SSDD {scene}", row=y, column=x, height=shape[0], width=shape[1])
    return {"group": scene, "place": scene, "attrs": dict(zip(("row", "column"), tile, strict=False)), **window}


def read(tree: Tree, record: Record) -> Sample:
    """Return the one channel, uint8 [1, y, x]."""
    path = record.files[0].path
    return Sample(image=image.grey(tree.read(path), path, shape=record.shape or (SIDE, SIDE)))


def _about(tree: Tree, picture: Picture) -> dict[str, Any]:
    """Return what a tile's name tells, in any copy."""
    scene, *tile = picture.stem.split("_")
    official = "train" if int(scene) <= 10 else "test"
    return {"key": picture.stem, "official": official, **_fields_of(scene, tile)}


def copies(tree: Tree) -> tuple[Pipeline, str] | None:
    """Return the pipeline of tiles with other annotations."""
    return fit_copy(tree, Copy(TILES, re.compile(r"\d{2}_\d{1,2}_\d{1,2}"), _about))


SPEC = DatasetSpec(
    name="ls-ssdd",
    aliases=("ls-ssdd-v1.0",),
    version="1.0",
    revision=1,
    title="LS-SSDD-v1.0",
    evidence="real-lists",
    samples=9000,
    published={"train": 6000, "test": 3000},
    bands=(Band(name="grey", polarization="", unit="8-bit", description="stretched amplitude, VV or VH"),),
    shape=(SIDE, SIDE),
    dtype="uint8",
    pixel_size_m=10.0,
    calibration="stretched",
    processing=Processing(),
    range_axis="mixed",
    symmetries=("azimuth-flip", "range-flip"),
    tasks=(Task(name="ships", kind="detection", classes=CLASSES),),
    sources=(
        Source(
            name="LS-SSDD-v1.0-OPEN",
            url="https://radars.ac.cn/web/data/getData?dataType=DatasetinthePaper_en",
            manual="open the page, download the parts (rar) and unpack them into one folder",
        ),
    ),
    lists=(),
    licence="Apache-2.0 (repository TianwenZhang0825/LS-SSDD-v1.0-OPEN)",
    citation="Zhang et al. 2020, LS-SSDD-v1.0, Remote Sensing 12(18):2997",
)
TILES = Pipeline(
    spec=SPEC,
    units=units,
    scan=scan,
    read=read,
    named=named,
    copies=copies,
    copy_splits=SPLITS,
    layouts={"VOC flat": VOC, "COCO": ("JPEGImages_sub/*.jpg", "annotations/{train,test}.json"), "YOLO": YOLO},
    splits={"official": declared.Declared(), "group": group.Group(), "random": random.Random()},
)
WHOLE = dataclasses.replace(
    SPEC, variant="scenes", title="LS-SSDD-v1.0, whole scenes", shape=None, samples=15, published={}
)
PIPELINE = dataclasses.replace(
    TILES,
    variants={
        "scenes": dataclasses.replace(
            TILES, spec=WHOLE, named=None, units=partial(units, form=SCENE), scan=partial(scan, form=SCENE)
        )
    },
)
