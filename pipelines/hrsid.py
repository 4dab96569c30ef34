"""HRSID: 5,604 windows of 800x800 pixels from 136 radar scenes, with 16,951 ships as polygons.

Images are 8-bit grey (three equal channels), JPEG in one release and PNG in the other, from Sentinel-1B, TerraSAR-X and
TanDEM-X at 0.5 to 3 m in HH, HV or VV; which is which is not told for an image. What is odd about them:
- P0001_1200_2000_9600_10400.jpg is scene 1, rows 1200 to 2000, columns 9600 to 10400. Windows are 600 pixels apart, so
  they overlap: the official split, which mixes scenes, leaks; "group" holds scenes apart. 109 tiles of P0137 tell no
  window and come from unknown scenes; they are one group. Three pairs of scenes share byte-identical tiles.
- annotations/train2017.json and test2017.json are the split. train_test2017.json disagrees with them on 26 images and
  is not read. Images in neither (the 400 of pure background, for one) are unused.
- inshore_offshore/*.json, in newer archives, tells `scene`. Some extractions nest HRSID_JPG in HRSID_JPG.
Images were checked on 18 real files; the annotation files are known from documents alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipelines._repacked import ROBOFLOW, SPLITS, VOC, YOLO, Copy, fit_copy
from sar_data.errors import BadRecord
from sar_data.labels import coco
from sar_data.labels.discovery import Picture
from sar_data.raster import image
from sar_data.record import Object, Record, Sample, SourceFile, window_of
from sar_data.sources.tree import find_parent
from sar_data.spec import Band, DatasetSpec, Pipeline, Processing, Source, Task, Tree
from sar_data.split import declared, group, random

NAME = re.compile(r"P(\d{4})_(\d{1,6})_(\d{1,6})_(\d{1,6})_(\d{1,6})\.(?:jpg|png)")
NOWHERE = re.compile(r"P0137_\d+\.(?:jpg|png)")
SIDE, CLASSES = 800, ("ship",)
LISTS = {"train": "train2017.json", "test": "test2017.json"}
WHERE = ("inshore", "offshore")


def units(tree: Tree) -> Iterator[str]:
    """Yield the images, those on disk and those that only an annotation names."""
    home = find_parent(tree, "JPEGImages")
    if home is None or "annotations" not in tree.folders(home):
        return
    if set(LISTS.values()).isdisjoint(tree.files(f"{home}annotations")):
        return  # of a copy, or of another dataset
    pictures = {name for name in tree.files(f"{home}JPEGImages") if name[0] != "." and name.endswith((".jpg", ".png"))}
    for name in LISTS.values():
        if name in tree.files(f"{home}annotations"):
            pictures |= coco.load(tree, f"{home}annotations/{name}").images.keys()
    yield from (f"{home}JPEGImages/{name}" for name in pictures)


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the record of one image."""
    home, name = unit.rpartition("JPEGImages/")[::2]
    here = [split for split, file in LISTS.items() if name in coco.load(tree, f"{home}annotations/{file}").images]
    if len(here) > 1:
        raise BadRecord(unit, "expected an image in train2017.json or test2017.json, found it in both")
    if (named := NAME.fullmatch(name)) is None and NOWHERE.fullmatch(name) is None and here:
        raise BadRecord(unit, f"expected a name that matches {NAME.pattern}, found {name}")
    window = tuple(map(int, named.groups()[1:])) if named else ()
    if window and {window[1] - window[0], window[3] - window[2]} != {SIDE}:
        raise BadRecord(unit, f"expected a window of {SIDE}x{SIDE} pixels, found rows and columns {window}")
    files, objects = [SourceFile(unit, tree.size(unit))], tuple[Object, ...]()
    fields = _fields_of(name.rpartition(".")[0])
    attrs = fields["attrs"]
    for split in here:
        annotations = coco.load(tree, f"{home}annotations/{LISTS[split]}")
        if (shape := annotations.shape(name)) != (SIDE, SIDE):
            raise BadRecord(annotations.file.path, f"expected {name} of {SIDE}x{SIDE} pixels, found {shape}")
        files.append(annotations.file)
        objects = annotations.objects(name, CLASSES)
    for place in WHERE if "inshore_offshore" in tree.folders(home) else ():
        path = f"{home}inshore_offshore/{place}.json"
        if name in coco.load(tree, path).images:
            attrs["scene"] = place
    yield Record(
        key=name.rpartition(".")[0],
        files=tuple(files),
        objects=objects,
        official=here[0] if here else None,
        labels={"ships": (0,) if objects else ()},
        unused=None if here else "in no annotation file",
        **fields,
    )


