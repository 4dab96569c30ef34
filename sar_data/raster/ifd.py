"""The directory of a TIFF: which tags there are, and where their values lie (TIFF 6.0, BigTIFF)."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

# Field types by their code; rationals and directories of other kinds say nothing that we need.
KINDS = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 11: "f4", 12: "f8", 16: "u8"}


class Malformed(Exception):
    """The bytes are no TIFF, or no whole one; becomes BadRecord where the file's name is known."""


class Entry(NamedTuple):
    """A tag: where in the file its values lie, their struct code with byte order, and their number."""

    start: int
    stop: int
    code: str
    count: int


def directory(data: bytes) -> tuple[str, dict[int, Entry]]:
    """Return the byte order (< or >) and the entries of the first directory; raise Malformed.

    Values are not looked at yet: they may lie anywhere, even beyond the end. Classic TIFF and BigTIFF, both orders.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    version = int.from_bytes(data[2:4], "little" if order == "<" else "big")
    if not data:
        raise Malformed("expected a TIFF, found an empty file")
    if order is None or version not in (42, 43):
        raise Malformed(f"expected a TIFF, found {data[:40]!r}")
    first, head, entry, inline = (4, "I", "HHI4s", 4) if version == 42 else (8, "Q", "HHQ8s", 8)
    entry, count = order + entry, order + ("H" if version == 42 else "Q")
    width = struct.calcsize(entry)
    try:
        (start,) = struct.unpack_from(order + head, data, first)
        (length,) = struct.unpack_from(count, data, start) if start < len(data) else (0,)
    except struct.error:
        length = 0
    if not length:
        raise Malformed(f"truncated or malformed: no TIFF directory in {len(data):,} bytes")
    start += struct.calcsize(count)
    if start + length * width > len(data):
        raise Malformed(f"truncated or malformed: a directory of {length} entries ends beyond {len(data):,} bytes")
    entries = {}
    for at, (tag, kind, n, raw) in enumerate(struct.iter_unpack(entry, data[start : start + length * width])):
        if (dtype := KINDS.get(kind)) is not None:
            size = n * int(dtype[1])
            where = start + (at + 1) * width - inline
            if size > inline:
                (where,) = struct.unpack(order + head, raw)
            entries[tag] = Entry(order + dtype, n, where, where + size)
    return order, entries


def numbers(data: bytes, entries: dict[int, Entry], tag: int) -> list[float]:
    """Return the values of a tag, an empty list where it is absent; raise Malformed where they are cut off."""
    entry = entries.get(tag)
    if entry is None or not entry.count:
        return []
    if entry.stop > len(data):
        raise Malformed(f"truncated or malformed: tag {tag} ends at {entry.stop:,}, the file at {len(data):,}")
    numbers: list[float] = np.frombuffer(data, entry.dtype, entry.count, entry.start).tolist()
    return numbers
