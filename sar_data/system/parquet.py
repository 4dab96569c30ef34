"""Parquet of a stranger: what columns would take in memory is counted before they are read.

A value that repeats costs a Parquet file almost nothing: a few kilobytes can tell gigabytes. What a file may tell is
bound by its own size, far above what tables of real samples reach (an index of 590,326 samples: 6 times its size).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS_A_BYTE = 16  # every row has a name of its own, so that a file that tells more rows tells them of nothing
BYTES_A_BYTE, FREE = 256, 1 << 27  # in memory; FREE is for small files, whose overhead says nothing
WIDTH = 8  # bytes of a number, or of what leads to a text
# Of what the writer writes. Others repeat parts of values, which no dictionary would show.
ENCODINGS = {"PLAIN", "RLE", "BIT_PACKED", "PLAIN_DICTIONARY", "RLE_DICTIONARY"}


class TooLarge(ValueError):
    """A table would take more memory than a file of its size can need."""


def allowance(size: int) -> int:
    """Return the bytes of memory that the table in a file of `size` bytes may take."""
    return FREE + BYTES_A_BYTE * size


def check_size(source: Any, size: int, columns: Collection[str] | None = None) -> None:
    """Raise TooLarge where some columns of a file of `size` bytes, all by default, would take too much memory.

    `source` is a file that can be read at any place. Of texts, the longest one of each dictionary is looked at.
    Raises pyarrow's exceptions where it is no Parquet.
    """
    with pq.ParquetFile(source) as parquet:
        metadata = parquet.metadata
    if not 0 <= metadata.num_rows <= size * ROWS_A_BYTE:
        raise TooLarge(f"expected at most {size * ROWS_A_BYTE} rows, found {metadata.num_rows}")
    fields = [metadata.schema.column(number) for number in range(metadata.num_columns)]
    leaves = [n for n, field in enumerate(fields) if columns is None or field.path.partition(".")[0] in columns]
    texts = [n for n in leaves if fields[n].physical_type == "BYTE_ARRAY"]
    most, needed = allowance(size), 0
    for group in range(metadata.num_row_groups):
        for leaf in leaves:
            chunk = metadata.row_group(group).column(leaf)
            if strange := set(chunk.encodings) - ENCODINGS:
                raise TooLarge(f"{chunk.path_in_schema}: expected values one by one, found {', '.join(strange)}")
            needed += max(chunk.num_values, 0) * WIDTH + max(chunk.total_uncompressed_size, 0)
        if needed > most:
            raise TooLarge(f"expected a table of at most {most} bytes, found more than {needed}")
    paths = [fields[n].path for n in texts]
    with pq.ParquetFile(source, metadata=metadata, read_dictionary=paths, buffer_size=1 << 16) as parquet:
        for group in range(metadata.num_row_groups if paths else 0):
            row = next(parquet.iter_batches(batch_size=1, row_groups=[group], columns=paths), None)
            longest = max(map(_longest, row.columns), default=0) if row else 0
            needed += sum(metadata.row_group(group).column(leaf).num_values for leaf in texts) * longest
            if needed > most:
                raise TooLarge(f"expected a table of at most {most} bytes, found texts for {needed}")


def _longest(array: pa.Array) -> int:
    """Return the bytes of the longest text of all dictionaries inside of an array."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return pc.max(pc.binary_length(array.dictionary)).as_py() or 0
    if pa.types.is_struct(kind):
        return max((_longest(array.field(number)) for number in range(kind.num_fields)), default=0)
    if pa.types.is_list(kind) or pa.types.is_map(kind):
        parts = [array.values] if pa.types.is_list(kind) else [array.keys, array.items]
        return max(map(_longest, parts))
    return 0
