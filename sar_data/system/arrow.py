"""Arrow's streams and files of unknown origin, by their messages: memory is counted before a group of rows is read.

Each message of a stream says how long it is, so that the place of every group of rows is known without reading it.
Source of the framing: Arrow's format, *Encapsulated message format*.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import pyarrow as pa

from sar_data.errors import BadRecord
from sar_data.system.parquet import TooLarge, memory_limit

CONTINUATION = b"\xff\xff\xff\xff"
FILE_MAGIC = b"ARROW1"
MOST_METADATA = 1 << 24  # bytes of a message without its body
HEADER, BODY_LENGTH = 2, 3  # fields of the table of a message
BUFFERS, COMPRESSION = 2, 3  # fields of the table of a group of rows
Read = Callable[[int, int], bytes]
"""Offset, size → bytes of a file."""


def read_table(data: bytes, path: str) -> pa.Table:
    """Return the rows of a stream or file in memory; raise ValueError, TooLarge for too many bytes, or ArrowException.

    What lies inside is checked as far as pyarrow's `validate` does without `full`.
    """
    try:
        first, *places = find_messages(lambda at, size: data[at : at + size], len(data), path)
    except struct.error as error:
        raise ValueError(str(error)) from error
    schema = read_schema(data[first[0] : sum(first)])
    room, batches = memory_limit(len(data)), list[pa.RecordBatch]()
    for start, size in places:
        batches.append(read_batch(data[start : start + size], schema, room))
        room -= batches[-1].nbytes
    return pa.Table.from_batches(batches, schema)


def read_schema(data: bytes) -> pa.Schema:
    """Return the schema of a message; raise ValueError for another message and for names that are no UTF-8."""
    schema = pa.ipc.read_schema(_message(data, "schema"))
    schema.names  # noqa: B018 -- decodes them
    return schema


def _message(data: bytes, kind: str) -> pa.Message:
    """Return a message of a kind; raise ValueError for another one, which pyarrow would read beyond its end."""
    message = pa.ipc.read_message(data)
    if message.type != kind:
        raise ValueError(f"expected a {kind}, found a {message.type}")
    return message


def read_batch(data: bytes, schema: pa.Schema, room: int) -> pa.RecordBatch:
    """Return the rows of a message, whose columns have so many; raise TooLarge where they take more than `room`."""
    message = _message(data, "record batch")
    try:
        need = _unpacked_bytes(bytes(message.metadata), message.body)
    except struct.error as error:
        raise ValueError(str(error)) from error
    if need > room:
        raise TooLarge(f"expected groups of rows of at most {room:,} bytes in memory, found one of {need:,}")
    batch = pa.ipc.read_record_batch(message, schema)
    batch.validate()  # a message says its count of rows beside those of its columns
    return batch


def find_messages(read: Read, size: int, path: str) -> list[tuple[int, int]]:
    """Return the first byte and the length of each message of a stream or file of `size` bytes, the schema's first.

    Raises BadRecord for one that is cut off.
    """
    places: list[tuple[int, int]] = []
    # A file is a stream behind eight bytes; where its footer says that groups lie is not looked at.
    at = 8 if read(0, len(FILE_MAGIC)) == FILE_MAGIC else 0
    while at + 8 <= size:
        head = read(at, 8)
        before = 8 if head[:4] == CONTINUATION else 4  # before version 0.15 there was no continuation
        length = struct.unpack("<I", head[before - 4 : before])[0]
        if length == 0:
            break
        if length > MOST_METADATA or at + before + length > size:
            raise BadRecord(path, f"expected the metadata of a message at byte {at}, found {length:,} bytes of it")
        whole = before + length + _body_length(read(at + before, length))
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
