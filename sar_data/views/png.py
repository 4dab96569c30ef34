"""Figures as PNG files."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from sar_data.errors import UsageError
from sar_data.system import durable


def check_name(out: Path) -> None:
    """Raise UsageError for a file that is not called a PNG."""
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out}: expected a file name ending in .png, found {out.suffix or 'no ending'}")


def save(figure: Figure, out: Path) -> None:
    """Draw a figure to the PNG `out`, texts as they are: what a stranger calls something is no formula.

    Raises TargetError where `out` cannot be written.
    """
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png")
    durable.write(out, buffer.getvalue())