def named(key: str) -> Record | None:
    """Return the record of an image by its name alone."""
    known = NAME.fullmatch(f"{key}.jpg") or NOWHERE.fullmatch(f"{key}.jpg")
    return Record(key=key, files=(), **_fields_of(key)) if known else None


def _fields_of(stem: str) -> dict[str, Any]:
    """Return what an image's name tells: its scene, and for most of them its window."""
    scene = stem[:5]
    fields: dict[str, Any] = {"group": scene, "place": scene, "attrs": {}}
    if named := NAME.fullmatch(f"{stem}.jpg"):
        row, _, column, _ = map(int, named.groups()[1:])
        fields |= window_of(f"HRSID {scene}", row=row, column=column, height=SIDE, width=SIDE)
        fields["attrs"] = {"row": str(row), "column": str(column)}
    return fields


def read(tree: Tree, record: Record) -> Sample:
    """Return the one channel, uint8 [1, 800, 800]."""
    path = record.files[0].path
    return Sample(image=image.grey(tree.read(path), path, shape=(SIDE, SIDE)))


def _about(tree: Tree, picture: Picture) -> dict[str, Any]:
    """Return what an image's name tells, in any copy; the split is official where a file of it is called so."""
    fields = _fields_of(picture.stem)
    if where := [place for place in WHERE if any(place in path for path in picture.also)]:
        fields["attrs"]["scene"] = where[0]
    official = picture.split if picture.labels and picture.labels.endswith(".json") else None
    return {"key": picture.stem, "official": official, **fields}


def copies(tree: Tree) -> tuple[Pipeline, str] | None:
    """Return the pipeline of a copy in other folders, or with other annotations."""
    return fit_copy(tree, Copy(PIPELINE, re.compile(r"P\d{4}_\d{1,6}(_\d{1,6}){0,3}"), _about, splits=tuple(LISTS)))


SHARE = "open it in a browser, save and unpack it; Baidu has the same, 1z0-E3Lwdkg14feu1FwRf3g, password bs64"
DRIVE = "https://drive.google.com/file/d/"
PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="hrsid",
        version="1.0",
        revision=1,
        title="HRSID",
        evidence="real-files",
        samples=5604,
        bad_objects="a later annotation found most boxes of ships cut by a window's edge wrong",
        published={"train": 3642, "test": 1962},
        bands=(Band(name="grey", polarization="", unit="8-bit", description="stretched amplitude, HH, HV or VV"),),
        shape=(SIDE, SIDE),
        dtype="uint8",
        pixel_size_m=None,
        calibration="stretched",
        processing=Processing(),
        range_axis="mixed",
        symmetries=("azimuth-flip", "range-flip"),
        tasks=(Task(name="ships", kind="detection", classes=CLASSES),),
        sources=(
            Source(name="HRSID_JPG", url=f"{DRIVE}1BZTU8Gyg20wqHXtBPFzRazn_lEdvhsbE", manual=SHARE),
            Source(
                name="HRSID_JPG with inshore and offshore",
                url=f"{DRIVE}1NY3ovgc-woDlNoQdyqzRB3t9McOBH5Ms",
                manual=SHARE,
            ),
            Source(name="HRSID_PNG", url=f"{DRIVE}1xgXi8KC3MDWuu7Yp4n2J-LOPYLRszHAc", manual=SHARE),
        ),
        lists=(),
        licence="GPL-3.0 (repository chaozhong2010/HRSID)",
        citation="Wei et al. 2020, HRSID, IEEE Access 8:120234-120254",
    ),
    units=units,
    scan=scan,
    read=read,
    named=named,
    copies=copies,
    copy_splits=SPLITS,
    layouts={
        "images folder": ("images/*.jpg", "annotations/{train,test}2017.json"),
        "PNG": ("images/*.png", "annotations/{train,test}2017.json"),
        "YOLO": YOLO,
        "YOLO polygons": YOLO,
        "Roboflow export": ROBOFLOW,
        "VOC": (*VOC, "ImageSets/Main/{train,test}.txt"),
        "one merged JSON": ("images/*.jpg", "annotations/*.json"),
    },
    splits={"official": declared.Declared(), "group": group.Group(), "random": random.Random()},
)
