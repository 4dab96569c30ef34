"""Cells in rows on one sheet: pictures side by side, coloured lines of text below them, a legend above."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from sar_data.train.pictures.stretch import Floats
from sar_data.views.figure import save
from sar_data.views.heading import Entry, Heading

MOST_LINES, CHARACTERS = 7, 32  # below a picture
CELL, BETWEEN, GAP, LINE, SIDE = 1.9, 0.05, 0.16, 0.125, 0.2  # inches
NARROWEST = 6.0  # inches
COLOURS = {"right": "#1f7a4d", "wrong": "#c0392b", "missed": "#a86a00", "key": "0.5"}
Line = tuple[str, str]  # a kind of COLOURS, and text


class Cell(NamedTuple):
    """Pictures side by side, [y, x, 3] each, lines of text below, and whether a frame says that something is wrong."""

    pictures: list[Floats]
    lines: list[Line]
    framed: bool = False


def draw(path: Path, cells: Sequence[Cell], head: str, note: str, legend: Sequence[Entry] = ()) -> None:
    """Draw cells in rows to the file `path`, each row as high as its tallest picture and its longest text."""
    wide = max((len(cell.pictures) for cell in cells), default=1)
    columns = max(1, min(len(cells), 6 if wide == 1 else 2))
    across = wide * CELL + (wide - 1) * BETWEEN
    fitted = [cell._replace(lines=_fit(cell.lines, CHARACTERS * wide)) for cell in cells]
    rows = [fitted[i : i + columns] for i in range(0, len(fitted), columns)]
    tall = [_height(row) + GAP + LINE * (0.6 + max(len(cell.lines) for cell in row)) for row in rows]
    width = max(2 * SIDE + columns * (across + GAP) - GAP, NARROWEST)
    heading = Heading(head, note, legend, width - 2 * SIDE)
    height = heading.height + sum(tall) + 0.1
    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")
    heading.draw(figure, SIDE)
    y = height - heading.height
    for row, high in zip(rows, tall, strict=True):
        for column, cell in enumerate(row):
            _place(figure, cell, (SIDE + column * (across + GAP), y - _height(row)), (width, height))
        y -= high
    save(figure, path)


def _fit(lines: list[Line], characters: int) -> list[Line]:
    """Return lines that fit below a cell: long lines are wrapped, lines without room are counted."""
    shown: list[Line] = []
    for i, (kind, text) in enumerate(lines):
        wrapped = textwrap.wrap(text, characters, subsequent_indent="   ") or [""]
        if len(shown) + len(wrapped) > MOST_LINES - (i + 1 < len(lines)):
            return [*shown, ("key", f"and {len(lines) - i} more")]
        shown += [(kind, part) for part in wrapped]
    return shown


def _height(row: list[Cell]) -> float:
    """Return the height in inches of a row's tallest picture."""
    shapes = [picture.shape for cell in row for picture in cell.pictures]
    return CELL * float(min(1.0, max(shape[0] / shape[1] for shape in shapes)))


def _place(figure: Figure, cell: Cell, corner: tuple[float, float], size: tuple[float, float]) -> None:
    """Draw a cell whose pictures end at the lower left `corner`, in inches of a figure of this size."""
    (left, bottom), (width, height) = corner, size
    for i, picture in enumerate(cell.pictures):
        high = CELL * min(1.0, picture.shape[0] / picture.shape[1])
        place = ((left + i * (CELL + BETWEEN)) / width, bottom / height, CELL / width, high / height)
        axes = figure.add_axes(place, anchor="SW")
        axes.imshow(picture, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color=COLOURS["wrong"], linewidth=2.2) if cell.framed else axes.spines[:].set_visible(False)
    for i, (kind, text) in enumerate(cell.lines):
        y = (bottom - 0.06 - LINE * i) / height
        figure.text(left / width, y, text, fontsize=6.3, va="top", color=COLOURS[kind])
