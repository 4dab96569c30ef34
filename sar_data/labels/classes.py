"""The class that a label means: by its name, or by its number."""

from __future__ import annotations

import re
from collections.abc import Sequence

DIGITS = 9  # a greater number is no class


def index_of(label: str, classes: Sequence[str]) -> int | None:
    """Return which class a label means, None for none: its name, or its number where no class is called by one."""
    if label in classes:
        return classes.index(label)
    if label.isdecimal() and label.isascii() and not any(name.isdecimal() for name in classes):
        return int(label[:DIGITS]) if int(label[:DIGITS]) < len(classes) else None
    return None


def fold(name: str) -> str:
    """Return a name of a class without case and punctuation, which programs spell differently."""
    return re.sub(r"[\W_]+", "", name.casefold())
