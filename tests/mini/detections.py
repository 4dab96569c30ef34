"""Detection sets written in the layouts of their copies, from the records of the published miniature."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sar_data.labels.boxes import corners
from sar_data.raster import image, tiff
from sar_data.record import Object, Record
from sar_data.spec import Pipeline, Tree

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Shot:
    """An image of the published miniature: its file, and what the published record says of it."""

    stem: str
    ending: str
    data: bytes
    shape: tuple[int, int]
    record: Record
    classes: tuple[str, ...]

    @property
    def file(self) -> str:
        return f"{self.stem}.{self.ending}"

    @property
    def objects(self) -> tuple[Object, ...]:
        return self.record.objects


def shots(pipeline: Pipeline, tree: Tree) -> list[Shot]:
    """Return every image of a source that a detection pipeline reads."""
    found = []
    for unit in sorted(pipeline.units(tree)):
        for record in pipeline.scan(tree, unit):
            path = record.files[0].path
            stem, _, ending = path.rpartition("/")[2].rpartition(".")
            shape = tiff.header(tree, path)[0][1:] if ending.startswith("tif") else image.dimensions(tree, path)
            (task,) = pipeline.spec.tasks
            found.append(Shot(stem, ending, tree.read(path), shape, record, task.classes))
    return found


def put(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def coco(found: Sequence[Shot], *, first: int = 1) -> str:
    """Return the COCO document of images; category ids begin at `first`."""
    classes = found[0].classes
    document: dict[str, Any] = {
        "categories": [{"id": first + i, "name": name} for i, name in enumerate(classes)],
        "images": [],
        "annotations": [],
    }
    for number, one in enumerate(found):
        height, width = one.shape
        document["images"].append({"id": number, "file_name": one.file, "height": height, "width": width})
        for thing in one.objects:
            left, top, right, bottom = thing.box
            document["annotations"].append(
                {
                    "id": len(document["annotations"]),
                    "image_id": number,
                    "category_id": first + thing.label,
                    "bbox": [left, top, right - left, bottom - top],
                    "segmentation": [list(ring) for ring in thing.polygons],
                    "iscrowd": 0,
                }
            )
    return json.dumps(document)


def voc(one: Shot) -> str:
    """Return the VOC annotation of an image."""
    things = "".join(
        f"<object><name>{one.classes[thing.label]}</name><difficult>0</difficult><bndbox>"
        + "".join(f"<{tag}>{v}</{tag}>" for tag, v in zip(("xmin", "ymin", "xmax", "ymax"), thing.box, strict=True))
        + "</bndbox></object>"
        for thing in one.objects
    )
    size = f"<size><width>{one.shape[1]}</width><height>{one.shape[0]}</height><depth>3</depth></size>"
    return f"<annotation><filename>{one.file}</filename>{size}{things}</annotation>"


def yolo(one: Shot) -> str:
    """Return YOLO's boxes."""
    return "".join(f"{thing.label} {' '.join(map(str, _centred(thing.box, one.shape)))}\n" for thing in one.objects)


def _centred(box: Box, shape: tuple[int, int]) -> tuple[float, float, float, float]:
    (left, top, right, bottom), (height, width) = box, shape
    return (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height


def yolo_rings(one: Shot, ring_of: Callable[[Object], Sequence[float]]) -> str:
    """Return YOLO's polygons or turned boxes."""
    lines = ""
    for thing in one.objects:
        ring = [v / one.shape[1 - i % 2] for i, v in enumerate(ring_of(thing))]
        lines += f"{thing.label} {' '.join(map(str, ring))}\n"
    return lines


def turned(thing: Object) -> tuple[float, ...]:
    """Return the corners of an object's rotated box, of its box where it has none."""
    left, top, right, bottom = thing.box
    return corners(thing.rotated) if thing.rotated else (left, top, right, top, right, bottom, left, bottom)


def dota(one: Shot) -> str:
    """Return the turned boxes as DOTA writes them."""
    lines = (f"{' '.join(map(str, turned(thing)))} {one.classes[thing.label]} 0\n" for thing in one.objects)
    return "imagesource:SAR\ngsd:null\n" + "".join(lines)
