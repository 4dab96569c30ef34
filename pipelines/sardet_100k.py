"""SARDet-100K: 116,598 chips from ten other sets, with 245,653 boxes of six classes, in COCO form.

Chips are 8-bit grey PNG or JPEG, many of 512x512 pixels, others as large as their origin had them. What is odd:
- It CONTAINS SSDD, HRSID, SAR-Ship-Dataset and AIR-SARShip 1.0 and 2.0, beside MSAR, SADD, SAR-AIRcraft, OGSOD and
  SIVED, under other splits than theirs: whoever trains on it and tests on one of those, or the reverse, tests on what
  was trained on. The build says so.
- Annotations/{train,val,test}.json are the official split. The images are in one flat JPEGImages or in a folder a
  split, documents differ: both are found.
- Scenes are not told, so neighbours may lie in different splits; no other split than the official can be better known.
- The published JSON has boxes of no area beside good ones: they are left out alone, and counted.
- Boxes that leave their chip, as in SAR-Ship-Dataset, are cut to it and marked `cut`.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from typing import Any

from pipelines._repacked import SPLITS as COPY_SPLITS
from pipelines._repacked import Copy, fit_copy
from sar_data.errors import BadRecord, SourceError
from sar_data.labels import coco
from sar_data.labels.discovery import Picture
from sar_data.raster import image
from sar_data.record import Record, Sample, SourceFile
from sar_data.sources.tree import find_parent
from sar_data.spec import Band, DatasetSpec, Pipeline, Processing, Source, Task, Tree
from sar_data.split import declared, random

CLASSES = ("ship", "aircraft", "car", "tank", "bridge", "harbor")
SPLITS = ("train", "val", "test")


@functools.lru_cache(maxsize=2)
def _layout(tree: Tree) -> tuple[str, dict[str, str]] | None:
    """Return the home of the annotations, and split → folder of its images; None in another dataset's folder."""
    home = find_parent(tree, "Annotations")
    if home is None or "train.json" not in tree.files(f"{home}Annotations"):
        return None
    top = f"{home}JPEGImages/" if "JPEGImages" in tree.folders(home) else home
    parted = set(SPLITS) & set(tree.folders(top))
    if top == home and not parted:
        raise SourceError(f"expected the images in {home}JPEGImages or in folders train, val and test, found neither")
    if parted and any(name.endswith((".png", ".jpg")) for name in tree.files(top)):
        raise SourceError(
            f"expected images in {top} or in its folders {', '.join(sorted(parted))}, found both: keep one"
        )
    return home, {split: f"{top}{split}/" if parted else top for split in SPLITS}


def units(tree: Tree) -> Iterator[str]:
    """Yield split/name of every annotated image."""
    _layout.cache_clear()  # a build begins here: the source may have changed since the last
    if (layout := _layout(tree)) is not None:
        for split in SPLITS:
            if f"{split}.json" in tree.files(f"{layout[0]}Annotations"):
                images = coco.load(tree, f"{layout[0]}Annotations/{split}.json").images
                yield from (f"{split}/{name}" for name in images)


def scan(tree: Tree, unit: str) -> Iterator[Record]:
    """Yield the record of one image."""
    split, _, name = unit.partition("/")
    if (layout := _layout(tree)) is None:
        raise BadRecord(unit, "expected Annotations/train.json in the source, found none")
    home, folders = layout
    known = coco.load(tree, f"{home}Annotations/{split}.json")
    path = folders[split] + name
    objects = known.objects(name, CLASSES, most=math.inf)
    yield Record(
        # Names of different origins may be the same; they are so within no split.
        key=f"{split}_{name.rpartition('.')[0].replace('.', '_')}",
        shape=known.shape(name),
        official=split,
        files=(SourceFile(path, tree.size(path)), known.file),
        objects=objects,
        labels={"objects": tuple(sorted({item.label for item in objects}))},
    )


def _about(tree: Tree, picture: Picture) -> dict[str, Any]:
    """Return the key of an image and its split, which the official files are called after."""
    return {"key": "_".join(filter(None, (picture.split, picture.stem.replace(".", "_")))), "official": picture.split}


def copies(tree: Tree) -> tuple[Pipeline, str] | None:
    """Return the pipeline of a copy in other folders, or with other annotations, if several of the classes occur."""
    copy = Copy(PIPELINE, re.compile(".*"), _about, unique=False)
    images = copy.discover(tree)
    names = {name.lower() for name in images.class_names()} if images and images.form else set[str]()
    known = names <= {*CLASSES, *map(str, range(len(CLASSES)))}
    return fit_copy(tree, copy) if known and len(names) > 1 else None


def read(tree: Tree, record: Record) -> Sample:
    """Return the one channel, uint8 [1, y, x]."""
    path = record.files[0].path
    return Sample(image=image.grey(tree.read(path), path, shape=record.shape))


def fit(tree: Tree) -> tuple[Pipeline, tuple[str, ...]]:
    """Say where the images are, and what they must not be mixed with."""
    layout = _layout(tree)
    where = "nowhere" if layout is None else "one folder a split" if len(set(layout[1].values())) > 1 else "one folder"
    warning = (
        "contains SSDD, HRSID, SAR-Ship-Dataset and AIR-SARShip under other splits: "
        "never train on one and test on the other"
    )
    return PIPELINE, (f"images in {where}", warning)


PIPELINE = Pipeline(
    spec=DatasetSpec(
        name="sardet-100k",
        aliases=("sardet", "sardet100k"),
        version="1.0",
        revision=1,
        title="SARDet-100K",
        evidence="documents-only",
        samples=116_598,
        bad_objects="the published JSON has boxes of no width or height",
        published={"train": 94_493, "val": 10_492, "test": 11_613},
        bands=(Band(name="grey", polarization="", unit="8-bit", description="stretched amplitude of many sensors"),),
        shape=None,
        dtype="uint8",
        pixel_size_m=None,
        calibration="stretched",
        processing=Processing(),
        range_axis="mixed",
        symmetries=("azimuth-flip", "range-flip"),
        tasks=(Task(name="objects", kind="detection", classes=CLASSES),),
        sources=(
            Source(
                name="SARDet_100K",
                url="https://www.kaggle.com/datasets/greatbird/sardet-100k",
                manual="log in and download; Baidu has the same: 1dIFOm4V2pM_AjhmkD1-Usw, password SARD",
            ),
        ),
        lists=(),
        licence="CC-BY-NC-4.0",
        citation="Li et al. 2024, SARDet-100K: Towards Open-Source Benchmark and ToolKit, NeurIPS, arXiv:2403.06534",
    ),
    units=units,
    scan=scan,
    read=read,
    fit=fit,
    copies=copies,
    copy_splits=COPY_SPLITS,
    layouts={
        "documents at the root": ("{train,val,test}.json", "JPEGImages/{train,val,test}/*.*"),
        "images folder": ("annotations/instances_{train,val,test}.json", "images/{train,val,test}/*.*"),
        "YOLO": ("{train,val,test}/images/*.*", "{train,val,test}/labels/*.txt", "data.yaml"),
    },
    splits={"official": declared.Declared(), "random": random.Random()},
)
