"""What a figure says: the texts of an SVG."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

TEXT = "{http://www.w3.org/2000/svg}text"


def texts(path: Path) -> list[str]:
    """Return the texts of an SVG in the order in which they are drawn."""
    return ["".join(one.itertext()) for one in ElementTree.parse(path).iter(TEXT)]
