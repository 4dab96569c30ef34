"""The headers of a Parquet file: its columns by its footer, and how large each page is by the page's own word.

The footer only says so, and a reader takes the pages as they are. pyarrow ends the process where a footer has a column
that it cannot describe (`RowGroupMetaData.column`), so that the footer is read here, too.

Source: Apache Parquet, parquet.thrift (FileMetaData, PageHeader).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sar_data.system.thrift import Fields, struct

NEAR, MOST = 1 << 9, 1 << 16  # bytes of a header: most have 100, those with the statistics of long texts a few thousand
MAGIC = b"PAR1"
BYTE_ARRAY = 6  # the physical type of texts
DATA, DICTIONARY, DATA_2 = 5, 7, 8  # the field of a header for each kind of page
ENCODING = {DATA: 2, DICTIONARY: 2, DATA_2: 4}  # its field there


class Chunk(NamedTuple):
    """The pages of one column in one group of rows: top column, path, whether it is of texts, first byte and end.

    A name may have dots, so that the path does not tell the top column.
    """

    group: int
    top: str
    path: str
    text: bool
    start: int
    stop: int


class Page(NamedTuple):
    """The bytes that a page has in memory, its values, and the number of their encoding."""

    size: int
    values: int
    encoding: int


def footer(source: Any, size: int) -> tuple[int, list[Chunk]]:
    """Return the rows that a file of `size` bytes says it has, and its chunks; raise ValueError for another file."""
    source.seek(max(size - 8, 0))
    end = source.read(8)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != MAGIC or not 0 < length <= size - 12:
        raise ValueError("expected a Parquet file, found none by its last bytes")
    source.seek(size - 8 - length)
    try:
        facts, _ = struct(source.read(length))
    except IndexError:
        raise ValueError("expected the columns at the end of a Parquet file, found a list that is cut") from None
    groups = [_fields(group) for group in _listed(facts, 4)]
    chunks = [_chunk(i, _fields(column)) for i, group in enumerate(groups) for column in _listed(group, 1)]
    return _whole(facts, 3), chunks


def _chunk(group: int, column: Fields) -> Chunk:
    if 1 in column:
        raise ValueError("expected the columns in the file itself, found one in another file")
    facts = _fields(column.get(3))
    parts = [part.decode() for part in _listed(facts, 3) if isinstance(part, bytes)]
    if not parts:
        raise ValueError("expected the name of each column, found none")
    path = ".".join(parts)
    start = min((at for at in (_whole(facts, 9), _whole(facts, 11)) if at > 0), default=0)
    length = _whole(facts, 7)
    if length < 0:
        raise ValueError(f"{path}: expected the size of a column, found {length}")
    return Chunk(group, parts[0], path, _whole(facts, 1) == BYTE_ARRAY, start, start + length)


def _fields(value: object) -> Fields:
    if not isinstance(value, dict):
        raise ValueError("expected a description of each column, found none")
    return value


def _listed(fields: Fields, field: int) -> list[Any]:
    value = fields.get(field, [])
    return value if isinstance(value, list) else []


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


def _whole(fields: Fields, field: int) -> int:
    """Return the number in a field, -1 where there is none."""
    value = fields.get(field)
    return value if isinstance(value, int) else -1


def _header(source: Any, start: int, stop: int) -> tuple[Fields, int]:
    """Return the fields of a header, and its bytes."""
    for size in (NEAR, MOST):
        source.seek(start)
        data = source.read(min(size, stop - start))
        try:
            return struct(data)
        except IndexError:
            continue
    raise ValueError(f"byte {start}: expected the header of a page, found none in {MOST} bytes")
