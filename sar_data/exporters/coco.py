"""A detection build as COCO JSON, one file a split, as pycocotools loads it.

Ids begin at 1, since pycocotools takes an annotation of id 0 for no match; boxes are [x, y, width, height]. What COCO
does not know goes to fields of our own: `rotated` (centre x, centre y, width, height, degrees) and `key`.
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
    """Write OUT/SPLIT.json of every split that has samples, and return their paths.

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
    made = []
    for split in nonempty_splits(build.manifest):
        text = json.dumps(document(build, split, task.classes), ensure_ascii=False, separators=(",", ":"))
        durable.write(out / f"{split}.json", text.encode())
        made.append(out / f"{split}.json")
    return made


def document(build: Build, split: str, classes: Sequence[str]) -> dict[str, Any]:
    """Return one split; images are in the order of their keys, and named as they lie below the source."""
    manifest, index = build.manifest, build.index()
    rows = index.filter(pc.equal(index["split"], split)).select(COLUMNS).sort_by("key")
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, row in enumerate(rows.to_pylist(), 1):
        name = row["files"][0]["path"]
        size = {"height": row["height"], "width": row["width"]}
        images.append({"id": number, "file_name": name, **size, "key": row["key"]})
        for found in map(to_object, row["objects"] or ()):
            annotations.append({"id": len(annotations) + 1, "image_id": number, **_annotation(found)})
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


def _annotation(found: Object) -> dict[str, Any]:
    left, top, right, bottom = found.box
    body: dict[str, Any] = {
        "category_id": found.label + 1,
        "bbox": [left, top, right - left, bottom - top],
        "area": _area(found),
        "iscrowd": int(found.attrs.get("crowd", "0") == "1"),
        "segmentation": [list(ring) for ring in found.polygons],
    }
    if found.rotated is not None:
        body["rotated"] = list(found.rotated)
    return body | ({"attributes": dict(found.attrs)} if found.attrs else {})


def _area(found: Object) -> float:
    """Return the area in pixels of what is drawn most exactly: polygons (by the shoelace), rotated box, box."""
    if found.polygons:
        return sum(map(_shoelace, found.polygons))
    if found.rotated is not None:
        return found.rotated[2] * found.rotated[3]
    left, top, right, bottom = found.box
    return (right - left) * (bottom - top)


def _shoelace(ring: Sequence[float]) -> float:
    xs, ys = ring[::2], ring[1::2]
    return abs(sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))) / 2
