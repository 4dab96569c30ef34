"""JSON as its standard has it (RFC 8259); Python's own reader takes more, and lets the last of two equal keys win."""

from __future__ import annotations

import json
import math
import re
from codecs import BOM_UTF8
from collections import Counter
from typing import Any, NoReturn

_LONE = re.compile(rb"\\u[dD][89a-fA-F]")  # half of a letter beyond 16 bits, which may lack its other half


def loads(data: bytes) -> Any:
    """Return what a JSON document in UTF-8 says; raise ValueError, in words, for what is none.

    Refused are NaN and infinities, numbers that a float cannot hold, keys that an object has twice, halves of letters,
    and nesting that never ends. A byte order mark is passed over.
    """
    try:
        found = _DECODER.decode(data.removeprefix(BOM_UTF8).decode())
        if _LONE.search(data):
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("expected values within values to end, found none that does") from None
    except UnicodeEncodeError:
        raise ValueError("expected whole letters, found half of one (a lone surrogate)") from None
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"expected every key once, found {twice[:60]!r} twice")
    return found


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"expected a number that a float can hold, found {text[:40]}")
    return value


def _constant(text: str) -> NoReturn:
    raise ValueError(f"expected a number, found {text}")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
