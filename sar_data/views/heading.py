"""What stands above pictures: a title, a note on their stretch, and a legend, wrapped to a width."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

MARGIN, BELOW = 0.14, 0.1  # inches above and below
BOLD, PLAIN, ENTRY = 0.09, 0.057, 0.062  # inches a character: of the title, of the note, of the legend
TITLE, NOTE, ROW, FRAME = 0.19, 0.13, 0.18, 0.35  # inches: a line of each, and an entry without its name
MOST = 500  # characters of a text that are drawn
MOST_ROWS = 12  # of a legend
Entry = tuple[str, Any]  # a name, and its colour


class Heading:
    """A heading of a width in inches; `height` is what it needs."""

    def __init__(self, title: str, note: str, legend: Sequence[Entry], width: float) -> None:
        self._title = textwrap.wrap(title[:MOST], int(width / BOLD))
        self._note = textwrap.wrap(note[:MOST], int(width / PLAIN))
        self._rows = _rows(legend, width)[:MOST_ROWS]
        lines = TITLE * len(self._title) + NOTE * len(self._note) + ROW * len(self._rows)
        self.height = MARGIN + lines + BELOW

    def draw(self, figure: Figure, left: float) -> None:
        """Draw the heading at the top of a figure, `left` inches from its side."""
        width, height = figure.get_size_inches()
        top = height - MARGIN
        for line in self._title:
            figure.text(left / width, top / height, line, va="top", fontsize=10, fontweight="bold", color="0.1")
            top -= TITLE
        for line in self._note:
            figure.text(left / width, top / height, line, va="top", fontsize=7, color="0.3")
            top -= NOTE
        for row in self._rows:
            top -= ROW
            for at, (name, colour) in row:
                x, y = (left + at) / width, (top + 0.03) / height
                figure.add_artist(
                    Rectangle(
                        (x, y), 0.12 / width, 0.1 / height, fc=colour, ec="0.5", lw=0.4, transform=figure.transFigure
                    )
                )
                figure.text(x + 0.17 / width, y, name, fontsize=7, va="bottom", color="0.1")


def _rows(entries: Sequence[Entry], width: float) -> list[list[tuple[float, Entry]]]:
    """Return the rows of a legend: entries with the inches from the left where each stands."""
    rows: list[list[tuple[float, Entry]]] = []
    left = width
    for name, colour in entries:
        entry = (name if len(name) * ENTRY <= width - FRAME else name[: int((width - FRAME) / ENTRY)], colour)
        needed = FRAME + ENTRY * len(entry[0])
        if left + needed > width:
            rows.append([])
            left = 0.0
        rows[-1].append((left, entry))
        left += needed
    return rows
