"""Boxes of annotators, clipped to their image and matched to each other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from sar_data.errors import BadObject, BadRecord
from sar_data.record import Object, Objects

T = TypeVar("T")

Box = tuple[float, float, float, float]
"""Min x, min y, max x, max y."""

NO_AREA, OUTSIDE = "box of no area", "box beside the image, or reaching out of it"
NO_OUTLINE = "outline of fewer than three points"
MAX_MATCHED = 2000  # objects of an image, each of which is compared with each
SLACK = 1.0  # pixels: tools count edges from 0 or from 1, and round them either way


def fit_box(box: Box, shape: tuple[int, int], path: str, *, most: float = SLACK) -> tuple[Box, bool]:
    """Return a box cut to the image of (height, width), and whether anything beyond the slack was cut off.

    Raise BadObject, naming `path`, for a box that has no area, lies outside, or reaches further out than `most` pixels,
    and BadRecord for one that is not finite.
    """
    height, width = shape
    left, top, right, bottom = box
    cut = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    shown = ", ".join(f"{v:.6g}" for v in box)
    if not all(map(math.isfinite, box)):
        raise BadRecord(path, f"expected a box of finite numbers, found {shown}")
    if left >= right or top >= bottom:
        raise BadObject(path, f"expected a box with min x < max x and min y < max y, found {shown}", NO_AREA)
    over = max(-left, -top, right - width, bottom - height)
    if not (cut[0] < cut[2] and cut[1] < cut[3]) or over > most:
        message = f"found {shown} (min x, min y, max x, max y)"
        raise BadObject(path, f"expected a box inside {height}x{width} pixels, {message}", OUTSIDE)
    return cut, over > SLACK


def collect_objects(things: Iterable[T], make: Callable[[T], Object]) -> Objects:
    """Return the objects that `make` returns; an object for which it raises BadObject is left out and counted."""
    objects, dropped = [], Counter[str]()
    for thing in things:
        try:
            objects.append(make(thing))
        except BadObject as error:
            dropped[error.kind] += 1
    return Objects(objects, dict(dropped))


def bounding_box(points: Sequence[float]) -> Box:
    """Return the box of a polygon (x0, y0, x1, y1, …)."""
    return min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])


def corners(rotated: tuple[float, float, float, float, float]) -> tuple[float, ...]:
    """Return the four corners (x0, y0, …) of a box (centre x, centre y, width, height, degrees)."""
    x, y, width, height, degrees = rotated
    cos, sin = math.cos(math.radians(degrees)) / 2, math.sin(math.radians(degrees)) / 2
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return tuple(
        v for a, b in signs for v in (x + a * width * cos - b * height * sin, y + a * width * sin + b * height * cos)
    )


def check_rotated(rotated: tuple[float, float, float, float, float], path: str) -> None:
    """Raise BadObject, naming `path`, for a rotated box (centre x, centre y, width, height, degrees) of no area."""
    if not min(rotated[2:4]) > 0:
        sides = " and ".join(f"{side:.6g}" for side in rotated[2:4])
        raise BadObject(path, f"expected a rotated box with sides above 0, found {sides}", NO_AREA)


def rotated_box(ring: Sequence[float]) -> tuple[float, float, float, float, float] | None:
    """Return (centre x, centre y, width, height, degrees) of a ring of four corners, None unless it is a rectangle.

    The width lies along the first edge. Corners that were rounded to whole pixels are still those of a rectangle.
    """
    if len(ring) != 8:
        return None
    x, y = ring[::2], ring[1::2]
    centre = sum(x) / 4, sum(y) / 4
    width, height = math.dist((x[0], y[0]), (x[1], y[1])), math.dist((x[1], y[1]), (x[2], y[2]))
    degrees = math.degrees(math.atan2(y[1] - y[0], x[1] - x[0]))
    fitted = corners((*centre, width, height, degrees))
    deviation = max(abs(a - b) for a, b in zip(fitted, ring, strict=True))
    return (*centre, width, height, degrees) if min(width, height) > 0 and deviation <= 1.5 * SLACK else None


def match_boxes(boxes: Sequence[Box], others: Sequence[Box], path: str) -> list[int]:
    """Return for each box the index of the same object in `others`: the nearest centre, each used once.

    Raises BadRecord, naming the file of the others, where the numbers differ or a box has no match.
    """
    if len(boxes) != len(others):
        raise BadRecord(path, f"expected {len(boxes)} objects, as its sister file has, found {len(others)}")
    if len(boxes) > MAX_MATCHED:
        raise BadRecord(path, f"expected at most {MAX_MATCHED} objects to match, found {len(boxes)}")
    places = [[((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in row] for row in (boxes, others)]
    centres, other_centres = (np.array(row, np.float64).reshape(-1, 2) for row in places)
    distances = np.hypot(*(centres[:, None] - other_centres[None]).transpose(2, 0, 1))
    matches: dict[int, int] = {}
    used = set[int]()
    for pair in np.argsort(distances, axis=None, kind="stable").tolist():
        i, j = divmod(pair, len(boxes))
        if i not in matches and j not in used:
            matches[i] = j
            used.add(j)
    for i, j in matches.items():
        left, top, right, bottom = boxes[i]
        x, y = places[1][j]
        if (
            left < right
            and top < bottom
            and not (left - SLACK <= x <= right + SLACK and top - SLACK <= y <= bottom + SLACK)
        ):
            raise BadRecord(
                path, f"expected an object in the box {boxes[i]} of its sister file, the nearest is at {x, y}"
            )
    return [matches[i] for i in range(len(boxes))]
