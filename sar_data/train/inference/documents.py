"""The files that a prediction leaves, from its parts: maps of classes, tables of classes, boxes in four forms.

masks/KEY.tif          class numbers uint8 as a cloud-optimized GeoTIFF in the image's own grid, 255 no data
classes.csv, .parquet  a row an image, or a window of a large one: the class said, and the share of each
boxes.parquet          a row a box: in pixels, and its corners in the image's reference system
boxes.json             COCO, with scores
boxes.geojson          in longitude and latitude (RFC 7946), of images whose place is known
dota/Task2_CLASS.txt   the form in which DOTA takes horizontal boxes: image, score, x0, y0, x1, y1
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.errors import SourceError
from sar_data.raster import maps
from sar_data.record import IGNORE, Mask
from sar_data.system import durable
from sar_data.train.inference.images import Image
from sar_data.train.inference.parts import Block, Part, Parts
from sar_data.train.pictures.masks import palette

LONGEST = 48  # letters of a class in the name of a file
Row = dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """The images of a prediction, its parts in order, and the classes of its model.

    Where a sample may have several, those are said whose share is above the threshold of `limits`, by class.
    """

    images: Sequence[Image]
    parts: Sequence[Part]
    kept: Parts
    classes: Sequence[str]
    limits: Mapping[str, float] | None = None


def write_masks(folder: Path, answers: Answers) -> dict[str, int]:
    """Write the map of each image and return how many pixels each class has, and "no data"."""
    counts = np.zeros(256, np.int64)
    colours = palette(len(answers.classes))
    for number, own in enumerate(by_image(answers)):
        image = answers.images[number]
        path = folder / "masks" / f"{image.key}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = Rows(answers, own, image)
        for top in range(0, image.height, maps.BLOCK):
            counts += np.bincount(rows(top, min(top + maps.BLOCK, image.height)).ravel(), minlength=256)
        maps.write(path, rows, (image.height, image.width), image.place, colours, answers.classes)
    named = {name: int(counts[label]) for label, name in enumerate(answers.classes)}
    return named | {"no data": int(counts[IGNORE])}


class Rows:
    """The mask of one image, row by row, from the parts that hold it: (part, place in the part or None)."""

    def __init__(self, answers: Answers, own: Sequence[tuple[int, int | None]], image: Image) -> None:
        self._own, self._width = [], image.width
        for number, place in own:
            part, mask = answers.parts[number], answers.kept.mask(number)
            corner = (part.rows.start, part.columns.start) if isinstance(part, Block) else (0, 0)
            self._own.append((corner, mask if place is None else mask[place]))

    def __call__(self, top: int, bottom: int) -> Mask:
        """Return uint8 [bottom - top, x]."""
        rows = np.full((bottom - top, self._width), IGNORE, np.uint8)
        for (y, x), mask in self._own:
            first, last = max(top, y), min(bottom, y + mask.shape[0])
            if first < last:
                rows[first - top : last - top, x : x + mask.shape[1]] = mask[first - y : last - y]
        return rows


def by_image(answers: Answers) -> list[list[tuple[int, int | None]]]:
    """Return the parts that hold each image, and where in the part."""
    found: list[list[tuple[int, int | None]]] = [[] for _ in answers.images]
    for number, part in enumerate(answers.parts):
        if isinstance(part, Block):
            found[part.image].append((number, None))
        else:
            for place, image in enumerate(part.images):
                found[image].append((number, place))
    return found


def write_classes(folder: Path, answers: Answers) -> dict[str, int]:
    """Write a row an image or window and return how often each class is said."""
    rows, several = list(_class_rows(answers)), answers.limits is not None
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "label": ";".join(row["label"]) if several else row["label"]} for row in rows)
    durable.write(folder / "classes.csv", text.getvalue().encode())
    _write_table(folder / "classes.parquet", rows)
    said = Counter(name for row in rows for name in (row["label"] if several else [row["label"]]))
    return {name: said[name] for name in answers.classes}


def _class_rows(answers: Answers) -> Iterator[Row]:
    limits = answers.limits
    for row in _table(answers).to_pylist():
        image, shares = answers.images[row["image"]], row["shares"]
        top, left, height, width = row["window"]
        best = answers.classes[int(np.argmax(shares))]
        named = zip(answers.classes, shares, strict=True)
        middle = _map_corners([[left, top, left + width, top + height]], image)
        yield {
            "key": image.key,
            "top": top,
            "left": left,
            "height": height,
            "width": width,
            "crs": image.place.crs if middle else None,
            "x": float(np.mean(middle[0], axis=0)[0]) if middle else None,
            "y": float(np.mean(middle[0], axis=0)[1]) if middle else None,
            "label": best if limits is None else [name for name, share in named if share > limits[name]],
            **{f"share of {name}": share for name, share in zip(answers.classes, shares, strict=True)},
        }


def write_boxes(folder: Path, answers: Answers, run: str) -> dict[str, int]:
    """Write the boxes in all forms, best first for each image, and return how many each class has."""
    rows = []
    for row in _table(answers).sort_by([("image", "ascending"), ("score", "descending")]).to_pylist():
        image = answers.images[row["image"]]
        corners = _map_corners([row["box"]], image)
        rows.append({**row, "key": image.key, "corners": corners and corners[0], "crs": image.place.crs})
    _write_table(folder / "boxes.parquet", [_flat(row, answers.classes) for row in rows], _BOXES)
    _write_json(folder / "boxes.json", _coco(rows, answers, run))
    _write_json(folder / "boxes.geojson", _geojson(rows, answers.classes))
    dota = folder / "dota"
    dota.mkdir(exist_ok=True)
    for label, name in enumerate(file_names(answers.classes)):
        lines = [
            f"{row['key']} {row['score']:.6f} {' '.join(f'{side:.2f}' for side in row['box'])}\n"
            for row in rows
            if row["label"] == label
        ]
        durable.write(dota / f"Task2_{name}.txt", "".join(lines).encode())
    said = Counter(row["label"] for row in rows)
    return {name: said[label] for label, name in enumerate(answers.classes)}


def file_names(classes: Sequence[str]) -> list[str]:
    """Return what stands for each class in the name of a file: short, and each once."""
    names = [name.replace("/", "-") for name in classes]
    if len(set(names)) == len(names) and max(map(len, names)) <= LONGEST:
        return names
    return [f"{label}-{name[:LONGEST]}" for label, name in enumerate(names)]


_BOXES = pa.schema(
    {
        "key": pa.string(),
        "label": pa.string(),
        "score": pa.float32(),
        **{side: pa.float32() for side in ("x0", "y0", "x1", "y1")},
        "crs": pa.string(),
        "corners": pa.list_(pa.list_(pa.float64())),
    }
)


def _flat(row: Row, classes: Sequence[str]) -> Row:
    sides = dict(zip(("x0", "y0", "x1", "y1"), row["box"], strict=True))
    return {**{name: row[name] for name in ("key", "score", "crs", "corners")}, "label": classes[row["label"]], **sides}


def _coco(rows: Sequence[Row], answers: Answers, run: str) -> Row:
    """Return a document that pycocotools loads; ids begin at 1, and `score` is a field of our own."""
    images = [
        {"id": number, "file_name": image.key, "height": image.height, "width": image.width}
        for number, image in enumerate(answers.images, 1)
    ]
    annotations = []
    for number, row in enumerate(rows, 1):
        x0, y0, x1, y1 = row["box"]
        box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0, "segmentation": []}
        ids = {"id": number, "image_id": row["image"] + 1, "category_id": row["label"] + 1}
        annotations.append({**ids, **box, "score": row["score"]})
    return {
        "info": {"description": f"Boxes that {run} predicts"},
        "categories": [{"id": i, "name": name, "supercategory": ""} for i, name in enumerate(answers.classes, 1)],
        "images": images,
        "annotations": annotations,
    }


def _geojson(rows: Sequence[Row], classes: Sequence[str]) -> Row:
    features = []
    placed = [row for row in rows if row["corners"] is not None and row["crs"]]
    for crs in dict.fromkeys(row["crs"] for row in placed):
        own = [row for row in placed if row["crs"] == crs]
        try:
            rings = maps.degrees(np.array([row["corners"] for row in own]), crs)
        except SourceError:
            continue  # of a system of the user's own, which has no place on the Earth
        for row, ring in zip(own, rings.tolist(), strict=True):
            features.append(
                {
                    "type": "Feature",
                    "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
                    "properties": {"key": row["key"], "label": classes[row["label"]], "score": row["score"]},
                }
            )
    return {"type": "FeatureCollection", "features": features}


def _map_corners(boxes: list[list[float]], image: Image) -> list[Any] | None:
    found = maps.corners(np.array(boxes, np.float64), image.place)
    return None if found is None else found.tolist()


def _table(answers: Answers) -> pa.Table:
    return pa.concat_tables([answers.kept.table(number) for number in range(len(answers.parts))])


def _write_table(path: Path, rows: Sequence[Row], schema: pa.Schema | None = None) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), buffer)
    durable.write(path, buffer.getbuffer())


def _write_json(path: Path, document: Row) -> None:
    durable.write(path, json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
