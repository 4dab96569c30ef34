"""Annotations in the XML of PASCAL VOC and similar formats: upright and rotated boxes and polygons, found by tag.

Layout after the PASCAL VOC development kit; encodings and refusals are those of `markup`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sar_data.errors import BadObject, BadRecord
from sar_data.labels.boxes import (
    NO_OUTLINE,
    Box,
    bounding_box,
    check_rotated,
    collect_objects,
    corners,
    fit_box,
    match_boxes,
)
from sar_data.labels.markup import root_of, text_of
from sar_data.naming import few
from sar_data.record import Object, Objects

Rotated = tuple[float, float, float, float, float]
_EDGES = ("xmin", "ymin", "xmax", "ymax")
_ROTATED = tuple(f"rotated_bbox_{name}" for name in ("cx", "cy", "w", "h", "theta"))
_FLAGS = ("truncated", "difficult")


class VocObject(NamedTuple):
    """One object of a file: edges, (centre x, centre y, width, height, degrees), points."""

    label: int
    box: Box | None
    rotated: Rotated | None
    points: tuple[float, ...]
    attrs: dict[str, str]


class Annotation(NamedTuple):
    """One file: the (height, width) of its image, None where unknown, and its objects."""

    shape: tuple[int, int] | None
    things: tuple[VocObject, ...]


def parse(data: bytes, path: str, classes: Sequence[str]) -> Annotation:
    """Return what an annotation says of things of `classes`, in lower case.

    Raise BadRecord, naming `path`, where it is broken or hostile or names another class.
    """
    root = root_of(text_of(data, path), path, "annotation")
    size = root.find("size")
    shape = None
    if size is not None:
        height, width = (number_of(size, tag, path) for tag in ("height", "width"))
        if height < 0 or width < 0 or height % 1 or width % 1:
            raise BadRecord(path, f"expected a size in whole pixels, found {height:g}x{width:g}")
        shape = (int(height), int(width)) if height and width else None  # some tools write 0: the picture knows
    return Annotation(shape, tuple(_thing(element, path, classes) for element in root.iter("object")))


def _thing(element: Any, path: str, classes: Sequence[str]) -> VocObject:
    name = _name(element)
    if name.lower() not in classes:
        raise BadRecord(path, f"expected objects named {few(classes)}, found {name[:40]!r}")
    box, rotated, points = element.find("bndbox"), element.find("rotated_bndbox"), element.find("segm")
    points = element.find("points") if points is None else points
    drawn: list[float] = []
    for point in () if points is None else points.iter("point"):
        pair = (point.text or "").split(",")
        if len(pair) != 2:
            raise BadRecord(path, f"expected a <point> of x,y, found {(point.text or '')[:40]!r}")
        drawn += [_finite(v, "point", path) for v in pair]
    return VocObject(
        label=classes.index(name.lower()),
        box=None if box is None else tuple(number_of(box, tag, path) for tag in _EDGES),  # type: ignore[arg-type]
        rotated=None if rotated is None else tuple(number_of(rotated, tag, path) for tag in _ROTATED),  # type: ignore[arg-type]
        points=tuple(drawn),
        attrs={tag: text for tag in _FLAGS if (text := (element.findtext(tag) or "0").strip()) != "0"},
    )


def _name(element: Any) -> str:
    return (element.findtext("name") or element.findtext("possibleresult/name") or "").strip()


def number_of(element: Any, tag: str, path: str) -> float:
    """Return the number in a tag below an element; raise BadRecord, naming `path`, where there is none."""
    return _finite(element.findtext(tag), tag, path)


def _finite(text: str | None, tag: str, path: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadRecord(path, f"expected a number in <{tag}>, found {(text or 'none')[:40]!r}")
    return value


def names(data: bytes, path: str) -> set[str]:
    """Return the names of the objects in an annotation."""
    root = root_of(text_of(data, path), path, "annotation")
    return {_name(element) for element in root.iter("object")}


def object_of(thing: VocObject, shape: tuple[int, int], path: str, most: float) -> Object:
    """Return the object in an image of (height, width): the outline in its file, and the box around it.

    Points that are an upright rectangle are a box alone. Raise BadObject where there is no outline, for a rotated box
    of no area, and for a box that reaches out of the image by more than `most` pixels.
    """
    if thing.rotated:
        check_rotated(thing.rotated, path)
    ring = thing.points[:-2] if thing.points[:2] == thing.points[-2:] else thing.points
    if thing.box is None and thing.rotated is None and len(ring) < 6:
        reason = "expected a <bndbox> or at least three points in every <object>, found neither"
        raise BadObject(path, reason, NO_OUTLINE) if ring else BadRecord(path, reason)
    outline = corners(thing.rotated) if thing.rotated else ring
    drawn = bounding_box(outline) if thing.box is None else thing.box
    upright = len(ring) == 8 and set(ring[::2]) <= {drawn[0], drawn[2]} and set(ring[1::2]) <= {drawn[1], drawn[3]}
    box, cut = fit_box(drawn, shape, path, most=most)
    return Object(
        label=thing.label,
        box=box,
        rotated=thing.rotated,
        polygons=() if upright or len(ring) < 6 else (ring,),
        attrs=thing.attrs | ({"cut": "1"} if cut else {}),
    )


def join_annotations(drawn: Mapping[str, Annotation], shape: tuple[int, int]) -> Objects:
    """Return the objects of the first annotation, each with its rotated box or polygon of the others.

    `drawn` is by path, of an image of (height, width). Objects belong together where their boxes overlap most. Raise
    BadRecord where they do not pair.
    """
    (first, plain), *others = drawn.items()
    flat = [thing.box for thing in plain.things if thing.box]
    if len(flat) != len(plain.things):
        raise BadRecord(first, f"expected a box of each of {len(plain.things)} objects, found {len(flat)}")
    objects = [
        Object(label=thing.label, box=box, attrs=thing.attrs) for box, thing in zip(flat, plain.things, strict=True)
    ]
    for path, annotation in others:
        oblique = [thing.rotated for thing in annotation.things if thing.rotated]
        rings = [thing.points for thing in annotation.things if len(thing.points) >= 6]
        edges = [bounding_box(corners(item)) for item in oblique] or list(map(bounding_box, rings))
        for i, j in enumerate(match_boxes(flat, edges, path)):
            objects[i] = (
                replace(objects[i], rotated=oblique[j]) if oblique else replace(objects[i], polygons=(rings[j],))
            )
    return collect_objects(objects, lambda item: _fit(item, shape, first))


def _fit(item: Object, shape: tuple[int, int], path: str) -> Object:
    if item.rotated:
        check_rotated(item.rotated, path)
    return replace(item, box=fit_box(item.box, shape, path)[0])
