"""Figures as files: PNG for a screen, PDF and SVG for a paper, the same bytes each time."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.text import Text

from sar_data.system import durable
from sar_data.system.suffixes import PICTURES, check_suffix

# Without these a file holds the date, and SVG random names of its parts. Texts stay texts, in SVG and in PDF, and
# are no input of LaTeX, which a matplotlibrc in the current folder could ask for.
METADATA: dict[str, dict[str, Any]] = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
FIXED: Any = {"text.usetex": False, "svg.hashsalt": "sar-data", "svg.fonttype": "none", "pdf.fonttype": 42}
PRINTED = 300  # dots an inch of the images inside of PDF and SVG


def save(figure: Figure, out: Path, **options: Any) -> None:
    """Write a figure as PNG, PDF or SVG, by the suffix of `out`, whole or not at all.

    Texts are drawn as they are: what a stranger calls something is no formula. `options` are those of
    `Figure.savefig`. Raises UsageError for another suffix, TargetError where `out` cannot be written.
    """
    suffix = check_suffix(out, PICTURES)
    durable.write(out, encode(figure, suffix, **options if suffix == ".png" else {"dpi": PRINTED, **options}))


def encode(figure: Figure, suffix: str, **options: Any) -> bytes:
    """Return a figure as a file of this suffix has it."""
    buffer = io.BytesIO()
    with rc_context(FIXED):
        for text in figure.findobj(Text):
            text.set_parse_math(False)
            text.set_usetex(False)
        figure.savefig(buffer, format=suffix[1:], metadata=METADATA.get(suffix), **options)
    return buffer.getvalue()
