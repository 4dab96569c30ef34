"""Copies of detection sets in other folders and annotation forms than the published ones."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sar_data.errors import BadRecord
from sar_data.labels.discovery import AnnotatedImages, Picture, discover
from sar_data.raster import image, tiff
from sar_data.record import Record, SourceFile
from sar_data.spec import Pipeline, Tree
from sar_data.split import declared, folders
from sar_data.split.policy import SplitPolicy

DECLARED = "official"
SPLITS: Mapping[str, SplitPolicy] = {"folders": folders.Folders()}
"""What a copy may bring: a pipeline with copies names it as `copy_splits`."""

VOC = ("JPEGImages/*.jpg", "Annotations/*.xml")
CONVERTED = "tools that convert annotations round small boxes to no area"
YOLO = ("images/{train,val}/*.jpg", "labels/{train,val}/*.txt", "data.yaml")
ROBOFLOW = ("{train,valid}/images/*.jpg", "{train,valid}/labels/*.txt", "data.yaml")


@dataclass(frozen=True, slots=True)
class Copy:
    """What a detection set says of its images, without the form that its annotations have in a copy.

    `names` are the stems of its images. `about` returns the fields of an image's record that its names tell: `key`,
    and where they are known `official`, `group` and `attrs`. `unique` says that no two images have one stem, `splits`
    are those of the official split: a copy with others has made its own.
    """

    base: Pipeline
    names: re.Pattern[str]
    about: Callable[[Tree, Picture], Mapping[str, Any]]
    unique: bool = True
    splits: tuple[str, ...] = ("train", "val", "test")

    def discover(self, tree: Tree) -> AnnotatedImages | None:
        return discover(tree, self.names, self.unique)


def fit_copy(tree: Tree, copy: Copy) -> tuple[Pipeline, str] | None:
    """Return the pipeline of the copy in a tree, and a sentence of its layout; None where no image is annotated."""
    discover.cache_clear()  # a build begins here: the source may have changed since the last
    images = copy.discover(tree)
    if images is None or images.form is None:
        return None
    pictures = images.pictures.values()
    official_splits = (
        [copy.about(tree, picture).get("official") for picture in pictures] if DECLARED in copy.base.splits else []
    )
    official, parted = any(official_splits) and {*official_splits} <= {*copy.splits, None}, bool(images.splits["train"])
    if not official:
        copy, official_splits = dataclasses.replace(copy, splits=()), []
    differs = parted and [picture.split for picture in pictures] != official_splits
    note = "; its own split is `split=folders`" if differs else ""
    splits = dict[str, SplitPolicy](copy.base.splits)
    own = dict(SPLITS) if parted else {}
    if official:
        splits = {DECLARED: declared.Declared(), **splits, **own}
    else:  # where the official split is not known, the copy's own is the nearest to it
        rest = {name: policy for name, policy in splits.items() if name != DECLARED}
        splits = {**own, **rest} if DECLARED in splits else {**rest, **own}
    return (
        dataclasses.replace(
            copy.base,
            spec=dataclasses.replace(copy.base.spec, bad_objects=copy.base.spec.bad_objects or CONVERTED),
            units=partial(units, copy=copy),
            scan=partial(scan, copy=copy),
            splits=splits,
            fit=None,
            copies=None,
            copy_splits={},
        ),
        f"{images.sentence()}{note}",
    )


def units(tree: Tree, copy: Copy) -> Iterator[str]:
    """Yield the images."""
    if (images := copy.discover(tree)) is not None:
        yield from images.pictures


def scan(tree: Tree, unit: str, copy: Copy) -> Iterator[Record]:
    """Yield the record of one image."""
    images, spec = copy.discover(tree), copy.base.spec
    if images is None:
        raise BadRecord(unit, "expected an image, found none")
    picture = images.pictures[unit]
    if picture.labels is None and images.form == "VOC":
        raise BadRecord(unit, f"expected the annotation {picture.stem}.xml in the source, found none")
    shape = size_of(tree, unit)
    if spec.shape not in (None, shape):
        raise BadRecord(
            unit, f"expected an image of {spec.shape}, found {shape}: a copy of another size is not the set"
        )
    (task,) = spec.tasks
    drawn = images.read_objects(unit, shape, task.classes)
    fields = dict(copy.about(tree, picture))
    fields["official"] = split if (split := fields.get("official")) in copy.splits else None
    if picture.split is not None:
        fields["attrs"] = {**fields.get("attrs", {}), folders.ATTR: picture.split}
    yield Record(
        **fields,
        files=(SourceFile(unit, tree.size(unit)), *drawn.files),
        objects=drawn.objects,
        labels={task.name: tuple(sorted({thing.label for thing in drawn.objects}))},
        shape=None if spec.shape else shape,
        unused="in no annotation file" if picture.labels is None and images.form == "COCO" else None,
    )


def size_of(tree: Tree, path: str) -> tuple[int, int]:
    """Return the (height, width) of an image by its header."""
    if path.lower().endswith((".tif", ".tiff")):
        height, width = tiff.header(tree, path)[0][1:]
        return height, width
    return image.dimensions(tree, path)
