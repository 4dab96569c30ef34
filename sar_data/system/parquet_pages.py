"""The headers of a Parquet file's pages: how large each page is and how many values it has, by its own word.

The list of columns at the end of a file only says so, and a reader takes the pages as they are.

Source: Apache Parquet, parquet.thrift (PageHeader); Apache Thrift, compact protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

NEAR, MOST = 1 << 9, 1 << 16  # bytes of a header: most have 100, those with the statistics of long texts a few thousand
DEEP = 4  # structs inside of each other
TRUE, FALSE, BINARY, STRUCT = 1, 2, 8, 12  # types of fields; 0 ends a struct, 3 to 6 are whole numbers
DATA, DICTIONARY, DATA_2 = 5, 7, 8  # the field of a header for each kind of page
ENCODING = {DATA: 2, DICTIONARY: 2, DATA_2: 4}  # its field there


class Page(NamedTuple):
    """The bytes that a page has in memory, its values, and the number of their encoding."""

    size: int
    values: int
    encoding: int


def pages(source: Any, start: int, stop: int) -> Iterator[Page]:
    """Yield the pages between two bytes of a file; raise ValueError where one has no header that can be read."""
    while start < stop:
        header, length = _header(source, start, stop)
        size, stored = _whole(header, 2), _whole(header, 3)
        kind = next((kind for kind in ENCODING if isinstance(header.get(kind), dict)), None)
        if size < 0 or stored < 0:
            raise ValueError(f"byte {start}: expected the sizes of a page, found {size} and {stored}")
        if kind is not None:
            facts = header[kind]
            yield Page(size, max(_whole(facts, 1), 0), _whole(facts, ENCODING[kind]))
        start += length + stored


def _whole(fields: dict[int, Any], field: int) -> int:
    """Return the number in a field, -1 where there is none."""
    value = fields.get(field)
    return value if isinstance(value, int) else -1


def _header(source: Any, start: int, stop: int) -> tuple[dict[int, Any], int]:
    """Return the fields of a header, and its bytes."""
    for size in (NEAR, MOST):
        source.seek(start)
        data = source.read(min(size, stop - start))
        try:
            return _struct(data, 0, DEEP)
        except IndexError:
            continue
    raise ValueError(f"byte {start}: expected the header of a page, found none in {MOST} bytes")


def _struct(data: bytes, at: int, deep: int) -> tuple[dict[int, Any], int]:
    """Return the numbers and structs of a struct by their fields, and where it ends."""
    found: dict[int, Any] = {}
    field = 0
    while kind := data[at] & 15:
        field += data[at] >> 4
        at += 1
        if data[at - 1] < 16:
            field, at = _number(data, at)
        if kind == STRUCT and deep:
            found[field], at = _struct(data, at, deep - 1)
        elif kind == BINARY:
            length, at = _varint(data, at)
            at += length
        elif 3 <= kind <= 6:
            found[field], at = _number(data, at)
        elif kind not in (TRUE, FALSE):
            raise ValueError(f"expected the header of a page, found a field of type {kind}")
    return found, at + 1


def _number(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] & 128:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if shift > 63:
            raise ValueError("expected a number of 64 bits, found a longer one")
    return value | data[at] << shift, at + 1
