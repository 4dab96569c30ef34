"""The values inside of two documents, compared one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from sar_data.sealed.documents import Document

CLOSE = 1e-9  # relative: another machine's exp and log may differ in the last bits


def differing_leaves(first: Any, second: Any) -> dict[str, tuple[Any, Any]]:
    """Return path → both values of what differs in two documents, floats up to CLOSE; None where one has no such."""
    both = [dict(_leaves(value)) for value in (first, second)]
    pairs = {name: (both[0].get(name), both[1].get(name)) for name in sorted(both[0].keys() | both[1].keys())}
    return {name: pair for name, pair in pairs.items() if not _same(*pair)}


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=CLOSE, abs_tol=CLOSE)
    return bool(a == b)


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Document):
        value = value.model_dump()
    if isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, f"{name} {key}".strip())
    else:
        yield name, value
