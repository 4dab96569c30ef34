"""Crop or pad images to one size: the centre of larger ones, padding below and right of smaller ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from sar_data.record import Image, Object, Record

Polygon = tuple[float, ...]


def corner(shape: tuple[int, int], size: int) -> tuple[int, int]:
    """Return the (row, column) at which the centred window of a (height, width) image begins."""
    return max(shape[0] - size, 0) // 2, max(shape[1] - size, 0) // 2


def cut(array: Image, size: int, fill: float) -> Image:
    """Return the centred [..., size, size] window of an array [..., y, x], padded with `fill` below and right."""
    y, x = corner((array.shape[-2], array.shape[-1]), size)
    inside = array[..., y : y + size, x : x + size]
    if inside.shape[-2:] == (size, size):
        return np.ascontiguousarray(inside)
    padded = np.full((*array.shape[:-2], size, size), fill, array.dtype)
    padded[..., : inside.shape[-2], : inside.shape[-1]] = inside
    return padded


def cut_objects(objects: Iterable[Object], shape: tuple[int, int], size: int) -> list[Object]:
    """Return the objects whose centres lie in the window, boxes and polygons clipped to it, rotated boxes whole."""
    y, x = corner(shape, size)
    height, width = min(shape[0], size), min(shape[1], size)
    kept = []
    for item in objects:
        left, top, right, bottom = (v - o for v, o in zip(item.box, (x, y, x, y), strict=True))
        if not (0 <= (left + right) / 2 <= width and 0 <= (top + bottom) / 2 <= height):
            continue
        polygons = (clip_polygon(_move(polygon, x, y), width, height) for polygon in item.polygons)
        rotated = item.rotated and (item.rotated[0] - x, item.rotated[1] - y, *item.rotated[2:])
        box = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
        kept.append(replace(item, box=box, rotated=rotated, polygons=tuple(p for p in polygons if p)))
    return kept


def _move(polygon: Polygon, x: int, y: int) -> Polygon:
    return tuple(v - (y if i % 2 else x) for i, v in enumerate(polygon))


def clip_polygon(polygon: Polygon, width: float, height: float) -> Polygon:
    """Return a polygon clipped to the window (Sutherland and Hodgman 1974); () where nothing is left."""
    points = list(zip(polygon[::2], polygon[1::2], strict=True))
    for side in ((0, 0.0, 1), (0, width, -1), (1, 0.0, 1), (1, height, -1)):
        points = _half(points, *side)
    return tuple(v for point in points for v in point) if len(points) > 2 else ()


def _half(points: list[tuple[float, float]], axis: int, limit: float, sign: int) -> list[tuple[float, float]]:
    """Return the part of a ring beyond a limit on the x (0) or y (1) axis, or before it where `sign` is -1."""
    kept: list[tuple[float, float]] = []
    for a, b in zip([points[-1], *points[:-1]] if points else [], points, strict=True):
        before, after = sign * (a[axis] - limit), sign * (b[axis] - limit)
        if (before < 0) != (after < 0):
            t = before / (before - after)
            kept.append((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])))
        if after >= 0:
            kept.append(b)
    return kept


def refit_record(record: Record, cut: int | None, resize: int | None) -> Record:
    """Return a record with size, objects and georeference after a crop and a resize."""
    shape = record.shape or (0, 0)
    if cut is not None:
        record = _window_record(record, corner(shape, cut), (min(shape[0], cut), min(shape[1], cut)))
        record = replace(record, objects=tuple(cut_objects(record.objects, shape, cut)))
    if resize is not None and record.shape:
        height, width = (before / resize for before in record.shape)
        objects = tuple(_scale(item, 1 / width) for item in record.objects)
        if t := record.transform:
            t = (t[0] * width, t[1] * height, t[2], t[3] * width, t[4] * height, t[5])
        record = replace(record, shape=(resize, resize), objects=objects, transform=t)
    return record


def _window_record(record: Record, at: tuple[int, int], shape: tuple[int, int]) -> Record:
    """Return a record of the window that begins at (row, column) and has a (height, width)."""
    t, footprint = record.transform, record.footprint
    if t:
        a, b, c, d, e, f = t
        c, f = c + a * at[1] + b * at[0], f + d * at[1] + e * at[0]
        t = (a, b, c, d, e, f)
        xs = [c + a * x + b * y for x in (0, shape[1]) for y in (0, shape[0])]
        ys = [f + d * x + e * y for x in (0, shape[1]) for y in (0, shape[0])]
        footprint = footprint and (min(xs), min(ys), max(xs), max(ys))
    return replace(record, transform=t, footprint=footprint, shape=shape)


def _scale(item: Object, by: float) -> Object:
    rotated = item.rotated
    if rotated:
        x, y, width, height, degrees = rotated
        rotated = (x * by, y * by, width * by, height * by, degrees)
    polygons = tuple(tuple(v * by for v in polygon) for polygon in item.polygons)
    left, top, right, bottom = (v * by for v in item.box)
    return replace(item, box=(left, top, right, bottom), rotated=rotated, polygons=polygons)
