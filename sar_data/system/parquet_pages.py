"""The headers of a Parquet file: its columns from its footer, and the size of each page from the page's header.

The footer alone is not enough: readers trust the page headers. pyarrow ends the process on a footer with a column
that it cannot describe (`RowGroupMetaData.column`), so that the footer is read here, too.

Source: Apache Parquet, parquet.thrift (FileMetaData, PageHeader).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sar_data.system.thrift import Fields, read_struct

NEAR, MOST = 1 << 9, 1 << 16  # bytes of a header: usually 100, with statistics of long texts a few thousand
MAGIC = b"PAR1"
BYTE_ARRAY = 6  # the physical type of texts
DATA, DICTIONARY, DATA_2 = 5, 7, 8  # the header field of each kind of page
ENCODING = {DATA: 2, DICTIONARY: 2, DATA_2: 4}  # the field of its encoding


class Chunk(NamedTuple):
    """The pages of one column in one row group: top column, path, whether it holds texts, first byte and end.

    A name may contain dots, so that the path does not give the top column.
    """

    group: int
    top: str
    path: str
    text: bool
    start: int
    stop: int


class Page(NamedTuple):
    """A page: its size in memory in bytes, the number of its values, and the number of their encoding."""

    size: int
    values: int
    encoding: int


def read_footer(source: Any, size: int) -> tuple[int, list[Chunk]]:
    """Return the row count and chunks in the footer of a file of `size` bytes; raise ValueError for no Parquet."""
    source.seek(max(size - 8, 0))
    end = source.read(8)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != MAGIC or not 0 < length <= size - 12:
        raise ValueError("expected a Parquet file, found other last bytes")
    source.seek(size - 8 - length)
    try:
        facts, _ = read_struct(source.read(length))
    except IndexError:
        raise ValueError("expected the footer of a Parquet file, found a truncated one") from None
    groups = [_fields(group) for group in _list(facts, 4)]
    chunks = [_chunk(i, _fields(column)) for i, group in enumerate(groups) for column in _list(group, 1)]
    return _integer(facts, 3), chunks


def _chunk(group: int, column: Fields) -> Chunk:
    if 1 in column:
        raise ValueError("expected all columns in one file, found one in another file")
    facts = _fields(column.get(3))
    parts = [part.decode() for part in _list(facts, 3) if isinstance(part, bytes)]
    if not parts:
        raise ValueError("expected the name of each column, found none")
    path = ".".join(parts)
    start = min((at for at in (_integer(facts, 9), _integer(facts, 11)) if at > 0), default=0)
    length = _integer(facts, 7)
    if length < 0:
        raise ValueError(f"{path}: expected the size of a column, found {length}")
    return Chunk(group, parts[0], path, _integer(facts, 1) == BYTE_ARRAY, start, start + length)


def _fields(value: object) -> Fields:
    if not isinstance(value, dict):
        raise ValueError("expected a description of each column, found none")
    return value


def _list(fields: Fields, field: int) -> list[Any]:
    value = fields.get(field, [])
    return value if isinstance(value, list) else []


def read_pages(source: Any, start: int, stop: int) -> Iterator[Page]:
    """Yield the pages between two bytes of a file; raise ValueError where a header cannot be read."""
    while start < stop:
        header, length = _header(source, start, stop)
        size, stored = _integer(header, 2), _integer(header, 3)
        kind = next((kind for kind in ENCODING if isinstance(header.get(kind), dict)), None)
        if size < 0 or stored < 0:
            raise ValueError(f"byte {start}: expected the sizes of a page, found {size} and {stored}")
        if kind is not None:
            facts = header[kind]
            yield Page(size, max(_integer(facts, 1), 0), _integer(facts, ENCODING[kind]))
        start += length + stored


def _integer(fields: Fields, field: int) -> int:
    """Return the number in a field, -1 where there is none."""
    value = fields.get(field)
    return value if isinstance(value, int) else -1


def _header(source: Any, start: int, stop: int) -> tuple[Fields, int]:
    """Return the fields of a header, and its bytes."""
    for size in (NEAR, MOST):
        source.seek(start)
        data = source.read(min(size, stop - start))
        try:
            return read_struct(data)
        except IndexError:
            continue
    raise ValueError(f"byte {start}: expected the header of a page, found none in {MOST} bytes")
