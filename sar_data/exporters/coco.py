"""Detections as COCO JSON, SPLIT.json in the form that pycocotools loads, and the images in images/SPLIT.

Ids begin at 1, because pycocotools reads an annotation of id 0 as no match; boxes are [x, y, width, height]. Two fields
are additions to COCO: `rotated` (centre x, centre y, width, height, degrees) and `key`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sar_data.exporters import files
from sar_data.exporters.source import Source
from sar_data.record import Object
from sar_data.sealed.records import to_object

COLUMNS = ["key", "height", "width", "objects"]


def write(source: Source, folder: Path) -> None:
    """Write the images and a document a split; raise UsageError for a build without a detection task."""
    classes = source.task("detection").classes
    suffix = files.suffix(source)
    for split in source.splits:
        files.write_images(source, split, folder / "images" / split, suffix)
        name = f"images/{split}/{{key}}{suffix}"
        text = json.dumps(document(source, split, classes, name), ensure_ascii=False, separators=(",", ":"))
        (folder / f"{split}.json").write_text(text, encoding="utf-8")


def document(source: Source, split: str, classes: Sequence[str], name: str) -> dict[str, Any]:
    """Return the COCO document of one split, images in the order of their keys; `name` is their path, with {key}."""
    manifest = source.manifest
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, row in enumerate(source.rows(split).select(COLUMNS).sort_by("key").to_pylist(), 1):
        height, width = manifest.shape or (row["height"], row["width"])
        path = name.format(key=row["key"])
        images.append({"id": number, "file_name": path, "height": height, "width": width, "key": row["key"]})
        for item in map(to_object, row["objects"] or ()):
            annotations.append({"id": len(annotations) + 1, "image_id": number, **_annotation(item)})
    return {
        "info": {
            "description": f"{manifest.title}, {split}",
            "version": manifest.version,
            "content_digest": manifest.content_digest,
            "contributor": manifest.citation,
        },
        "licenses": [{"id": 1, "name": manifest.licence, "url": ""}],
        "categories": [{"id": i, "name": name, "supercategory": ""} for i, name in enumerate(classes, 1)],
        "images": images,
        "annotations": annotations,
    }


def _annotation(item: Object) -> dict[str, Any]:
    left, top, right, bottom = item.box
    body: dict[str, Any] = {
        "category_id": item.label + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": _area(item),
        "iscrowd": int(item.attrs.get("crowd", "0") == "1"),
        "segmentation": [list(ring) for ring in item.polygons],
    }
    if item.rotated is not None:
        body["rotated"] = list(item.rotated)
    return body | ({"attributes": dict(item.attrs)} if item.attrs else {})


def _area(item: Object) -> float:
    """Return the area in pixels of the most exact outline: polygons (shoelace formula), else rotated box, else box."""
    if item.polygons:
        return sum(map(_shoelace, item.polygons))
    if item.rotated is not None:
        return item.rotated[2] * item.rotated[3]
    left, top, right, bottom = item.box
    return (right - left) * (bottom - top)


def _shoelace(ring: Sequence[float]) -> float:
    xs, ys = ring[::2], ring[1::2]
    return abs(sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))) / 2
