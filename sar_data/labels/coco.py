"""Annotations in COCO's JSON: all images of a file with their objects, by image name.

Category ids begin at 0 or at 1 and are sometimes text; what counts is the category's name.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sar_data.errors import BadRecord, Reading
from sar_data.labels import boxes
from sar_data.naming import few
from sar_data.record import Object, Objects, SourceFile
from sar_data.sources.tree import read_with_digest
from sar_data.spec import Tree
from sar_data.text import parse_json

T = TypeVar("T")

LONGEST = 1 << 31  # pixels of a side that no image reaches
SNIFFED = 4096  # bytes by which a document is recognized
KEYS = tuple(
    f'"{key}"'.encode()
    for key in ("images", "annotations", "categories", "file_name", "image_id", "category_id", "bbox")
)


@dataclass(frozen=True, slots=True)
class Annotations:
    """One file, read once: its images by file name, and the annotations of each, by the image's id.

    Names are without folders where they stay unique.
    An id is text: 1 and "1" are the same.
    """

    file: SourceFile
    images: Mapping[str, Mapping[str, Any]]
    drawn: Mapping[str, Sequence[Mapping[str, Any]]]
    categories: Mapping[str, str]

    def shape(self, name: str) -> tuple[int, int]:
        """Return (height, width) of an image; raise BadRecord where it is missing."""
        size = self.images[name].get("height"), self.images[name].get("width")
        height, width = map(_side, size)
        if height is None or width is None:
            raise BadRecord(self.file.path, f"expected height and width of {name} in pixels, found {size!r:.80}")
        return height, width

    def objects(self, name: str, classes: Sequence[str], *, most: float = boxes.SLACK) -> Objects:
        """Return the objects of an image; boxes that reach out of it up to `most` pixels are cut, and say so."""
        drawn = self.drawn.get(_id(self.images[name]["id"]), ())
        return boxes.collect_objects(drawn, lambda annotation: self._object(annotation, name, classes, most))

    def _object(self, annotation: Mapping[str, Any], name: str, classes: Sequence[str], most: float) -> Object:
        where = f"{self.file.path}, {name}"
        with Reading(where, "an object with category_id, bbox of four numbers and polygons"):
            category = self.categories[_id(annotation["category_id"])].lower()
            x, y, width, height = map(float, annotation["bbox"])
            rings = annotation.get("segmentation") or ()
            rings = () if isinstance(rings, dict) else tuple(tuple(map(float, ring)) for ring in rings)
        if category not in classes:
            raise BadRecord(where, f"expected categories {few(classes)}, found {category[:40]!r}")
        if not all(math.isfinite(v) for ring in rings for v in ring):
            raise BadRecord(where, "expected polygons of finite numbers, found others")
        box, cut = boxes.fit_box((x, y, x + width, y + height), self.shape(name), where, most=most)
        # Some converters write a box's two corners as a "polygon": four numbers are none.
        polygons = tuple(ring for ring in rings if len(ring) >= 6 and len(ring) % 2 == 0)
        attrs = _read_attributes(annotation) or ({"crowd": "1"} if annotation.get("iscrowd") else {})
        return Object(
            label=classes.index(category),
            box=box,
            rotated=_read_rotated(annotation, where),
            polygons=polygons,
            attrs=attrs | ({"cut": "1"} if cut else {}),
        )


def _read_rotated(annotation: Mapping[str, Any], where: str) -> tuple[float, float, float, float, float] | None:
    """Return the rotated box, a field that our own export adds to COCO, None without one."""
    if annotation.get("rotated") is None:
        return None
    with Reading(where, "a rotated box of centre x, centre y, width, height and degrees"):
        x, y, width, height, degrees = map(float, annotation["rotated"])
        if not all(map(math.isfinite, (x, y, width, height, degrees))):
            raise ValueError(f"{x:.6g}, {y:.6g}, {width:.6g}, {height:.6g}, {degrees:.6g}")
    boxes.check_rotated(rotated := (x, y, width, height, degrees), where)
    return rotated


def _read_attributes(annotation: Mapping[str, Any]) -> dict[str, str]:
    """Return the attributes of an object as our own export writes them, all text; other programs' mean what they do."""
    attributes = annotation.get("attributes")
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        return {}
    return attributes


def documents(tree: Tree, paths: Iterable[str]) -> list[Annotations]:
    """Return the COCO documents among some files: JSON whose beginning has two of their keys; raise BadRecord."""
    heads = {path: tree.head(path, SNIFFED) for path in paths if path.lower().endswith(".json")}
    return [load(tree, path) for path, head in heads.items() if sum(key in head for key in KEYS) > 1]


def load(tree: Tree, path: str) -> Annotations:
    """Return the annotations of a file, parsed once a process; raise BadRecord where it is none."""
    return _load(tree, path, tree.size(path))


@functools.lru_cache(maxsize=4)
def _load(tree: Tree, path: str, size: int) -> Annotations:
    file, data = read_with_digest(tree, path)
    with Reading(path, "COCO annotations with images, annotations and categories"):
        document = parse_json(data)
        images = _by_name(
            [(str(annotation["file_name"]).replace("\\", "/"), annotation) for annotation in document["images"]]
        )
        known = {_id(annotation["id"]) for annotation in document["images"]}
        drawn: dict[str, list[Mapping[str, Any]]] = {}
        for annotation in document["annotations"]:
            drawn.setdefault(_id(annotation["image_id"]), []).append(annotation)
        categories = {_id(annotation["id"]): str(annotation["name"]) for annotation in document["categories"]}
    if len(images) < len(document["images"]) or len(known) < len(images):
        raise BadRecord(path, f"expected every image once, found {len(document['images'])} of {len(images)} names")
    if strangers := drawn.keys() - known:
        raise BadRecord(path, f"expected annotations of its images, found some of image_id {min(strangers)}")
    return Annotations(file, images, drawn, categories)


def _by_name(images: Sequence[tuple[str, T]]) -> dict[str, T]:
    """Return images by file name without folders, with them where several images have one name."""
    short = {name.rpartition("/")[2]: image for name, image in images}
    return short if len(short) == len(images) else dict(images)


def _id(value: object) -> str:
    """Return an id of an image or a category as text; raise ValueError for another value."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"an id {value!r:.40}")
    if isinstance(value, str):
        text = value.strip()
        return str(int(text)) if text.isascii() and text.isdecimal() and len(text) < 20 else text
    return str(int(value)) if float(value).is_integer() else str(value)


def _side(value: object) -> int | None:
    """Return a height or a width in whole pixels, None for another value; converters write 800.0 and "800", too."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() and 0 < number < LONGEST else None
