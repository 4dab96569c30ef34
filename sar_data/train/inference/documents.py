"""The maps and tables of classes that a prediction leaves, from its parts; its boxes are written by boxes.py.

masks/KEY.tif          class numbers uint8 as a cloud-optimized GeoTIFF in the image's own grid, 255 no data
classes.csv, .parquet  a row an image, or a window of a large one: the class said, and the share of each; both are null
                       (empty in CSV) where there is no data. Where there may be several classes, they are a list, in
                       CSV one of JSON

Files are written a few rows at a time, so that memory does not grow with the image.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sar_data.errors import RunError
from sar_data.raster import maps
from sar_data.record import IGNORE, Mask
from sar_data.system import durable, private
from sar_data.text import csv_lines
from sar_data.train.inference.answers import CLASSES
from sar_data.train.inference.images import Image
from sar_data.train.inference.parts import Block, Part, Parts
from sar_data.train.rotated.rings import ring
from sar_data.views.palette import palette

AT_ONCE = 8192  # rows of a table in memory
NO_DATA = "no data"  # what is counted beside the classes
WHOLE = (0, sys.maxsize, 0)  # first and last row, first column of an image that was seen whole
MAY_BE_NULL = ("rotated", "shares")  # of a horizontal box, and where is no data
Row = dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """The images of a prediction, its parts in order, and the classes of its model.

    Where a sample may have several, those are said whose share is above the threshold of `limits`, by class. `rotated`
    says that its boxes are.
    """

    images: Sequence[Image]
    parts: Sequence[Part]
    kept: Parts
    classes: Sequence[str]
    limits: Mapping[str, float] | None = None
    rotated: bool = False


def write_masks(folder: Path, answers: Answers) -> dict[str, int]:
    """Write the map of each image and return how many pixels each class has, and "no data"."""
    counts = np.zeros(256, np.int64)
    colours = palette(len(answers.classes))
    for number, own in enumerate(by_image(answers)):
        image = answers.images[number]
        path = folder / "masks" / f"{image.key}.tif"
        private.make_folders(folder, path.parent)
        rows = Rows(answers, own, image)
        for top in range(0, image.height, maps.BLOCK):
            counts += np.bincount(rows(top, min(top + maps.BLOCK, image.height)).ravel(), minlength=256)
        maps.write(path, rows, (image.height, image.width), image.place, colours, answers.classes)
    if counts[len(answers.classes) : IGNORE].any():
        raise RunError(f"{answers.kept.folder}: expected masks of the model's classes: remove it to predict anew")
    named = {name: int(counts[label]) for label, name in enumerate(answers.classes)}
    return named | {NO_DATA: int(counts[IGNORE])}


class Rows:
    """The mask of one image, row by row, from the parts that hold it: (part, place in the part or None).

    A part is mapped while it is looked at alone: what stays mapped counts as memory, a byte a pixel of the image.
    """

    def __init__(self, answers: Answers, own: Sequence[tuple[int, int | None]], image: Image) -> None:
        self._answers, self._own, self._image = answers, own, image

    def __call__(self, top: int, bottom: int) -> Mask:
        """Return uint8 [bottom - top, x]."""
        rows = np.full((bottom - top, self._image.width), IGNORE, np.uint8)
        for number, place in self._own:
            part = self._answers.parts[number]
            y, end, x = (part.rows.start, part.rows.stop, part.columns.start) if isinstance(part, Block) else WHOLE
            first, last = max(top, y), min(bottom, end, self._image.height)
            if first < last:
                stored = self._answers.kept.mask(number, self._shape(part))
                mask = stored if place is None else stored[place]
                rows[first - top : last - top, x : x + mask.shape[1]] = mask[first - y : last - y]
        return rows

    def _shape(self, part: Part) -> tuple[int, ...]:
        height, width = self._image.height, self._image.width
        if isinstance(part, Block):
            return min(part.rows.stop, height) - part.rows.start, min(part.columns.stop, width) - part.columns.start
        return len(part.images), height, width


def rows_of(answers: Answers, number: int, schema: pa.Schema) -> pa.Table:
    """Return the table of a part; raise RunError for rows that are not of its images, or say no class of the model."""
    table, part, count = answers.kept.table(number, schema), answers.parts[number], len(answers.classes)
    own = (part.image,) if isinstance(part, Block) else part.images
    said = {"image": pc.is_in(table["image"], pa.array(own, pa.int32()))}
    for field in schema:
        column = table[field.name].drop_null() if field.name in MAY_BE_NULL else table[field.name]
        values = pc.list_flatten(column) if pa.types.is_nested(field.type) else column
        said.setdefault(field.name, pc.is_finite(values))
    if "label" in schema.names:
        said["label"] = pc.and_(pc.greater_equal(table["label"], 0), pc.less(table["label"], count))
    if "shares" in schema.names:
        said["length of shares"] = pc.equal(pc.list_value_length(table["shares"].drop_null()), count)
    wrong = [name for name in schema.names if table[name].null_count and name not in MAY_BE_NULL]
    wrong += [name for name, right in said.items() if right.null_count or not pc.all(right, min_count=0).as_py()]
    if wrong:
        raise answers.kept.flaw(
            number, f"{wrong[0]}: expected what this model says of these images, found other values"
        )
    return table


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
    """Write a row an image or window; return how often each class is said, and of how many there is no data."""
    rows, several, said = _class_rows(answers), answers.limits is not None, Counter[str]()
    schema = _columns(answers)
    with durable.publish(folder / "classes.csv") as file, parquet(folder / "classes.parquet", schema) as add:
        file.write(csv_lines([schema.names]).encode())
        while some := list(islice(rows, AT_ONCE)):
            add(some)
            shown = [{**row, "label": _cell(row["label"])} for row in some] if several else some
            file.write(csv_lines([row[name] for name in schema.names] for row in shown).encode())
            for row in some:
                label = row["label"]
                said.update([NO_DATA] if label is None else label if several else [label])
    return {name: said[name] for name in (*answers.classes, NO_DATA)}


def _cell(labels: list[str] | None) -> str | None:
    """Return several labels as JSON, in which any name can stand among others."""
    return labels if labels is None else json.dumps(labels, ensure_ascii=False)


def _columns(answers: Answers) -> pa.Schema:
    """Return the columns of classes.parquet."""
    return pa.schema(
        {
            "key": pa.string(),
            **dict.fromkeys(("top", "left", "height", "width"), pa.int64()),
            "crs": pa.string(),
            **dict.fromkeys(("x", "y"), pa.float64()),
            "label": pa.string() if answers.limits is None else pa.list_(pa.string()),
            **{f"share of {name}": pa.float32() for name in answers.classes},
        }
    )


def _class_rows(answers: Answers) -> Iterator[Row]:
    """Yield the rows of all parts, which are in memory one at a time."""
    for number in range(len(answers.parts)):
        for row in rows_of(answers, number, CLASSES).to_pylist():
            image = answers.images[row["image"]]
            top, left, height, width = row["window"]
            corners = map_corners([left, top, left + width, top + height], image)
            x, y = (None, None) if corners is None else corners.mean(axis=0).tolist()
            shares = row["shares"] or [None] * len(answers.classes)
            yield {
                "key": image.key,
                "top": top,
                "left": left,
                "height": height,
                "width": width,
                "crs": None if corners is None else image.place.crs,
                "x": x,
                "y": y,
                "label": _label(row["shares"], answers),
                **{f"share of {name}": share for name, share in zip(answers.classes, shares, strict=True)},
            }


def _label(shares: list[float] | None, answers: Answers) -> str | list[str] | None:
    """Return the class said, those above their thresholds where there may be several, or None where is no data."""
    if shares is None:
        return None
    if answers.limits is None:
        return answers.classes[int(np.argmax(shares))]
    return [name for name, share in zip(answers.classes, shares, strict=True) if share > answers.limits[name]]


@contextmanager
def parquet(path: Path, schema: pa.Schema) -> Iterator[Callable[[Sequence[Row]], None]]:
    """Publish a Parquet file; what this yields adds rows to it."""
    with (
        durable.publish(path) as file,
        open(file.descriptor, "wb", closefd=False) as sink,
        pq.ParquetWriter(sink, schema) as writer,
    ):
        yield lambda rows: writer.write_table(pa.Table.from_pylist(list(rows), schema=schema))


def map_corners(box: Sequence[float], image: Image) -> Any:
    """Return the four corners [4, 2] of a box in the image's reference system, None without a place; see `ring`."""
    return maps.map_points(ring(box), image.place)
