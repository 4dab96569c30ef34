"""RSDD-SAR: 7,000 radar images of 512x512 pixels with 10,263 ships as rotated boxes, from 127 scenes.

Images are 8-bit grey JPEGs (three equal channels), display-stretched, from 84 Gaofen-3 and 41 TerraSAR-X scenes in
several modes, polarizations and resolutions; each annotation tells its polarization and resolution. What is odd:
- A ship is <robndbox> with cx, cy, h, w and angle. h is the longer side; angle, in radians from -pi/2 to pi/2, turns
  it clockwise from the x axis. roLabelImg, whose tag it is, means the side w by its angle. There is no other box.
- ImageSets/train.txt and test.txt are the split; test_inshore.txt and test_offshore.txt tell `scene` of test images.
- 34_24_16.jpg is a part of scene 34: "group" holds scenes apart, which the official split is not known to do.
- JPEGValidation has two whole scenes, which are not among the 7,000 and are not read.
Folders, tags and lists are known from the paper and from programs that read the release, not from its files.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from typing import Any

from sar_data.errors import BadRecord
from sar_data.labels import boxes, voc
from sar_data.labels.markup import root_of, text_of
from sar_data.raster import image
from sar_data.record import Object, Record, Sample, SourceFile
from sar_data.sources.tree import find_parent, read_with_digest
from sar_data.spec import Band, DatasetSpec, Pipeline, Processing, Source, Task, Tree
from sar_data.split import declared, group, random
from sar_data.text import decode

NAME = re.compile(r"(?P<scene>\d{1,4})(_\d{1,6}){2}")
SIDE, CLASSES = 512, ("ship",)
SIDES = ("cx", "cy", "h", "w", "angle")


def units(tree: Tree) -> Iterator[str]:
    """Yield the annotations; a folder is the dataset's by its list of train images and its whole scenes' folder."""
    _lists.cache_clear()  # a build begins here: the source may have changed since the last
    home = find_parent(tree, "JPEGImages")
    if home is None or not {"Annotations", "ImageSets"} <= set(tree.folders(home)):
        return
    if "train.txt" not in tree.files(f"{home}ImageSets"):
        return  # of a copy, or of another dataset
    folder = f"{home}Annotations"
    names = [name for name in tree.files(folder) if name.endswith(".xml") and NAME.fullmatch(name.removesuffix(".xml"))]
    yield from (f"{folder}/{name}" for name in names)


@functools.lru_cache(maxsize=4)
def _lists(tree: Tree, home: str) -> dict[str, set[str]]:
    """Return the stems of each list that is there."""
    there = set(tree.files(f"{home}ImageSets"))
    names = [name for name in ("train", "test", "test_inshore", "test_offshore") if f"{name}.txt" in there]
    return {name: set(decode(tree.read(f"{home}ImageSets/{name}.txt")).split()) for name in names}


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the record of one image."""
    home, stem = unit.rpartition("Annotations/")[0], unit.rpartition("/")[2].removesuffix(".xml")
    lists = _lists(tree, home)
    here = [split for split in ("train", "test") if stem in lists.get(split, ())]
    if len(here) > 1:
        raise BadRecord(unit, f"expected {stem} in ImageSets/train.txt or test.txt, found it in both")
    file, data = read_with_digest(tree, unit)
    root = root_of(text_of(data, unit), unit, "annotation")
    objects = boxes.collect_objects(root.iter("object"), lambda element: _object(element, unit))
    scene = [name for name in ("inshore", "offshore") if stem in lists.get(f"test_{name}", ())]
    stated = {name: (root.findtext(name) or "").strip() for name in ("polarization", "resolution")}
    jpeg, named = f"{home}JPEGImages/{stem}.jpg", NAME.fullmatch(stem)
    yield Record(
        key=stem,
        files=(SourceFile(jpeg, tree.size(jpeg)), file),
        objects=objects,
        labels={"ships": (0,) if objects else ()},
        group=named["scene"] if named else None,
        official=here[0] if here else None,
        attrs={name: value for name, value in stated.items() if value}
        | ({"scene": scene[0]} if len(scene) == 1 else {}),
    )


def _object(element: Any, path: str) -> Object:
    """Return a ship: its rotated box, and the box around it as far as it lies in the image."""
    name, drawn = (element.findtext("name") or "").strip(), element.find("robndbox")
    if name.lower() not in CLASSES or drawn is None:
        raise BadRecord(path, f"expected objects named ship with a <robndbox>, found {name[:40]!r}")
    x, y, height, width, angle = (voc.number_of(drawn, tag, path) for tag in SIDES)
    if width > height:  # the angle is that of the longer side, whatever it is called
        width, height = height, width
    rotated = (x, y, height, width, math.degrees(angle))
    boxes.check_rotated(rotated, path)
    box, cut = boxes.fit_box(boxes.bounding_box(boxes.corners(rotated)), (SIDE, SIDE), path, most=math.inf)
    return Object(label=0, box=box, rotated=rotated, attrs={"cut": "1"} if cut else {})


def read(tree: Tree, record: Record) -> Sample:
    """Return the one channel, uint8 [1, 512, 512]."""
    path = record.files[0].path
    return Sample(image=image.grey(tree.read(path), path, shape=(SIDE, SIDE)))


SHARE = "open it in a browser, save the archive and unpack it"
PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="rsdd-sar",
        aliases=("rsdd",),
        version="1.0",
        revision=1,
        title="RSDD-SAR",
        evidence="documents-only",
        samples=7000,
        bands=(
            Band(name="grey", polarization="", unit="8-bit", description="stretched amplitude, of one polarization"),
        ),
        shape=(SIDE, SIDE),
        dtype="uint8",
        pixel_size_m=None,
        calibration="stretched",
        processing=Processing(),
        range_axis="mixed",
        symmetries=("azimuth-flip", "range-flip"),
        tasks=(Task(name="ships", kind="detection", classes=CLASSES),),
        sources=(
            Source(
                name="RSDD-SAR", manual=SHARE, url="https://drive.google.com/file/d/1PJxr7Tbr_ZAzuG8MNloDa4mLaRYCD3qc"
            ),
        ),
        lists=(),
        licence="free for research and teaching with citation; commercial use by permission of the Journal of Radars",
        citation="Xu et al. 2022, RSDD-SAR: Rotated Ship Detection Dataset in SAR Images, Journal of Radars 11(4):581",
    ),
    units=units,
    scan=scan,
    read=read,
    splits={"official": declared.Declared(), "group": group.Group(), "random": random.Random()},
)
