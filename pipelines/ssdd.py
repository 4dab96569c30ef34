"""SSDD, official release: 1,160 radar images with 2,587 ships, each as box, as rotated box and as polygon.

Images are 8-bit grey JPEGs (three equal channels) of 190 to 668 pixels a side, display-stretched, from RadarSat-2,
TerraSAR-X and Sentinel-1 in several polarizations; which image is from where is not told. What is odd about them:
- The release stores every image many times: in BBox_SSDD, RBox_SSDD and PSeg_SSDD, by split, inshore and offshore. Only
  BBox_SSDD/voc_style/JPEGImages is read; the kinds of XML there are of one name become one record, ship by ship.
- Stems that end in 1 or 9 are test (232), the others train (928). Where ImageSets/Main is there too, it must agree.
- Folders such as JPEGImages_test_inshore tell `scene`, inshore or offshore.
- The OLD SSDD of 2017 has the same 1,160 names with about 2,456 coarser boxes. Many copies of "SSDD" are the old one: a
  whole set whose ships are not 2,587 stops the build.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from pipelines._repacked import ROBOFLOW, SPLITS, VOC, YOLO, Copy, fit_copy
from sar_data.errors import BadRecord, SourceError
from sar_data.labels import voc
from sar_data.labels.discovery import Picture
from sar_data.raster import image
from sar_data.record import Record, Sample, SourceFile
from sar_data.sources.tree import find_parent, read_with_digest
from sar_data.spec import Band, DatasetSpec, Pipeline, Processing, Source, Task, Tree
from sar_data.split import declared, random
from sar_data.text import decode

IMAGES, SHIPS = 1160, 2587
BOXES, ROTATED, POLYGONS = (f"{kind}_SSDD/voc_style/" for kind in ("BBox", "RBox", "PSeg"))
TEST_ENDS, CLASSES = ("1", "9"), ("ship",)


def units(tree: Tree) -> Iterator[str]:
    """Yield the annotations with horizontal boxes."""
    _read_notes.cache_clear()  # a build begins here: the source may have changed since the last
    home = find_parent(tree, "BBox_SSDD")
    if home is not None and "voc_style" in tree.folders(f"{home}BBox_SSDD"):
        folder = f"{home}{BOXES}Annotations"
        yield from (f"{folder}/{name}" for name in tree.files(folder) if name.endswith(".xml") and name[0] != ".")


@functools.lru_cache(maxsize=4)
def _read_notes(tree: Tree, root: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return stem → split of the official lists, and stem → scene of the folders, as far as they are there."""
    folders, listed = set(tree.folders(root)), dict[str, str]()
    for split in ("train", "test") if "ImageSets" in folders else ():
        stems = decode(tree.read(f"{root}ImageSets/Main/{split}.txt")).split()
        listed |= dict.fromkeys(stems, split)
    parts = ((f"JPEGImages_{split}_{scene}", scene) for split in ("train", "test") for scene in ("inshore", "offshore"))
    here = [(name, scene) for name, scene in parts if name in folders]
    return listed, {file.rpartition(".")[0]: scene for name, scene in here for file in tree.files(root + name)}


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the record of one image, its ships drawn in three ways."""
    root, stem = unit.rpartition("Annotations/")[0], unit.rpartition("/")[2].removesuffix(".xml")
    if len(stem) != 6 or not stem.isdecimal():
        raise BadRecord(unit, f"expected a name of six digits, found {stem}")
    listed, scenes = _read_notes(tree, root)
    split = "test" if stem.endswith(TEST_ENDS) else "train"
    if listed and listed.get(stem) != split:
        raise BadRecord(
            unit,
            f"expected {stem} in ImageSets/Main/{split}.txt (stems ending in 1 or 9 are test), "
            f"found it in {listed.get(stem, 'no list')}",
        )
    there = tree.folders(unit.partition(BOXES)[0])
    paths = [unit.replace(BOXES, kind) for kind in (BOXES, ROTATED, POLYGONS) if kind.partition("/")[0] in there]
    read = [read_with_digest(tree, path) for path in paths]
    drawn = {path: voc.parse(data, path, CLASSES) for path, (_, data) in zip(paths, read, strict=True)}
    jpeg = f"{root}JPEGImages/{stem}.jpg"
    shapes = {annotation.shape or image.dimensions(tree, jpeg) for annotation in drawn.values()}
    if len(shapes) != 1:
        raise BadRecord(unit, f"expected one size in all of its files, found {sorted(map(str, shapes))}")
    (shape,) = shapes
    yield Record(
        key=stem,
        files=(SourceFile(jpeg, tree.size(jpeg)), *(file for file, _ in read)),
        shape=shape,
        objects=(objects := voc.join_annotations(drawn, shape)),
        official=split,
        labels={"ships": (0,) if objects else ()},
        attrs={"scene": scenes[stem]} if stem in scenes else {},
    )


def read(tree: Tree, record: Record) -> Sample:
    """Return the one channel, uint8 [1, y, x], of the size that the annotations say."""
    path = record.files[0].path
    return Sample(image=image.grey(tree.read(path), path, shape=record.shape))


def fit(tree: Tree) -> tuple[Pipeline, tuple[str, ...]]:
    """Count images and ships; raise SourceError for a whole set that is not the official release."""
    paths = list(units(tree))
    ships = sum(tree.read(path).count(b"<object>") for path in paths)
    if len(paths) == IMAGES:
        _check(ships)
    return PIPELINE, (f"{len(paths):,} of {IMAGES:,} images with {ships:,} of {SHIPS:,} ships",)


def _check(ships: int) -> None:
    """Raise SourceError for the ships of a whole set that is not the official release."""
    if ships != SHIPS:
        raise SourceError(
            f"expected {SHIPS:,} ships in {IMAGES:,} images, found {ships:,}: perhaps the OLD SSDD "
            "of 2017 (2,456 ships). Get the official release: sar-data info ssdd"
        )


def _about(tree: Tree, picture: Picture) -> dict[str, Any]:
    """Return what an image's name and folders tell, in any copy."""
    words = {word for path in (picture.image, *picture.also) for word in re.split(r"[/_]", path)}
    scenes = words & {"inshore", "offshore"}
    return {
        "key": picture.stem,
        "official": "test" if picture.stem.endswith(TEST_ENDS) else "train",
        "attrs": {"scene": scenes.pop()} if len(scenes) == 1 else {},
    }


