"""Export of a detection build as COCO JSON, one file for each split, in the form that pycocotools loads.

Ids begin at 1, because pycocotools reads an annotation of id 0 as no match; boxes are [x, y, width, height]. Two fields
are additions to COCO: `rotated` (centre x, centre y, width, height, degrees) and `key`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from sar_data.errors import TargetError, UsageError
from sar_data.record import Object
from sar_data.sealed.opened import Build
from sar_data.sealed.recorded import nonempty_splits
from sar_data.sealed.records import to_object
from sar_data.system import durable

COLUMNS = ["key", "height", "width", "files", "objects"]


def export(build: Build, out: Path) -> list[Path]:
    """Write OUT/SPLIT.json for every split that has samples, and return the paths.

    Raises UsageError for a build without a detection task, TargetError where `out` cannot be written.
    """
    task = next((task for task in build.manifest.tasks if task.kind == "detection"), None)
    if task is None:
        kinds = ", ".join(sorted({task.kind for task in build.manifest.tasks})) or "none"
        raise UsageError(f"{build.path}: expected a build with a detection task, found tasks of kind: {kinds}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TargetError(f"{out}: cannot make the folder: {error.strerror}") from error
    paths = []
    for split in nonempty_splits(build.manifest):
        text = json.dumps(document(build, split, task.classes), ensure_ascii=False, separators=(",", ":"))
        paths.append(out / f"{split}.json")
        durable.write(paths[-1], text.encode())
    return paths


def document(build: Build, split: str, classes: Sequence[str]) -> dict[str, Any]:
    """Return the COCO document of one split; images are in the order of their keys, with paths below the source."""
    manifest, index = build.manifest, build.index()
    rows = index.filter(pc.equal(index["split"], split)).select(COLUMNS).sort_by("key")
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, row in enumerate(rows.to_pylist(), 1):
        name = row["files"][0]["path"]
        size = {"height": row["height"], "width": row["width"]}
        images.append({"id": number, "file_name": name, **size, "key": row["key"]})
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
