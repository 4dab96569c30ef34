"""JSON objects that describe one sample, checked for the keys they must have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sar_data.errors import BadRecord
from sar_data.text import parse_json


def read_fields(path: str, data: bytes, expected: Mapping[str, type]) -> dict[str, Any]:
    """Return the JSON object in `data`; raise BadRecord, naming `path`, unless every key has its type."""
    try:
        fields = parse_json(data)
    except ValueError as error:
        message = repr(data[:60]) if data else "an empty file"
        raise BadRecord(path, f"expected JSON, found {message}: {error}") from None
    if not isinstance(fields, dict):
        raise BadRecord(path, f"expected a JSON object, found {type(fields).__name__}")
    for key, kind in expected.items():
        if not isinstance(fields.get(key), kind):
            message = f"found {fields[key]!r:.60}" if key in fields else "found none"
            raise BadRecord(path, f"expected the key {key!r} of type {kind.__name__}, {message}")
    return fields