def copies(tree: Tree) -> tuple[Pipeline, str] | None:
    """Return the pipeline of a re-packed copy; raise SourceError for a whole set that is the old SSDD."""
    copy = Copy(PIPELINE, re.compile(r"\d{6}"), _about)
    images = copy.discover(tree)
    fitted = fit_copy(tree, copy)
    if fitted is not None and images is not None and len(images.pictures) == IMAGES:
        ships = sum(len(record.objects) for unit in images.pictures for record in fitted[0].scan(tree, unit))
        _check(ships)
    return fitted


SHARE = "open it in a browser, save the archive and unpack it; Baidu: 1Lpg28ZvMSgNXq00abHMZ5Q, password 2021"
PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="ssdd",
        version="1.0",
        revision=1,
        title="SSDD, official release",
        evidence="real-files",
        samples=IMAGES,
        published={"train": 928, "test": 232},
        bands=(Band(name="grey", polarization="", unit="8-bit", description="stretched amplitude, HH, HV, VV or VH"),),
        shape=None,
        dtype="uint8",
        pixel_size_m=None,
        calibration="stretched",
        processing=Processing(),
        range_axis="mixed",
        symmetries=("azimuth-flip", "range-flip"),
        tasks=(Task(name="ships", kind="detection", classes=CLASSES),),
        sources=(
            Source(
                name="Official-SSDD-OPEN",
                manual=SHARE,
                url="https://drive.google.com/file/d/1glNJUGotrbEyk43twwB9556AdngJsynZ",
            ),
        ),
        lists=(),
        licence="Apache-2.0 (repository TianwenZhang0825/Official-SSDD)",
        citation="Zhang et al. 2021, SAR Ship Detection Dataset (SSDD), Remote Sensing 13(18):3690",
    ),
    units=units,
    scan=scan,
    read=read,
    fit=fit,
    copies=copies,
    copy_splits=SPLITS,
    layouts={
        "coco_style alone": (
            "BBox_SSDD/coco_style/images/{train,test}/*.jpg",
            "BBox_SSDD/coco_style/annotations/{train,test}.json",
        ),
        "VOC flat": (*VOC, "ImageSets/Main/{train,test}.txt"),
        "mmdet COCO": ("JPEGImages/*.jpg", "annotations/{train,test}.json"),
        "YOLO": YOLO,
        "YOLO polygons": YOLO,
        "YOLO turned boxes": YOLO,
        "Roboflow export": ROBOFLOW,
        "Roboflow export, COCO": ("{train,valid}/*.jpg", "{train,valid}/_annotations.coco.json"),
        "Roboflow export, VOC": ("{train,valid}/*.jpg", "{train,valid}/*.xml"),
        "Darknet": ("obj/*.jpg", "obj/*.txt", "{train,test}.txt", "obj.names"),
        "mmrotate DOTA": (
            "train/images/*.jpg",
            "train/labelTxt/*.txt",
            "test/{all,inshore,offshore}/images/*.jpg",
            "test/{all,inshore,offshore}/labelTxt/*.txt",
        ),
    },
    splits={"official": declared.Declared(), "random": random.Random()},
)
