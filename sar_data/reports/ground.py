"""The map: where the samples of each split lie, over a coarse outline of the land, drawn without tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sar_data.reports.chart import Axis, path
from sar_data.reports.coast import land
from sar_data.reports.page import drawn
from sar_data.reports.rows import places_of
from sar_data.sealed.leakage import ground_of
from sar_data.split.policy import SPLITS

Floats = npt.NDArray[np.float64]
Boxes = npt.NDArray[np.float64]
"""West, south, east and north [sample, 4] in degrees."""

WIDTH, LEAST_HEIGHT, MOST_HEIGHT = 720, 240, 620  # of the map, in units of its own
MARGIN = 0.08  # of the extent, on each side
LEAST_SPAN = 0.05  # degrees: of a map of one sample
COARSE = 2.0  # degrees: on a map of less the outline of the land would mislead
LOCAL = 60.0  # degrees: a map of less has a small one of the world beside it
LEAST = {"train": 6, "val": 4, "test": 2}  # units of a mark: those of another split show where they fall together
MOST_EXACT = 5000  # samples; of more the centres are drawn, on a grid of the largest mark, so that a page stays small
LOCATOR = 180  # width of the small map


@dataclass(frozen=True)
class Map:
    """Lines of a map: outlines of land, marks by split, ticks (coordinate, degrees); `place` is that on the `world`."""

    height: int
    land: list[str]
    marks: dict[str, str]
    meridians: list[tuple[float, str]]
    parallels: list[tuple[float, str]]
    world: list[str]
    place: tuple[float, float, float, float]
    shown: int
    of: int


def draw_map(index: pa.Table) -> Map | None:
    """Return the map of packed rows of an index, None where nobody knows on which ground any of them lies."""
    ground = ground_of(index)
    exact = len(index) <= MOST_EXACT
    boxes = ground.boxes_in_degrees if exact else np.tile(ground.degrees, 2)
    known = np.isfinite(boxes).all(axis=1)
    if not known.any():
        return None
    x, y = _axes(boxes[known])
    marks = {}
    for name in SPLITS:
        own = boxes[places_of(index, name)]
        marks[name] = _marks(own[np.isfinite(own).all(axis=1)], (x, y), LEAST[name], exact)
    narrow = min(x.high - x.low, y.high - y.low) < COARSE
    return Map(
        height=round(y.start),
        land=[] if narrow else _land(x, y),
        marks={name: line for name, line in marks.items() if line},
        meridians=x.ticks(5),
        parallels=y.ticks(5),
        world=_land(*_WORLD) if x.high - x.low < LOCAL else [],
        place=_place_on_world(x, y),
        shown=int(known.sum()),
        of=len(index),
    )


def _axes(boxes: Boxes) -> tuple[Axis, Axis]:
    """Return the axes of an equirectangular map, true to scale in its middle, that has room for all boxes."""
    west, south = boxes[:, :2].min(axis=0)
    east, north = boxes[:, 2:].max(axis=0)
    wide, tall = (max(float(span), LEAST_SPAN) * (1 + 2 * MARGIN) for span in (east - west, north - south))
    middle, height = (float(west + east) / 2, float(south + north) / 2)
    shrunk = max(math.cos(math.radians(height)), 0.1)  # a degree of longitude, in degrees of latitude
    ratio = min(max(tall / (wide * shrunk), LEAST_HEIGHT / WIDTH), MOST_HEIGHT / WIDTH)
    wide, tall = max(wide, tall / ratio / shrunk), max(tall, wide * shrunk * ratio)
    x = Axis(middle - wide / 2, middle + wide / 2, 0, WIDTH)
    return x, Axis(height - tall / 2, height + tall / 2, round(WIDTH * ratio), 0)


def _land(x: Axis, y: Axis) -> list[str]:
    """Return the outlines that reach into a map."""
    lines = []
    for ring in land():
        low, high = ring.min(axis=0), ring.max(axis=0)
        if low[0] < x.high and high[0] > x.low and low[1] < y.high and high[1] > y.low:
            lines.append(path(np.column_stack([x.of(ring[:, 0]), y.of(ring[:, 1])]), close=True))
    return lines


def _marks(boxes: Boxes, axes: tuple[Axis, Axis], least: int, exact: bool) -> str:
    """Return one path of a rectangle a footprint, or a cell of the grid; those that fall together are drawn once."""
    x, y = axes
    if not len(boxes):
        return ""
    left, right, top, bottom = x.of(boxes[:, 0]), x.of(boxes[:, 2]), y.of(boxes[:, 3]), y.of(boxes[:, 1])
    wide, tall = np.maximum(right - left, least), np.maximum(bottom - top, least)
    corners = [(a + b - size) / 2 for a, b, size in ((left, right, wide), (top, bottom, tall))]
    if not exact:
        cell = max(LEAST.values())
        corners = [cell * np.floor(middle / cell) + (cell - least) / 2 for middle in (left, top)]
    places = np.rint([*corners, np.ceil(wide), np.ceil(tall)]).astype(np.int64)
    low = places.min(axis=1, keepdims=True)
    rows = np.unique(np.bitwise_or.reduce((places - low) << np.array([[48], [32], [16], [0]])))
    unique = ((rows[:, None] >> np.array([48, 32, 16, 0])) & 0xFFFF) + low.T
    return drawn("".join(f"M{a} {b}h{w}v{h}h-{w}z" for a, b, w, h in unique.tolist()))


_WORLD = (Axis(-180, 180, 0, LOCATOR), Axis(-60, 85, LOCATOR * 145 / 360, 0))


def _place_on_world(x: Axis, y: Axis) -> tuple[float, float, float, float]:
    """Return left, top, width and height of a map on the small one."""
    left, right = (_WORLD[0].at(value) for value in (x.low, x.high))
    top, bottom = (_WORLD[1].at(value) for value in (y.high, y.low))
    return left, top, max(right - left, 4.0), max(bottom - top, 4.0)
