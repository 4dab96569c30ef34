"""Boxes in YOLO's text: a line an object, class, centre x, centre y, width, height, in fractions of the image."""

from __future__ import annotations

import math

from sar_data.errors import BadRecord
from sar_data.labels.boxes import Box


def parse(data: bytes, path: str, shape: tuple[int, int], classes: int) -> list[tuple[int, Box]]:
    """Return (class, box in pixels of the image of (height, width)); boxes may reach out of it.

    Raise BadRecord, naming `path` and the line, for one that is not five numbers or of a class that is none.
    """
    height, width = shape
    found: list[tuple[int, Box]] = []
    for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            label, x, y, w, h = map(float, words)
        except ValueError:
            label = x = y = w = h = math.nan
        if not all(map(math.isfinite, (label, x, y, w, h))):
            raise BadRecord(path, f"line {number}: expected class and four numbers, found {line[:80]!r}")
        if label not in range(classes):
            raise BadRecord(path, f"line {number}: expected a class from 0 to {classes - 1}, found {words[0][:20]}")
        box = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
        found.append((int(label), box))
    return found
