"""Boxes in DOTA's text: a line an object, the four corners in pixels, the class and how difficult it is.

Layout after the DOTA development kit: `x1 y1 x2 y2 x3 y3 x4 y4 class [difficult]`, after lines such as `gsd:0.5`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from sar_data.errors import BadRecord
from sar_data.labels.yolo import Outline
from sar_data.naming import few
from sar_data.text import decode

_HEADS = ("imagesource:", "gsd:")


def is_dota(data: bytes) -> bool:
    """Say whether a text is of this form: its first line of objects has a word behind eight numbers, or a head."""
    for _, words in _lines(data):
        return words[0].lower().startswith(_HEADS) or (len(words) in (9, 10) and not _is_number(words[8]))
    return False


def parse(data: bytes, path: str, classes: Sequence[str]) -> list[Outline]:
    """Return the outlines in pixels; they may reach out of the image.

    Raise BadRecord, naming `path` and the line, for one that is not eight numbers and one of `classes` (lower case).
    """
    outlines = []
    for number, words in _lines(data):
        if words[0].lower().startswith(_HEADS):
            continue
        if len(words) not in (9, 10) or not all(map(_is_number, words[:8])):
            raise BadRecord(path, f"line {number}: expected eight numbers and a class, found {' '.join(words)[:80]!r}")
        if words[8].lower() not in classes:
            raise BadRecord(path, f"line {number}: expected a class of {few(classes)}, found {words[8][:40]!r}")
        outlines.append(Outline(classes.index(words[8].lower()), tuple(map(float, words[:8])), upright=False))
    return outlines


def names(data: bytes, path: str) -> set[str]:
    """Return the names of the classes in a text."""
    return {words[8] for _, words in _lines(data) if len(words) in (9, 10)}


def _lines(data: bytes) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(decode(data).splitlines(), 1):
        if words := line.split():
            yield number, words


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
