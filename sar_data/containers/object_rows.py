"""Objects in a row of a table, as our own export writes them: lists of label, box, rotated, polygons and attrs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from sar_data.errors import Reading
from sar_data.labels import boxes
from sar_data.record import Object, Objects

FIELDS = {"label", "box", "rotated", "polygons", "attrs"}


def is_objects(kind: pa.DataType) -> bool:
    """Say whether the cells of a column are lists of such objects."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_struct(kind.value_type):
        return False
    return {field.name for field in kind.value_type} == FIELDS


def objects_of(cell: Sequence[Mapping[str, Any]] | None, shape: tuple[int, int], where: str) -> Objects:
    """Return the objects of an image of (height, width); raise BadRecord for numbers that are none."""
    return boxes.collect_objects(cell or (), lambda item: _object(item, shape, where))


def _object(item: Mapping[str, Any], shape: tuple[int, int], where: str) -> Object:
    with Reading(where, "an object with a label, a box of four numbers, a rotated box of five and polygons"):
        left, top, right, bottom = map(float, item["box"])
        polygons = tuple(tuple(map(float, ring)) for ring in item["polygons"] or ())
        attrs = {str(attr["name"]): str(attr["value"]) for attr in item["attrs"] or ()}
        label, rotated = int(item["label"]), None
        if item["rotated"] is not None:
            x, y, width, height, degrees = map(float, item["rotated"])
            rotated = (x, y, width, height, degrees)
        if label < 0 or not all(map(math.isfinite, chain(rotated or (), *polygons))):
            raise ValueError(f"the label {label} or a number that is not finite")
        if any(len(ring) < 6 or len(ring) % 2 for ring in polygons):
            raise ValueError("a polygon without three corners")
    if rotated is not None:
        boxes.check_rotated(rotated, where)
    box, cut = boxes.fit_box((left, top, right, bottom), shape, where, most=math.inf)
    return Object(label=label, box=box, rotated=rotated, polygons=polygons, attrs=attrs | ({"cut": "1"} if cut else {}))
