"""Overlaps of convex polygons by clipping one with the other (Sutherland and Hodgman 1974), in double precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sar_data.labels.boxes import corners

Point = tuple[float, float]


def overlap(box: Sequence[float], other: Sequence[float]) -> float:
    """Return intersection over union of two rotated boxes (x, y, width, height, degrees)."""
    one, two = (_ring(values) for values in (box, other))
    shared = area(clipped(one, two))
    return shared / (area(one) + area(two) - shared)


def overlaps(boxes: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return them of all pairs [n, m]."""
    return np.array([[overlap(box, other) for other in others] for box in boxes]).reshape(len(boxes), len(others))


def clipped(ring: list[Point], window: list[Point]) -> list[Point]:
    """Return what of a ring lies in a convex window, whose corners go round clockwise where y points down."""
    for i, (x1, y1) in enumerate(window):
        x0, y0 = window[i - 1]
        side = [(x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) for x, y in ring]
        found = []
        for j, (x, y) in enumerate(ring):
            if side[j - 1] * side[j] < 0:
                share = side[j - 1] / (side[j - 1] - side[j])
                found.append(
                    (ring[j - 1][0] + share * (x - ring[j - 1][0]), ring[j - 1][1] + share * (y - ring[j - 1][1]))
                )
            if side[j] >= 0:
                found.append((x, y))
        ring = found
    return ring


def area(ring: list[Point]) -> float:
    return abs(sum(ring[i - 1][0] * y - x * ring[i - 1][1] for i, (x, y) in enumerate(ring))) / 2


def _ring(values: Sequence[float]) -> list[Point]:
    x, y, width, height, degrees = map(float, values)
    flat = corners((x, y, width, height, degrees))
    return list(zip(flat[::2], flat[1::2], strict=True))
