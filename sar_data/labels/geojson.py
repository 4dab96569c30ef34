"""Polygons of a GeoJSON file (RFC 7946) in the pixels of a georeferenced image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sar_data.errors import BadRecord

Transform = tuple[float, float, float, float, float, float]
Ring = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """One feature: its outer rings and holes, each (x0, y0, x1, y1, …) in pixels without the closing point."""

    outer: tuple[Ring, ...]
    holes: tuple[Ring, ...]
    properties: dict[str, Any]

    def box(self, height: int, width: int) -> tuple[float, float, float, float] | None:
        """Return the bounds inside an image, None where nothing of it lies there."""
        xs = [min(max(x, 0.0), float(width)) for ring in self.outer for x in ring[::2]]
        ys = [min(max(y, 0.0), float(height)) for ring in self.outer for y in ring[1::2]]
        found = (min(xs), min(ys), max(xs), max(ys))
        return found if found[0] < found[2] and found[1] < found[3] else None


def shapes(data: bytes, name: str, transform: Transform) -> list[Shape]:
    """Return the polygons of a feature collection; empty geometries are passed over. Raise BadRecord, naming `name`."""
    try:
        features = json.loads(data)["features"]
        return [made for feature in features for made in _shape(feature, transform)]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise BadRecord(name, f"expected a GeoJSON collection of polygons, found {type(error).__name__}: {error}") from None


def _shape(feature: dict[str, Any], transform: Transform) -> Iterator[Shape]:
    geometry = feature["geometry"] or {"type": "Polygon", "coordinates": []}
    parts = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}[geometry["type"]]
    rings = [[_ring(ring, transform) for ring in part] for part in parts if part]
    if rings:
        holes = tuple(hole for part in rings for hole in part[1:])
        yield Shape(tuple(part[0] for part in rings), holes, dict(feature.get("properties") or {}))


def _ring(ring: list[list[float]], transform: Transform) -> Ring:
    """Return a ring in pixels: the inverse of x = a·column + b·row + c, y = d·column + e·row + f."""
    a, b, c, d, e, f = transform
    scale = a * e - b * d
    points = [(x - c, y - f) for x, y, *_ in (ring[:-1] if ring[0] == ring[-1] else ring)]
    if len(points) < 3:
        raise ValueError(f"a ring of {len(points)} points")
    return tuple(v for x, y in points for v in ((e * x - b * y) / scale, (a * y - d * x) / scale))
