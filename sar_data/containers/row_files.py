"""Files of rows, Arrow and Parquet, read group by group through a tree: what `datasets` saves and hubs publish.

`datasets` saves Arrow's stream, in which each message says how long it is; so the place of every group of rows is known
without reading it. Source of the framing: Arrow's format, *Encapsulated message format*.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.errors import BadRecord, Reading
from sar_data.raster.parquet_images import TreeFile
from sar_data.spec import Tree
from sar_data.system.parquet import ROWS_A_BYTE, TooLarge, check_size, memory_limit

SUFFIXES = (".arrow", ".parquet", ".feather")
CONTINUATION = b"\xff\xff\xff\xff"
FILE_MAGIC = b"ARROW1"
MOST_METADATA = 1 << 24  # bytes of a message without its body
CACHED_GROUPS = 8
HEADER, BODY_LENGTH = 2, 3  # fields of the table of a message
BUFFERS, COMPRESSION = 2, 3  # fields of the table of a group of rows


@dataclass(frozen=True, slots=True)
class Groups:
    """The schema of a file, and the first row of each of its groups; `places` are those of a stream's messages."""

    schema: pa.Schema
    starts: tuple[int, ...]
    rows: int
    places: tuple[tuple[int, int], ...] = ()

    def group_of(self, row: int) -> int:
        """Return the group that has a row."""
        return next(i for i in reversed(range(len(self.starts))) if self.starts[i] <= row)


@lru_cache(maxsize=64)
def groups(tree: Tree, path: str) -> Groups:
    """Return the groups of a file, found once a process; raise BadRecord for one that cannot be read."""
    with Reading(path, "a file of rows (Arrow or Parquet)"):
        if path.endswith(".parquet"):
            check_size(_file(tree, path), tree.size(path))
            metadata = pq.ParquetFile(_file(tree, path)).metadata
            counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
            return _groups(metadata.schema.to_arrow_schema(), counts, tree.size(path))
        # A file is a stream behind eight bytes; where its footer says that groups lie is not looked at.
        is_file = tree.head(path, len(FILE_MAGIC)) == FILE_MAGIC
        first, *places = _messages(tree, path, 8 if is_file else 0)
        schema = pa.ipc.read_schema(pa.ipc.read_message(tree.pread(path, *first)))
        counts = [_batch(tree, path, schema, place).num_rows for place in places]
        return _groups(schema, counts, tree.size(path), tuple(places))


def _groups(schema: pa.Schema, counts: Sequence[int], size: int, places: tuple[tuple[int, int], ...] = ()) -> Groups:
    """Return the groups of a file of `size` bytes; raise TooLarge where they say more rows than it can have."""
    starts = [0, *accumulate(counts)]
    if starts[-1] > (most := size * ROWS_A_BYTE):
        raise TooLarge(f"expected at most {most:,} rows, found {starts[-1]:,}")
    return Groups(schema, tuple(starts[:-1]), starts[-1], places)


def column(tree: Tree, path: str, name: str, field: str = "") -> list[Any]:
    """Return the values of one column of a file, or of a field of its structs, as Python has them; raise BadRecord."""
    layout = groups(tree, path)
    values: list[Any] = []
    with Reading(path, f"a column {name} whose values can be read"):
        if path.endswith(".parquet"):
            table = pq.ParquetFile(_file(tree, path)).read(columns=[f"{name}.{field}" if field else name])
            table.validate(full=True)
            chunks = table[name].chunks
        else:
            chunks = (_group(tree, path, i, (name,))[0] for i in range(len(layout.starts)))
        for chunk in chunks:
            values += (chunk.field(field) if field else chunk).to_pylist()
        return values


def cells(tree: Tree, path: str, names: tuple[str, ...], row: int) -> list[pa.Scalar]:
    """Return the values of some columns in one row, in the order of `names`; raise BadRecord."""
    with Reading(f"{path}, row {row}", "values that can be read"):
        number = (layout := groups(tree, path)).group_of(row)
        return [values[row - layout.starts[number]] for values in _group(tree, path, number, names)]


