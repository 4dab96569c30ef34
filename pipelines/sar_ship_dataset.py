"""SAR-Ship-Dataset: 39,729 chips of 256x256 pixels with ships, from 102 Gaofen-3 and 108 Sentinel-1 scenes.

A chip is <stem>.jpg with its boxes in <stem>.txt (YOLO: class 0, centre and size in fractions), all in one flat folder.
The stem begins with Gao_ship_ or Sen_ship_ and hh, hv, vh or vv, as in Gao_ship_hh_0201608254401010021; "ship" and
"newship" tell neither. What is odd about them:
- Some JPEGs have one channel, others three equal ones; all are 8-bit and display-stretched, without a unit.
- Some boxes leave their chip. They are cut to it and marked `cut` in the object; the build says how many there are.
- Byte-identical chips remain under different names. Scan reads no pixels, so chips of one size in bytes and one first
  4,096 bytes are one group: identical files always are, and what else agrees in its upper rows is as good as identical.
- There is no official split and no scene in the name: "group" (80/10/10) keeps at least the duplicates together.
- The first release had 43,819 chips; 39,729 remain after its repeats and errors were removed.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from typing import Any

from pipelines._repacked import SPLITS, VOC, YOLO, Copy, fit_copy
from sar_data.errors import BadRecord
from sar_data.labels import boxes, yolo
from sar_data.labels.discovery import Picture
from sar_data.raster import image
from sar_data.record import Object, Record, Sample, SourceFile
from sar_data.sources.tree import read_with_digest
from sar_data.spec import Band, DatasetSpec, Pipeline, Processing, Source, Task, Tree
from sar_data.split import group, random

NAME = re.compile(r"(?:(?P<sensor>Gao|Sen)_ship_(?P<pol>hh|hv|vh|vv)_|(?:new)?ship).*\.jpg")
SENSORS = {"Gao": "Gaofen-3", "Sen": "Sentinel-1"}
SIDE, CLASSES, HEAD_BYTES, DEEPEST = 256, ("ship",), 4096, 2


def units(tree: Tree, path: str = "", below: int = DEEPEST) -> Iterator[str]:
    """Yield the chips at the root or up to two levels below."""
    files = set(tree.files(path))
    chips = [name for name in files if NAME.fullmatch(name)]
    if any(_labels(name) in files for name in chips):  # else of a copy that has its labels elsewhere
        yield from (path + name for name in chips)
    for name in tree.folders(path) if below else ():
        yield from units(tree, f"{path}{name}/", below - 1)


def _labels(unit: str) -> str:
    return f"{unit.removesuffix('.jpg')}.txt"


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the record of one chip."""
    stem = unit.rpartition("/")[2].removesuffix(".jpg")
    file, data = read_with_digest(tree, path := _labels(unit))
    drawn = yolo.parse(data, path, (SIDE, SIDE), len(CLASSES))
    objects = boxes.collect_objects(drawn, lambda item: _object(*item, path))
    yield Record(
        **_attributes(tree, unit, stem),
        files=(SourceFile(unit, tree.size(unit)), file),
        objects=objects,
        labels={"ships": (0,) if objects else ()},
    )


def _object(label: int, drawn: boxes.Box, path: str) -> Object:
    box, cut = boxes.fit_box(drawn, (SIDE, SIDE), path, most=math.inf)
    return Object(label=label, box=box, attrs={"cut": "1"} if cut else {})


def _attributes(tree: Tree, unit: str, stem: str) -> dict[str, Any]:
    """Return what a chip's name and its first bytes tell."""
    size, head = tree.size(unit), tree.head(unit, HEAD_BYTES)
    named = NAME.fullmatch(f"{stem}.jpg")
    parts = named.groupdict() if named else {}
    # Spelled as in shards that are out there: WebDataset carries attributes, and what is stored does not change.
    attrs = {"sensor": SENSORS.get(parts.get("sensor") or "", ""), "polarisation": (parts.get("pol") or "").upper()}
    return {
        "key": stem,
        "group": f"{size}-{hashlib.blake2b(head, digest_size=8).hexdigest()}",
        "attrs": {name: value for name, value in attrs.items() if value},
    }


def _about(tree: Tree, picture: Picture) -> dict[str, Any]:
    return _attributes(tree, picture.image, picture.stem)


def copies(tree: Tree) -> tuple[Pipeline, str] | None:
    """Return the pipeline of a re-packed copy, or of the first release, whose annotations are VOC."""
    stems = re.compile(NAME.pattern.removesuffix(r"\.jpg"))
    return fit_copy(tree, Copy(PIPELINE, stems, _about))


def read(tree: Tree, record: Record) -> Sample:
    """Return the one channel, uint8 [1, 256, 256]."""
    path = record.files[0].path
    return Sample(image=image.grey(tree.read(path), path, shape=(SIDE, SIDE)))


def fit(tree: Tree) -> tuple[Pipeline, tuple[str, ...]]:
    """Count the boxes that leave their chips, as far as they can be read: a broken file is scan's to name."""
    total = cut = 0
    for path in map(_labels, units(tree)):
        try:
            drawn = yolo.parse(tree.read(path), path, (SIDE, SIDE), len(CLASSES))
        except BadRecord:
            continue
        total += len(drawn)
        cut += sum(min(box[:2]) < -boxes.SLACK or max(box[2:]) > SIDE + boxes.SLACK for _, box in drawn)
    return PIPELINE, (f"{cut:,} of {total:,} boxes leave their chip and are cut to it",)


PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="sar-ship-dataset",
        aliases=("sar-ship", "sarship"),
        version="0",
        revision=1,
        title="SAR-Ship-Dataset",
        evidence="documents-only",
        samples=39_729,
        bad_objects="some published boxes leave their chip",
        bands=(Band(name="grey", polarization="", unit="8-bit", description="stretched amplitude, HH, HV, VH or VV"),),
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
                name="ship_dataset_v0.zip",
                url="https://github.com/CAESAR-Radi/SAR-Ship-Dataset",
                size=426_990_175,
                manual="git lfs pull in a clone (its bandwidth may be exhausted)",
                checksum="sha256:6a185fbf2f51408d19ca941745581a8e1aabbacd33db6494985621086495481e",
            ),
        ),
        lists=(),
        licence="none stated",
        citation="Wang et al. 2019, A SAR Dataset of Ship Detection for Deep Learning, Remote Sensing 11(7):765",
    ),
    units=units,
    scan=scan,
    read=read,
    fit=fit,
    copies=copies,
    copy_splits=SPLITS,
    layouts={"YOLO with a split": YOLO, "COCO": ("images/*.jpg", "annotations/*.json"), "VOC, first release": VOC},
    splits={"group": group.Group(), "random": random.Random()},
)
