"""The directory of a TIFF: its tags, and the positions of their values (TIFF 6.0, BigTIFF)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from sar_data.raster.file_parts import FileParts

# Field types by their code; rationals and other directories are not needed.
KINDS = {1: ("B", 1), 2: ("B", 1), 3: ("H", 2), 4: ("I", 4), 6: ("b", 1), 7: ("B", 1), 8: ("h", 2), 9: ("i", 4)}
KINDS |= {11: ("f", 4), 12: ("d", 8), 16: ("Q", 8)}
MAX_ENTRIES = 65_535  # what a classic TIFF can count; no BigTIFF has more


class Malformed(Exception):
    """The bytes are not a complete TIFF; becomes BadRecord where the file's name is known."""


class Entry(NamedTuple):
    """A tag: where in the file its values lie, their byte order and struct code, and their number."""

    start: int
    stop: int
    order: str
    code: str
    length: int


def read_directory(file: FileParts) -> tuple[str, dict[int, Entry]]:
    """Return the byte order (< or >) and the entries of the first directory, at any position; raise Malformed.

    Values are not read yet: they may lie anywhere, even beyond the end. Classic TIFF and BigTIFF, both orders.
    """
    order = {b"II": "<", b"MM": ">"}.get(file.head[:2])
    version = int.from_bytes(file.head[2:4], "little" if order == "<" else "big")
    if not file.head:
        raise Malformed("expected a TIFF, found an empty file")
    if order is None or version not in (42, 43):
        raise Malformed(f"expected a TIFF, found {file.head[:40]!r}")
    first, head, entry, inline = (4, "I", "HHI4s", 4) if version == 42 else (8, "Q", "HHQ8s", 8)
    entry, count = order + entry, order + ("H" if version == 42 else "Q")
    width = struct.calcsize(entry)
    try:
        (start,) = struct.unpack_from(order + head, file.head, first)
        (length,) = struct.unpack(count, file.part(start, start + struct.calcsize(count)))
    except struct.error:
        length = 0
    if not length:
        raise Malformed(f"truncated or malformed: no TIFF directory in {file.size:,} bytes")
    start += struct.calcsize(count)
    table = file.part(start, start + length * width) if length <= MAX_ENTRIES else b""
    if len(table) < length * width:
        raise Malformed(f"truncated or malformed: a directory of {length} entries ends beyond {file.size:,} bytes")
    entries: dict[int, Entry] = {}
    for at, (tag, kind, n, raw) in enumerate(struct.iter_unpack(entry, table)):
        if (field := KINDS.get(kind)) is not None:
            code, size = field
            where = start + (at + 1) * width - inline
            if size * n > inline:
                (where,) = struct.unpack(order + head, raw)
            entries.setdefault(tag, Entry(where, where + size * n, order, code, n))
    return order, entries


def read_values(file: FileParts, entries: dict[int, Entry], tag: int) -> bytes:
    """Return the bytes of a tag's values, b"" where it is absent; raise Malformed where they are truncated."""
    entry = entries.get(tag)
    if entry is None:
        return b""
    raw = file.part(entry.start, entry.stop)
    if len(raw) < entry.stop - entry.start:
        raise Malformed(f"truncated or malformed: tag {tag} ends at {entry.stop:,}, the file at {file.size:,}")
    return raw


def read_numbers(file: FileParts, entries: dict[int, Entry], tag: int) -> tuple[float, ...]:
    """Return the values of a tag as numbers, () where it is absent; raise Malformed where they are truncated."""
    entry = entries.get(tag)
    return (
        ()
        if entry is None
        else struct.unpack(f"{entry.order}{entry.length}{entry.code}", read_values(file, entries, tag))
    )


def read_integers(file: FileParts, entries: dict[int, Entry], tag: int, *default: int) -> list[int]:
    """Return the values of a tag, or `default`; raise Malformed where both are missing or a value is no integer."""
    values_found = read_numbers(file, entries, tag) or default
    if not values_found or any(not isinstance(value, int) or value < 0 for value in values_found):
        raise Malformed(f"malformed: tag {tag} is missing or no whole number")
    return [int(value) for value in values_found]
