"""TOML from outside: Python's reader takes a time that grows with the square of a key's parts, and any nesting."""

from __future__ import annotations

import re
import tomllib
from typing import Any

MAX_DOTS = 64  # in a line, outside of text: no field has a dot, and a key of n parts costs a parser n * n
_TEXT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*')


def loads(data: bytes) -> dict[str, Any]:
    """Return a TOML document in UTF-8; raise ValueError, in words, for an invalid one. A byte order mark is skipped."""
    text = data.decode("utf-8-sig")
    if any(line.count(".") > MAX_DOTS for line in _TEXT.sub("", text).splitlines()):
        raise ValueError("a key of too many parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("expected less nesting, found too many values within values") from None
