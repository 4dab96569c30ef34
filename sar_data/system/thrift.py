"""The compact protocol of Thrift, as far as Parquet headers use it: structs with numbered fields.

Source: Apache Thrift, doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 12  # structs and lists inside each other: a footer of Parquet has nine
TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, STRUCT = 1, 2, 3, 7, 8, 9, 10, 12  # 4 to 6 are integers
Fields = dict[int, Any]


def read_struct(data: bytes, at: int = 0, depth: int = MAX_DEPTH) -> tuple[Fields, int]:
    """Return the fields of the struct that starts at a byte, and the byte after it.

    A field is a number, bytes, a list or another struct. Raises IndexError for truncated data, ValueError for data
    that are no struct.
    """
    if not depth:
        raise ValueError("expected less nesting, found too many structs within structs")
    fields: Fields = {}
    field = 0
    while kind := data[at] & 15:
        field += data[at] >> 4
        at += 1
        if data[at - 1] < 16:
            field, at = _number(data, at)
        if kind in (TRUE, FALSE):
            fields[field] = kind == TRUE
        else:
            fields[field], at = _value(data, at, kind, depth - 1)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if 4 <= kind <= 6:
        return _number(data, at)
    if kind == STRUCT:
        return read_struct(data, at, depth)
    if kind in (LIST, SET):
        return _list(data, at, depth)
    if kind == BINARY:
        length, at = _varint(data, at)
    else:
        length = {TRUE: 1, FALSE: 1, BYTE: 1, DOUBLE: 8}.get(kind, -1)
    if length < 0:
        raise ValueError(f"expected a field of Thrift, found type {kind}")
    if at + length > len(data):
        raise IndexError(at + length)
    return data[at : at + length], at + length


def _list(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    if not depth:
        raise ValueError("expected less nesting, found too many lists within lists")
    count, kind = data[at] >> 4, data[at] & 15
    at += 1
    if count == 15:
        count, at = _varint(data, at)
    if count > len(data) - at:  # every element has a byte
        raise IndexError(at + count)
    values = []
    for _ in range(count):
        value, at = _value(data, at, kind, depth - 1)
        values.append(value)
    return values, at


def _number(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] & 128:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if shift > 63:
            raise ValueError("expected a number of 64 bits, found a longer number")
    return value | data[at] << shift, at + 1
