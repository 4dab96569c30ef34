"""Limits for Parquet files of unknown origin: the memory that columns need is counted before they are read.

A repeated value costs a Parquet file almost nothing: a few kilobytes can expand to gigabytes. The limit depends on
the size of the file, far above tables of real samples (an index of 590,326 samples: 6 times its size).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from itertools import chain, islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sar_data.system.parquet_pages import Chunk, read_footer, read_pages

ROWS_A_BYTE = 16  # every row has a name of its own, so that more rows than this cannot be real
BYTES_A_BYTE, FREE = 256, 1 << 27  # in memory; FREE allows for the overhead of small files
WIDTH = 16  # bytes of a number, or of the offset of a text, with the offsets of its list
# The encodings that our writer uses: plain, dictionary, runs, bits. Others repeat parts of texts.
ENCODINGS = {0, 2, 3, 4, 8}


class TooLarge(ValueError):
    """A table would take more memory than a file of its size can need."""


def memory_limit(size: int) -> int:
    """Return the bytes of memory that the table in a file of `size` bytes may take."""
    return FREE + BYTES_A_BYTE * size


def check_size(source: Any, size: int, columns: Collection[str] | None = None) -> None:
    """Raise TooLarge where some columns of a file of `size` bytes, all by default, would need too much memory.

    `source` is a seekable file. Of texts, the longest one in each dictionary counts. Raises pyarrow's exceptions, or
    ValueError, for a file that is not Parquet.
    """
    rows, chunks = read_footer(source, size)
    if not 0 <= rows <= size * ROWS_A_BYTE:
        raise TooLarge(f"expected at most {size * ROWS_A_BYTE} rows, found {rows}")
    _check_apart(chunks, size)
    chunks = [chunk for chunk in chunks if columns is None or chunk.top in columns]
    room, values = memory_limit(size), Counter[Chunk]()
    for chunk in chunks:
        for page in read_pages(source, chunk.start, chunk.stop):
            if page.encoding not in ENCODINGS:
                raise TooLarge(f"{chunk.path}: expected pages of plain values or a dictionary, found another encoding")
            values[chunk] += page.values
            room -= page.values * WIDTH + page.size
            _check_room(room, size, chunk.path)
    texts = [chunk for chunk in chunks if chunk.text]
    paths = list(dict.fromkeys(chunk.path for chunk in texts))
    try:
        with pq.ParquetFile(source, read_dictionary=paths, buffer_size=1 << 16) as parquet:
            if _most_text(parquet, texts, values) <= room:
                return
            for chunk in texts:
                room -= _text_bytes(parquet, chunk.group, chunk.path, values[chunk], room)
                _check_room(room, size, chunk.path)
    except (KeyError, IndexError) as error:
        raise ValueError(f"expected the columns of the file's schema, found {error!r:.80}") from error


def _check_apart(chunks: Collection[Chunk], size: int) -> None:
    """Raise ValueError where chunks overlap, whose bytes would be counted twice, or lie outside the file."""
    before = 0
    for chunk in sorted((chunk for chunk in chunks if chunk.start < chunk.stop), key=lambda chunk: chunk.start):
        if not before <= chunk.start < chunk.stop <= size:
            raise ValueError(f"{chunk.path}: expected pages of its own within {size} bytes, found overlapping ones")
        before = chunk.stop


def _check_room(room: int, size: int, column: str) -> None:
    if room < 0:
        most = memory_limit(size)
        raise TooLarge(f"{column}: expected a table of at most {most} bytes in memory, found more than {most - room}")


def _most_text(parquet: pq.ParquetFile, texts: Collection[Chunk], values: Counter[Chunk]) -> int:
    """Return an upper bound of the bytes of all texts, which is enough for most files: columns are read at once."""
    most = 0
    for group in {chunk.group for chunk in texts}:
        own = [chunk for chunk in texts if chunk.group == group]
        most += _longest(parquet, group, [chunk.path for chunk in own]) * sum(values[chunk] for chunk in own)
    return most


def _longest(parquet: pq.ParquetFile, group: int, paths: list[str]) -> int:
    """Return the bytes of the longest text in the dictionaries of some columns."""
    rows = islice(parquet.iter_batches(batch_size=1, row_groups=[group], columns=paths), 1)
    first = [coded for row in rows for column in row.columns for coded in _dictionaries(column)]
    return max((pc.max(pc.binary_length(coded.dictionary)).as_py() or 0 for coded in first), default=0)


def _text_bytes(parquet: pq.ParquetFile, group: int, path: str, values: int, room: int) -> int:
    """Return the bytes of the texts of a column, or an upper bound that is within `room`."""
    longest = _longest(parquet, group, [path])
    if values * longest <= room:
        return values * longest
    chunks = [chunk for column in parquet.read_row_group(group, columns=[path]).columns for chunk in column.chunks]
    coded = [part for chunk in chunks for part in _dictionaries(chunk)]
    return sum(pc.sum(pc.take(pc.binary_length(part.dictionary), part.indices)).as_py() or 0 for part in coded)


def _dictionaries(array: pa.Array) -> Iterator[pa.DictionaryArray]:
    """Yield the dictionary-encoded texts inside an array."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        yield array
    elif pa.types.is_struct(kind):
        for number in range(kind.num_fields):
            yield from _dictionaries(array.field(number))
    elif pa.types.is_map(kind):
        yield from chain(_dictionaries(array.keys), _dictionaries(array.items))
    elif pa.types.is_list(kind):
        yield from _dictionaries(array.values)
