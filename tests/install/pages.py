"""The install lines of the pages."""

from __future__ import annotations

import re
from pathlib import Path

from tests.places import ROOT

PAGES = ("README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))))
LINE = re.compile(r"pip install\s+([^`\n]*)")


def lines() -> dict[str, list[str]]:
    """Return what follows `pip install` on the pages, as typed → the pages that say so."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        for words in LINE.findall(Path(ROOT, page).read_text()):
            found.setdefault(words.partition("#")[0].strip(), []).append(page)
    return found


def extras(line: str) -> list[str]:
    """Return the extras that an install line of this project asks for."""
    return re.findall(r"[a-z]+", "".join(re.findall(r"\[(.*?)\]", line)))
