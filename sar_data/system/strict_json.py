"""JSON by its standard (RFC 8259); Python's reader accepts more, and silently keeps the last of two equal keys."""

from __future__ import annotations

import json
import math
import re
from codecs import BOM_UTF8
from collections import Counter
from typing import Any, NoReturn

_LONE = re.compile(rb"\\u[dD][89a-fA-F]")  # half of a letter beyond 16 bits, whose other half may be missing


def loads(data: bytes) -> Any:
    """Return the value of a JSON document in UTF-8; raise ValueError, in words, for an invalid one.

    Refused are NaN and infinities, numbers that a float cannot hold, repeated keys, lone surrogates and endless
    nesting. A byte order mark is skipped.
    """
    try:
        value = _DECODER.decode(data.removeprefix(BOM_UTF8).decode())
        if _LONE.search(data):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("expected less nesting, found too many values within values") from None
    except UnicodeEncodeError:
        raise ValueError("expected whole letters, found half of one (a lone surrogate)") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"expected every key once, found {twice[:60]!r} twice")
    return members


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"expected a number that a float can hold, found {text[:40]}")
    return value


def _constant(text: str) -> NoReturn:
    raise ValueError(f"expected a number, found {text}")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
