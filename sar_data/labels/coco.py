"""Annotations in COCO's JSON: all images of a file with their objects, by image name.

Category ids begin at 0 or at 1 and are sometimes text; what counts is the category's name.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sar_data.errors import BadRecord, Reading
from sar_data.labels import boxes
from sar_data.naming import few
from sar_data.record import Object, SourceFile
from sar_data.sources.tree import noted
from sar_data.spec import Tree
from sar_data.system import strict_json

LONGEST = 1 << 31  # pixels of a side that no image reaches


@dataclass(frozen=True, slots=True)
class Annotations:
    """One file, read once: its images by file name (without folders), and what is drawn in each."""

    file: SourceFile
    images: Mapping[str, Mapping[str, Any]]
    drawn: Mapping[int, Sequence[Mapping[str, Any]]]
    categories: Mapping[int, str]

    def shape(self, name: str) -> tuple[int, int]:
        """Return (height, width) of an image; raise BadRecord where it is not told."""
        size = self.images[name].get("height"), self.images[name].get("width")
        if not all(isinstance(side, int) and 0 < side < LONGEST for side in size):
            raise BadRecord(self.file.path, f"expected height and width of {name} in pixels, found {size}")
        return size  # type: ignore[return-value]

    def objects(self, name: str, classes: Sequence[str], *, most: float = boxes.SLACK) -> tuple[Object, ...]:
        """Return the objects of an image; boxes that reach out of it up to `most` pixels are cut, and say so."""
        return tuple(self._object(one, name, classes, most) for one in self.drawn.get(int(self.images[name]["id"]), ()))

    def _object(self, one: Mapping[str, Any], name: str, classes: Sequence[str], most: float) -> Object:
        where = f"{self.file.path}, {name}"
        with Reading(where, "an object with category_id, bbox of four numbers and polygons"):
            category = self.categories[int(one["category_id"])].lower()
            x, y, width, height = map(float, one["bbox"])
            rings = one.get("segmentation") or ()
            rings = () if isinstance(rings, dict) else tuple(tuple(map(float, ring)) for ring in rings)
        if category not in classes:
            raise BadRecord(where, f"expected categories {few(classes)}, found {category[:40]!r}")
        if not all(math.isfinite(v) for ring in rings for v in ring):
            raise BadRecord(where, "expected polygons of finite numbers, found others")
        box, cut = boxes.fitted((x, y, x + width, y + height), self.shape(name), where, most=most)
        # Some converters write a box's two corners as a "polygon": four numbers are none.
        polygons = tuple(ring for ring in rings if len(ring) >= 6 and len(ring) % 2 == 0)
        attrs = {"crowd": "1"} if one.get("iscrowd") else {}
        return Object(
            label=classes.index(category), box=box, polygons=polygons, attrs=attrs | ({"cut": "1"} if cut else {})
        )


def load(tree: Tree, path: str) -> Annotations:
    """Return the annotations of a file, parsed once a process; raise BadRecord where it is none."""
    return _load(tree, path, tree.size(path))


@functools.lru_cache(maxsize=4)
def _load(tree: Tree, path: str, size: int) -> Annotations:
    file, data = noted(tree, path)
    with Reading(path, "COCO annotations with images, annotations and categories"):
        whole = strict_json.loads(data)
        images = {str(one["file_name"]).replace("\\", "/").rpartition("/")[2]: one for one in whole["images"]}
        known = {int(one["id"]) for one in whole["images"]}
        drawn: dict[int, list[Mapping[str, Any]]] = {}
        for one in whole["annotations"]:
            drawn.setdefault(int(one["image_id"]), []).append(one)
        categories = {int(one["id"]): str(one["name"]) for one in whole["categories"]}
    if len(images) < len(whole["images"]) or len(known) < len(images):
        raise BadRecord(path, f"expected every image once, found {len(whole['images'])} of {len(images)} names")
    if strangers := drawn.keys() - known:
        raise BadRecord(path, f"expected annotations of its images, found some of image_id {min(strangers)}")
    return Annotations(file, images, drawn, categories)
