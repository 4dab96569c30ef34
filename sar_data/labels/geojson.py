"""Polygons of a GeoJSON file (RFC 7946) in the pixels of a georeferenced image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sar_data.errors import Reading
from sar_data.record import Object
from sar_data.text import parse_json

Transform = tuple[float, float, float, float, float, float]
Ring = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """One feature: polygons of an outer ring and its holes, (x0, y0, x1, y1, …) in pixels without the closing point."""

    polygons: tuple[tuple[Ring, ...], ...]
    properties: dict[str, Any]

    def seen(self, height: int, width: int, label: int) -> Object | None:
        """Return what an image shows of it, its outer rings as they are; None where nothing of it lies inside."""
        outer = tuple(rings[0] for rings in self.polygons)
        xs = [min(max(x, 0.0), float(width)) for ring in outer for x in ring[::2]]
        ys = [min(max(y, 0.0), float(height)) for ring in outer for y in ring[1::2]]
        box = (min(xs), min(ys), max(xs), max(ys))
        return Object(label=label, box=box, polygons=outer) if box[0] < box[2] and box[1] < box[3] else None


def shapes(data: bytes, name: str, transform: Transform) -> list[Shape]:
    """Return the polygons of a feature collection; empty geometries are passed over. Raise BadRecord, naming `name`."""
    with Reading(name, "a GeoJSON collection of polygons"):
        features = parse_json(data)["features"]
        return [shape for feature in features for shape in _shape(feature, transform)]


def _shape(feature: dict[str, Any], transform: Transform) -> Iterator[Shape]:
    geometry = feature["geometry"] or {"type": "Polygon", "coordinates": []}
    parts = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}[geometry["type"]]
    if polygons := tuple(tuple(_ring(ring, transform) for ring in part) for part in parts if part):
        yield Shape(polygons, dict(feature.get("properties") or {}))


def _ring(ring: list[list[float]], transform: Transform) -> Ring:
    """Return a ring in pixels: the inverse of x = a·column + b·row + c, y = d·column + e·row + f."""
    a, b, c, d, e, f = transform
    scale = a * e - b * d
    points = [(float(x) - c, float(y) - f) for x, y, *_ in (ring[:-1] if ring[0] == ring[-1] else ring)]
    if len(points) < 3:
        raise ValueError(f"a ring of {len(points)} points")
    return tuple(v for x, y in points for v in ((e * x - b * y) / scale, (a * y - d * x) / scale))
