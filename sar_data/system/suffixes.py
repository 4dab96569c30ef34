"""The kind of a file, by the suffix of its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sar_data.errors import UsageError

PICTURES = (".png", ".pdf", ".svg")


def check_suffix(path: Path, known: Sequence[str], *, name: str = "out") -> str:
    """Return a path's suffix in lower case; raise UsageError, which calls the parameter `name`, for one not known."""
    suffix = path.suffix.lower()
    if suffix not in known:
        expected = " or ".join(filter(None, (", ".join(known[:-1]), known[-1])))
        raise UsageError(
            f"`{name}={path}`: expected a file name ending in {expected}, found {path.suffix or 'no ending'}"
        )
    return suffix
