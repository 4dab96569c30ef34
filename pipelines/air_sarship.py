"""AIR-SARShip: ships in Gaofen-3 images of 1 and 3 m, as 16-bit TIFFs of one channel.

Version 1.0, the default, has 31 images of about 3000x3000 pixels, AIR-SARShip-1.0-data/<n>.tiff, each with the VOC
annotation AIR-SARShip-1.0-xml/<n>.xml. The variant "2.0" has 300 images of 1000x1000 pixels in folders called 2.0. What
is odd about them:
- The XML of 2.0 is of another schema: objects/object with possibleresult/name and points/point "x,y", whose first point
  comes once more at the end. Upright rectangles become boxes; others keep their outline as well.
- Values are digital numbers without a published calibration: unit "DN". Another dtype than uint16 stops the build.
- Polarization and resolution are not told for an image; some copies nest the folders.
- The paper trains on two thirds of 1.0, but no list of them is published: only "random" splits are on offer.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from pipelines._repacked import SPLITS, Copy, fit_copy, size_of
from pipelines._steps_before import NOT_SENTINEL_1
from sar_data.errors import BadRecord
from sar_data.labels import boxes, voc
from sar_data.labels.discovery import Picture
from sar_data.raster import tiff
from sar_data.record import Record, Sample, SourceFile
from sar_data.sources.tree import find_parent, read_with_digest
from sar_data.spec import Band, DatasetSpec, Pipeline, Source, Task, Tree
from sar_data.split import random

CLASSES, SIDE = ("ship",), 1000
ENDINGS = (".tiff", ".tif")


def units(tree: Tree, version: str = "1.0") -> Iterator[str]:
    """Yield the images."""
    if (home := find_parent(tree, folder := f"AIR-SARShip-{version}-data")) is not None:
        folder = home + folder
        # Some copies hold the folder in one of its own name.
        folder += f"/AIR-SARShip-{version}-data" if f"AIR-SARShip-{version}-data" in tree.folders(folder) else ""
        yield from (f"{folder}/{name}" for name in tree.files(folder) if name.endswith(ENDINGS) and name[0] != ".")


def scan(tree: Tree, unit: str, version: str = "1.0") -> Iterator[Record]:
    """Yield the record of one image."""
    stem = unit.rpartition("/")[2].rpartition(".")[0]
    xml = unit.rpartition("/")[0].replace(f"{version}-data", f"{version}-xml") + f"/{stem}.xml"
    file, data = read_with_digest(tree, xml)
    known = voc.parse(data, xml, CLASSES)
    shape = known.shape or tiff.header(tree, unit)[0][1:]
    if version == "2.0" and shape != (SIDE, SIDE):
        raise BadRecord(xml, f"expected an image of {SIDE}x{SIDE} pixels, found {shape[0]}x{shape[1]}")
    objects = tuple(voc.object_of(thing, shape, xml, boxes.SLACK) for thing in known.things)
    yield Record(
        key=stem,
        files=(SourceFile(unit, tree.size(unit)), file),
        objects=objects,
        shape=None if version == "2.0" else shape,
        labels={"ships": (0,) if objects else ()},
    )


def _about(tree: Tree, picture: Picture, version: str = "1.0") -> dict[str, Any]:
    """Return the key of an image; raise BadRecord for one of the other version."""
    if (version == "2.0") != (size_of(tree, picture.image) == (SIDE, SIDE)):
        other = "1.0" if version == "2.0" else "2.0"
        raise BadRecord(picture.image, f"expected an image of version {version}, found one of {other}'s size")
    return {"key": picture.stem}


def copies(tree: Tree, version: str = "1.0") -> tuple[Pipeline, str] | None:
    """Return the pipeline of a copy in other folders, or with other annotations."""
    base = PIPELINE.variants["2.0"] if version == "2.0" else FIRST
    return fit_copy(tree, Copy(base, re.compile(r"\d{1,3}"), partial(_about, version=version)))


def read(tree: Tree, record: Record) -> Sample:
    """Return the one channel, uint16 [1, y, x]."""
    path = record.files[0].path
    raster = tiff.read(tree.read(path), path, shape=record.shape or (SIDE, SIDE), dtypes=("uint16",), bands=1)
    pixels, filled = raster.image()
    return Sample(image=pixels, nodata=filled, fallbacks=int(raster.fallback))


HOW = "find AIR-SARShip among its data sets, download data and xml and unpack both into one folder"
SPEC = DatasetSpec(
    name="air-sarship",
    aliases=("airsarship",),
    version="1.0",
    revision=1,
    title="AIR-SARShip-1.0",
    evidence="documents-only",
    samples=31,
    bands=(Band(name="grey", polarization="", unit="DN", description="16-bit digital number"),),
    shape=None,
    dtype="uint16",
    pixel_size_m=None,
    calibration="DN",
    processing=NOT_SENTINEL_1,
    range_axis="mixed",
    symmetries=("azimuth-flip", "range-flip"),
    tasks=(Task(name="ships", kind="detection", classes=CLASSES),),
    sources=(Source(name="AIR-SARShip-1.0", url="https://radars.ac.cn", manual=HOW),),
    lists=(),
    licence="none stated",
    citation="Sun et al. 2019, AIR-SARShip-1.0: High-resolution SAR Ship Detection Dataset, Journal of Radars 8(6):852",
)
FIRST = Pipeline(
    spec=SPEC,
    units=units,
    scan=scan,
    read=read,
    copies=copies,
    copy_splits=SPLITS,
    layouts={"VOC": ("JPEGImages/*.tiff", "Annotations/*.xml"), "COCO": ("images/*.tiff", "annotations/*.json")},
    splits={"random": random.Random()},
)
LATER = dataclasses.replace(
    SPEC,
    version="2.0",
    variant="2.0",
    title="AIR-SARShip-2.0",
    samples=300,
    shape=(SIDE, SIDE),
    sources=(dataclasses.replace(SPEC.sources[0], name="AIR-SARShip-2.0"),),
)
PIPELINE = dataclasses.replace(
    FIRST,
    variants={
        "2.0": dataclasses.replace(
            FIRST,
            spec=LATER,
            units=partial(units, version="2.0"),
            scan=partial(scan, version="2.0"),
            copies=partial(copies, version="2.0"),
        )
    },
)
