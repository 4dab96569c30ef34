"""Boxes and outlines in YOLO's text: a line an object, in fractions of the image.

A line is a class and centre x, centre y, width and height; or a class and the points of an outline, of which four are
a box that may be turned (OBB). Layout after the documentation of Ultralytics.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sar_data.errors import BadRecord
from sar_data.labels.boxes import Box
from sar_data.spec import Tree
from sar_data.text import decode

SNIFFED = 4096
_LISTS = re.compile(r".*\.names|classes\.txt", re.I)
_YAML = re.compile(r".*\.ya?ml", re.I)
_NAMES = re.compile(r"^names\s*:\s*(?:\[(?P<flow>[^\]]*)\]|\{(?P<map>[^}]*)\})?", re.M)
_ITEM = re.compile(r"\s*(?:-|(\d+)\s*:)\s*(.+)")


class Outline(NamedTuple):
    """An object: its class and its ring (x0, y0, …) in pixels; of an `upright` box the ring is its corners."""

    label: int
    ring: tuple[float, ...]
    upright: bool


def parse(data: bytes, path: str, shape: tuple[int, int], classes: int) -> list[tuple[int, Box]]:
    """Return (class, box in pixels of the image of (height, width)); boxes may reach out of it.

    Raise BadRecord, naming `path` and the line, for one that is not five numbers or of a class that is none.
    """
    parsed: list[tuple[int, Box]] = []
    for number, line, values in _lines(data):
        if len(values) != 5 or not all(map(math.isfinite, values)):
            raise BadRecord(path, f"line {number}: expected class and four numbers, found {line[:80]!r}")
        parsed.append((_label(values[0], line, number, path, range(classes)), _box(values[1:], shape)))
    return parsed


def outlines(data: bytes, path: str, shape: tuple[int, int], labels: Sequence[int]) -> list[Outline]:
    """Return the boxes and outlines of an image of (height, width); they may reach out of it.

    The class n of a line is `labels[n]`. Raise BadRecord, naming `path` and the line, for one that is neither.
    """
    height, width = shape
    outlines = []
    for number, line, values in _lines(data):
        if len(values) not in (5, *range(7, len(values) + 1, 2)) or not all(map(math.isfinite, values)):
            raise BadRecord(
                path, f"line {number}: expected class and four numbers, or three points or more, found {line[:80]!r}"
            )
        label = labels[_label(values[0], line, number, path, range(len(labels)))]
        if len(values) == 5:
            left, top, right, bottom = _box(values[1:], shape)
            outlines.append(Outline(label, (left, top, right, top, right, bottom, left, bottom), upright=True))
        else:
            sides = (width, height) * (len(values) // 2)
            ring = tuple(value * side for value, side in zip(values[1:], sides, strict=True))
            outlines.append(Outline(label, ring, upright=False))
    return outlines


def annotation_kind(tree: Tree, paths: Sequence[str]) -> str:
    """Return the kind of the first object: boxes, turned boxes or polygons."""
    for path in paths:
        for _, _, values in _lines(tree.head(path, SNIFFED)):
            return {5: "boxes", 9: "turned boxes"}.get(len(values), "polygons")
    return "without any object"


def has_objects(data: bytes) -> bool:
    """Say whether a line begins with five numbers, as lines of YOLO and DOTA do."""
    return any(len(values) >= 5 and all(map(math.isfinite, values[:5])) for _, _, values in _lines(data))


def names(data: bytes, path: str) -> set[str]:
    """Return the numbers of the classes in a text, as text."""
    return {line.split()[0] for _, line, _ in _lines(data)}


def class_list(name: str, tree: Tree, path: str) -> tuple[str, ...]:
    """Return the class names, in order, of a file called `name`; () where it has none.

    It is a list of names, one a line, or YAML with `names`, as a list or by number.
    """
    if _LISTS.fullmatch(name):
        return tuple(line.strip() for line in _text(tree.read(path)).splitlines() if line.strip())
    if not _YAML.fullmatch(name):
        return ()
    text = _text(tree.read(path))
    if (match := _NAMES.search(text)) is None:
        return ()
    if (inline := match["flow"] if match["map"] is None else match["map"]) is not None:
        items = [item.strip().strip("\"'") for item in inline.split(",") if item.strip()]
        return tuple(item if match["map"] is None else item.partition(":")[2].strip(" \"'") for item in items)
    items = []
    for line in text[match.end() :].lstrip("\n").splitlines():
        if (item := _ITEM.fullmatch(line)) is None:
            break
        items.append(item[2].strip().strip("\"'"))
    return tuple(items)


def _text(data: bytes) -> str:
    return decode(data).replace("\r\n", "\n")


def _lines(data: bytes) -> Iterator[tuple[int, str, list[float]]]:
    """Yield number, line and values of each line that is not blank; a word that is no number is NaN."""
    for number, line in enumerate(_text(data).splitlines(), 1):
        if words := line.split():
            yield number, line, list(map(_value, words))


def _value(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan


def _label(value: float, line: str, number: int, path: str, classes: range) -> int:
    if not (value.is_integer() and 0 <= value < len(classes)):  # `in` would search a range one by one for a float
        raise BadRecord(
            path, f"line {number}: expected a class from 0 to {len(classes) - 1}, found {line.split()[0][:20]}"
        )
    return int(value)


def _box(values: Sequence[float], shape: tuple[int, int]) -> Box:
    x, y, w, h = values
    height, width = shape
    return (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
