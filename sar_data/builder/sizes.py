"""Sizes of images, as a table of records has them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def largest(table: pa.Table, shape: tuple[int, int] | None = None) -> int:
    """Return the greatest height or width, in pixels; `shape` is that of all images where they have one."""
    return max(shape or (pc.max(table[name]).as_py() or 0 for name in ("height", "width")))
