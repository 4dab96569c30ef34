"""The directory of a TIFF: its tags, and the positions of their values (TIFF 6.0, BigTIFF)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from sar_data.raster.file_parts import FileParts

# Field types by their code; rationals and other directories are not needed.
KINDS = {1: ("B", 1), 2: ("B", 1), 3: ("H", 2), 4: ("I", 4), 6: ("b", 1), 7: ("B", 1), 8: ("h", 2), 9: ("i", 4)}
KINDS |= {11: ("f", 4), 12: ("d", 8), 16: ("Q", 8)}
MAX_ENTRIES = 65_535  # what a classic TIFF can count; no BigTIFF has more
MAX_PAGES = 64  # a scene has about ten overviews; directories that name each other in a ring have no end
SUBFILE, WIDTH, ORIENTATION = 254, 256, 274
TURNED = "expected an image that is stored upright, found the orientation {}: turn its pixels"
REDUCED, MASK = 1, 4  # bits of a subfile's type: an overview, a mask of another image


class Malformed(Exception):
    """The bytes are not a complete TIFF; becomes BadRecord where the file's name is known."""


class Entry(NamedTuple):
    """A tag: where in the file its values lie, their byte order and struct code, and their number."""

    start: int
    stop: int
    order: str
    code: str
    length: int


class _Form(NamedTuple):
    """The byte order of a TIFF, the struct codes of a place, a number of entries and an entry, the bytes of a place."""

    order: str
    place: str
    number: str
    entry: str
    inline: int


def read_directory(file: FileParts) -> tuple[str, dict[int, Entry]]:
    """Return the byte order (< or >) and the entries of the first directory, at any position; raise Malformed.

    Values are not read yet: they may lie anywhere, even beyond the end. Classic TIFF and BigTIFF, both orders.
    """
    form, start = _form(file)
    return form.order, _entries(file, form, start)[0]


def read_only_directory(file: FileParts) -> tuple[str, dict[int, Entry]]:
    """Return what `read_directory` does, of a file with one image whose rows lie from its top to its bottom.

    Raise Malformed for another file too: GDAL gives the first page alone, as it is stored. Overviews are no images.
    """
    form, start = _form(file)
    entries, following = _entries(file, form, start)
    if read_integers(file, entries, SUBFILE, 0)[0] & (REDUCED | MASK):
        raise Malformed("expected the image first in its file, found an overview or a mask: write the image alone")
    if (turned := read_integers(file, entries, ORIENTATION, 1)[0]) > 1:
        raise Malformed(TURNED.format(turned))
    for _ in range(MAX_PAGES):
        try:
            page, following = _entries(file, form, following)
            kind = read_integers(file, page, SUBFILE, 0)[0]
        except Malformed:  # no directory: some programs leave anything there
            return form.order, entries
        if WIDTH in page and not kind & REDUCED:
            what = "a mask of its pixels: write a value of no data" if kind & MASK else "more: write bands as one image"
            raise Malformed(f"expected one image in the file, found {what}")
    raise Malformed(f"expected at most {MAX_PAGES} directories of overviews, found more")


def _form(file: FileParts) -> tuple[_Form, int]:
    """Return the form of a TIFF, and where its first directory begins."""
    order = {b"II": "<", b"MM": ">"}.get(file.head[:2])
    version = int.from_bytes(file.head[2:4], "little" if order == "<" else "big")
    if not file.head:
        raise Malformed("expected a TIFF, found an empty file")
    if order is None or version not in (42, 43):
        raise Malformed(f"expected a TIFF, found {file.head[:40]!r}")
    first, place, number, entry, inline = (4, "I", "H", "HHI4s", 4) if version == 42 else (8, "Q", "Q", "HHQ8s", 8)
    form = _Form(order, order + place, order + number, order + entry, inline)
    return form, _number(file.head[first : first + inline], form.place)


def _number(raw: bytes, code: str) -> int:
    """Return an integer, 0 where the file has ended."""
    return int(struct.unpack(code, raw)[0]) if len(raw) == struct.calcsize(code) else 0


def _entries(file: FileParts, form: _Form, start: int) -> tuple[dict[int, Entry], int]:
    """Return the entries of the directory at `start`, and where the next one begins; raise Malformed for none."""
    size, width = struct.calcsize(form.number), struct.calcsize(form.entry)
    length = _number(file.part(start, start + size), form.number) if start else 0
    if not length:
        raise Malformed(f"truncated or malformed: no TIFF directory in {file.size:,} bytes")
    start += size
    table = file.part(start, start + length * width) if length <= MAX_ENTRIES else b""
    if len(table) < length * width:
        raise Malformed(f"truncated or malformed: a directory of {length} entries ends beyond {file.size:,} bytes")
    entries: dict[int, Entry] = {}
    for at, (tag, kind, n, raw) in enumerate(struct.iter_unpack(form.entry, table)):
        if (field := KINDS.get(kind)) is not None:
            code, size = field
            where = start + (at + 1) * width - form.inline
            if size * n > form.inline:
                (where,) = struct.unpack(form.place, raw)
            entries.setdefault(tag, Entry(where, where + size * n, form.order, code, n))
    end = start + len(table)
    return entries, _number(file.part(end, end + form.inline), form.place)


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