@lru_cache(maxsize=CACHED_GROUPS)
def _group(tree: Tree, path: str, number: int, names: tuple[str, ...]) -> list[pa.Array]:
    """Return the columns of one group, checked: a wrong offset in a file would lead out of its memory."""
    layout = groups(tree, path)
    if path.endswith(".parquet"):
        table = pq.ParquetFile(_file(tree, path)).read_row_group(number, columns=list(names))
        table.validate(full=True)
        arrays = [table[name].combine_chunks() for name in names]
    else:
        batch = _batch(tree, path, layout.schema, layout.places[number])
        arrays = [batch.column(batch.schema.get_field_index(name)) for name in names]
    for array in arrays:
        array.validate(full=True)
    return [array.storage if isinstance(array, pa.ExtensionArray) else array for array in arrays]


def _batch(tree: Tree, path: str, schema: pa.Schema, place: tuple[int, int]) -> pa.RecordBatch:
    """Return the rows of a message, whose columns have so many.

    Raises TooLarge where they would take more memory than such a file can need.
    """
    message = pa.ipc.read_message(tree.pread(path, *place))
    room, need = memory_limit(tree.size(path)), _unpacked_bytes(bytes(message.metadata), message.body)
    if need > room:
        raise TooLarge(f"expected groups of rows of at most {room:,} bytes in memory, found one of {need:,}")
    batch = pa.ipc.read_record_batch(message, schema)
    batch.validate()  # a message says its count of rows beside those of its columns
    return batch


def _messages(tree: Tree, path: str, at: int) -> list[tuple[int, int]]:
    """Return the first byte and the length of each message of a stream that begins at a byte.

    Raises BadRecord for one that is cut off.
    """
    places: list[tuple[int, int]] = []
    size = tree.size(path)
    while at + 8 <= size:
        head = tree.pread(path, at, 8)
        before = 8 if head[:4] == CONTINUATION else 4  # before version 0.15 there was no continuation
        length = struct.unpack("<I", head[before - 4 : before])[0]
        if length == 0:
            break
        if length > MOST_METADATA or at + before + length > size:
            raise BadRecord(path, f"expected the metadata of a message at byte {at}, found {length:,} bytes of it")
        whole = before + length + _body_length(tree.pread(path, at + before, length))
        if at + whole > size:
            raise BadRecord(path, f"expected {at + whole:,} bytes, found {size:,}: it was cut off, copy it again")
        places.append((at, whole))
        at += whole
    return places


def _body_length(metadata: bytes) -> int:
    """Return the bytes of a message's body, by the flatbuffer that is its metadata."""
    field = _field(metadata, struct.unpack_from("<I", metadata)[0], BODY_LENGTH)
    length: int = struct.unpack_from("<q", metadata, field)[0] if field else 0
    if length < 0:
        raise ValueError(f"a body of {length} bytes")
    return length


def _unpacked_bytes(metadata: bytes, body: pa.Buffer) -> int:
    """Return the bytes that the compressed buffers of a group say they have; 0 where none is compressed."""
    header = _field(metadata, struct.unpack_from("<I", metadata)[0], HEADER)
    batch = header + struct.unpack_from("<I", metadata, header)[0]
    if not _field(metadata, batch, COMPRESSION) or not (field := _field(metadata, batch, BUFFERS)):
        return 0
    vector = field + struct.unpack_from("<I", metadata, field)[0]
    count = struct.unpack_from("<I", metadata, vector)[0]
    places = [struct.unpack_from("<qq", metadata, vector + 4 + 16 * i) for i in range(count)]
    return sum(max(0, struct.unpack_from("<q", body, start)[0]) for start, size in places if size)


def _field(data: bytes, table: int, number: int) -> int:
    """Return where a field of a flatbuffer's table lies, 0 where it has none."""
    fields = table - struct.unpack_from("<i", data, table)[0]
    if fields < 0 or struct.unpack_from("<H", data, fields)[0] < 4 + 2 * number + 2:
        return 0
    offset: int = struct.unpack_from("<H", data, fields + 4 + 2 * number)[0]
    return table + offset if offset else 0


def _file(tree: Tree, path: str) -> pa.PythonFile:
    return pa.PythonFile(TreeFile(tree, path), mode="r")
