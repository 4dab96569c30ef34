"""The true objects of each image from the index: whole, in stored pixels, before any crop or resize."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from sar_data.sealed.index import value_of
from sar_data.sealed.index_file import read_index
from sar_data.train.rotated.boxes import around, canonical, upright

BOXES = pa.list_(pa.list_(pa.float64()))
COLUMNS = {
    "true_boxes": BOXES,
    "true_labels": pa.list_(pa.int64()),
    "true_areas": pa.list_(pa.float64()),
    "true_crowds": pa.list_(pa.bool_()),
    "true_rotated": BOXES,
}


class Truth:
    """The objects of every image of a build, and one attribute of the images, by key.

    `rotated` counts the objects that have a rotated box. `numbers` are a model's of each class of the build; objects of
    a class that has None are left out. `boxes` are horizontal, or rotated, which add a column. Raises
    BuildError for an index that cannot be read.
    """

    def __init__(
        self, index: Path, attribute: str, numbers: Sequence[int | None] | None = None, boxes: str = "horizontal"
    ) -> None:
        table = read_index(index, ["key", "objects", "attrs"])
        self.attribute, self._numbers, self._boxes = attribute, numbers, boxes
        self._rows = {key: row for row, key in enumerate(table["key"].to_pylist())}
        self._objects = table["objects"].combine_chunks()
        self._attributes = value_of(table["attrs"], attribute).to_pylist()
        flat = self._objects.flatten()
        self.rotated = len(flat) - flat.field("rotated").null_count if len(flat) else 0

    def columns(self, keys: Iterable[str]) -> dict[str, pa.Array]:
        """Return a row a key: boxes (x0, y0, x1, y1), labels, areas and crowd marks of its objects, and its attribute.

        An area is that of the most exact outline, polygons, rotated box or box, as in our COCO files and those of
        publishers; it decides which objects are small, medium and large.
        """
        rows = [self._rows[key] for key in keys]
        stored = self._objects.take(pa.array(rows, pa.int64())).to_pylist()
        objects = [[item for item in image or () if self._label(item) is not None] for image in stored]
        lists = {
            "true_boxes": [[item["box"] for item in image] for image in objects],
            "true_labels": [[self._label(item) for item in image] for image in objects],
            "true_areas": [[_area(item) for item in image] for image in objects],
            "true_crowds": [[_crowd(item) for item in image] for image in objects],
        }
        if self._boxes == "rotated":
            lists["true_rotated"] = [[_rotated_box(item) for item in image] for image in objects]
        columns = {name: pa.array(values, COLUMNS[name]) for name, values in lists.items()}
        return columns | {self.attribute: pa.array([self._attributes[row] for row in rows], pa.string())}

    def _label(self, item: dict[str, Any]) -> int | None:
        label: int = item["label"]
        return label if self._numbers is None else self._numbers[label]


class Truths:
    """The objects of every image of several builds, each under its name, by keys NAME/KEY."""

    def __init__(self, parts: Mapping[str, Truth]) -> None:
        self._parts = parts
        self.rotated = sum(part.rotated for part in parts.values())

    def columns(self, keys: Iterable[str]) -> dict[str, pa.Array]:
        """Return a row a key, as `Truth` does."""
        pairs = [key.split("/", 1) for key in keys]
        rows = [self._parts[name].columns([key]) for name, key in pairs]
        return {column: pa.concat_arrays([row[column] for row in rows]) for column in rows[0]}


def _rotated_box(item: dict[str, Any]) -> list[float]:
    """Return the rotated box of an object, as in training (sar_data.train.rotated.boxes.of_targets)."""
    if item["rotated"]:
        box = canonical(torch.tensor([item["rotated"]], dtype=torch.float64))[0]
    elif item["polygons"]:
        box = around(np.concatenate([np.reshape(ring, (-1, 2)) for ring in item["polygons"]]))
    else:
        box = upright(torch.tensor([item["box"]], dtype=torch.float64))[0]
    values: list[float] = box.tolist()
    return values


def _area(item: dict[str, Any]) -> float:
    if item["polygons"]:
        return sum(map(_shoelace, item["polygons"]))
    if item["rotated"]:
        return float(item["rotated"][2] * item["rotated"][3])
    left, top, right, bottom = item["box"]
    return float((right - left) * (bottom - top))


def _shoelace(ring: Sequence[float]) -> float:
    xs, ys = ring[::2], ring[1::2]
    return abs(sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))) / 2


def _crowd(item: dict[str, Any]) -> bool:
    return {"name": "crowd", "value": "1"} in (item["attrs"] or ())
