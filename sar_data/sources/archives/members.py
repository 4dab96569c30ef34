"""The table of a source's members: made once, stored in a file, mapped by every process that reads.

Two million members are found in microseconds and need no memory in a worker. A row is a folder or a file; row 0 is
the root, and the children of a folder are consecutive.
"""

from __future__ import annotations

import json
import mmap
import string
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from xxhash import xxh3_64_intdigest

from sar_data.errors import SourceError
from sar_data.sources.archives.rules import MEMBERS, fold_name, member_error
from sar_data.system import durable, private
from sar_data.system.paths import PART, flaw

VERSION = 1
FOLDER, BARE, STORED, DEFLATED = 0, 1, 2, 3  # bare: in a tar, which has no checksum of contents
DIGEST = 16  # bytes of xxh3_128, the file's end
PLAIN = (string.ascii_letters + string.digits + "-_./").encode()
ROW = Struct("<QQQQQIIIB")
COLUMNS = (
    ("end", "<u8"),  # of the path among all paths
    ("key", "<u8"),  # hash of the folded path
    ("offset", "<u8"),  # of a file in its archive; of a folder: the row of its first child
    ("size", "<u8"),  # bytes; of a folder: how many children it has
    ("packed", "<u8"),  # bytes in the archive
    ("crc", "<u4"),  # of a zip's member
    ("parent", "<u4"),
    ("part", "<u4"),  # which archive
    ("kind", "u1"),
)
STORED_COLUMNS = {"offset": "Q", "size": "Q", "packed": "Q", "crc": "I", "part": "I", "kind": "B"}


class MemberCollector:
    """Collects the members of the archives of one source, and refuses those that cannot form one tree."""

    def __init__(self) -> None:
        self._paths = bytearray()
        self._rows = bytearray()
        self._count = 0
        self._folders: dict[str, int] = {}
        self._above = ("", 0)
        self.archive = ""  # of the members to come, for messages
        self._part = -1
        self._archives: list[str] = []
        self._folders[""] = self._row("", b"", 0, 0, 0, 0, FOLDER, 0)

    def open(self, archive: str) -> None:
        """Start with the next archive."""
        self.archive = archive
        self._archives.append(archive)
        self._part += 1

    def folder(self, path: str, member: str = "") -> int:
        """Add a folder and its parents, once, for a member; return its number."""
        number = self._folders.get(path)
        if number is None:
            if reason := flaw(path):
                raise member_error(self.archive, member or path, reason)
            parent = self.folder(path.rpartition("/")[0])
            number = self._folders[path] = self._row(path, path.encode(), 0, 0, 0, 0, FOLDER, parent)
        return number

    def has_folder(self, path: str) -> bool:
        return path in self._folders

    def file(self, path: str, offset: int, size: int, packed: int = 0, crc: int = 0, kind: int = BARE) -> None:
        """Add a file of the archive that was opened last."""
        folder, _, name = path.rpartition("/")
        if folder != self._above[0]:
            self._above = folder, self.folder(folder, path)
        raw = path.encode()
        odd = raw.translate(None, PLAIN) or name in ("", ".", "..") or len(name) > PART
        if odd and (reason := flaw(path)):  # most names need no further check
            raise member_error(self.archive, path, reason)
        self._row(path, raw, offset, size, packed, crc, kind, self._above[1])

    def _row(self, path: str, raw: bytes, offset: int, size: int, packed: int, crc: int, kind: int, parent: int) -> int:
        self._paths += raw
        key = xxh3_64_intdigest(raw.lower() if path.isascii() else fold_name(path))
        self._rows += ROW.pack(len(self._paths), key, offset, size, packed, crc, parent, max(self._part, 0), kind)
        self._count += 1
        if self._count > MEMBERS:
            raise member_error(self.archive, path, f"expected at most {MEMBERS} members, found more")
        return self._count - 1

    def save(self, path: Path, facts: Any) -> None:
        """Write the table, with JSON facts that identify it; raise SourceError for members of one name."""
        rows = np.frombuffer(self._rows, np.dtype(list(COLUMNS)))
        order = np.concatenate([[0], 1 + np.argsort(rows["parent"][1:], kind="stable")])
        parents = rows["parent"][order[1:]]
        numbers = np.fromiter(self._folders.values(), np.int64)
        first = np.searchsorted(parents, numbers, "left")
        rows["offset"][numbers] = first + 1
        rows["size"][numbers] = np.searchsorted(parents, numbers, "right") - first
        ends = np.concatenate([np.zeros(1, np.int64), rows["end"].astype(np.int64)])
        paths = pa.LargeStringArray.from_buffers(len(rows), pa.py_buffer(ends), pa.py_buffer(self._paths))
        paths = paths.take(pa.array(order))
        keys = rows["key"][order]
        by_key = np.argsort(keys)
        self._check_unique(paths, keys, by_key, rows["part"][order])
        columns = {"path": paths, "key": pa.array(keys[by_key]), "row": pa.array(by_key.astype(np.uint32))}
        columns |= {name: pa.array(rows[name][order]) for name in STORED_COLUMNS}
        facts = {"sar-data": json.dumps({"version": VERSION, "of": facts})}
        batch = pa.record_batch(columns).replace_schema_metadata(facts)
        with durable.publish(path, sync=False) as file:  # its digest is checked when it is opened
            sink = _HashingWriter(file)
            with pa.ipc.new_file(pa.PythonFile(sink, "w"), batch.schema) as writer:
                writer.write_batch(batch)
            file.write(sink.hash.digest())

    def _check_unique(self, paths: pa.Array, keys: Any, by_key: Any, part: Any) -> None:
        alike = keys[by_key]
        for i in np.flatnonzero(alike[1:] == alike[:-1]).tolist():
            first, second = sorted(int(row) for row in by_key[i : i + 2])
            name, other = paths[first].as_py(), paths[second].as_py()
            if fold_name(name) == fold_name(other):
                where = sorted({self._archives[part[row]] for row in (first, second)})
                reason = f"expected names that differ in more than case, found {other!r} as well"
                raise member_error(" and ".join(where), name, reason)


class _HashingWriter:
    """Writes to a file and hashes the bytes."""

    closed = False

    def __init__(self, file: durable.Partial) -> None:
        self.hash = xxhash.xxh3_128()
        self._file = file

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Do nothing: writes are not buffered."""


class Table:
    """A mapped table of members; numbers are plain integers."""

    def __init__(self, data: memoryview) -> None:
        with pa.ipc.open_file(pa.py_buffer(data[:-DIGEST])) as reader:
            batch = reader.get_batch(0)
            self.facts = json.loads(reader.schema.metadata[b"sar-data"])
        self._paths = batch["path"]
        _, ends, text = self._paths.buffers()
        self._ends, self._text = memoryview(ends).cast("B").cast("Q"), memoryview(text)
        self._keys, self._rows = _numbers(batch["key"], "Q"), _numbers(batch["row"], "I")
        self.offset, self.size, self.packed, self.crc, self.part, self.kind = (
            _numbers(batch[name], code) for name, code in STORED_COLUMNS.items()
        )

    def find(self, path: str) -> int | None:
        """Return the row of a path, None where there is none."""
        try:
            encoded = path.encode()
        except UnicodeEncodeError:  # a name that no member can have
            return None
        key = xxh3_64_intdigest(encoded.lower() if path.isascii() else fold_name(path))
        at = bisect_left(self._keys, key)
        while at < len(self._keys) and self._keys[at] == key:
            row: int = self._rows[at]
            if self._text[self._ends[row] : self._ends[row + 1]].tobytes() == encoded:
                return row
            at += 1
        return None

    def children(self, row: int) -> Iterator[tuple[str, int]]:
        """Yield the name and the kind of everything directly below a folder."""
        first, count = self.offset[row], self.size[row]
        kinds = self.kind[first : first + count]
        for path, kind in zip(self._paths.slice(first, count).to_pylist(), kinds, strict=True):
            yield path.rpartition("/")[2], kind


def _numbers(column: pa.Array, code: str) -> Any:
    view: Any = memoryview(column.buffers()[1]).cast("B")
    return view.cast(code)[: len(column)]


def verify_table(path: Path, archives: Iterable[str]) -> tuple[str, Any] | None:
    """Return the digest and the facts of a table, None where it is missing, damaged or of another version.

    A table is trusted if it belongs to us, or to the owner of one of its archives.
    """
    if not private.is_trusted(path, archives):
        return None
    try:
        data = _map_file(path)
    except (OSError, ValueError):
        return None
    if xxhash.xxh3_128_digest(data[:-DIGEST]) != data[-DIGEST:]:
        return None
    facts = Table(data).facts
    return (data[-DIGEST:].hex(), facts["of"]) if facts["version"] == VERSION else None


@lru_cache(maxsize=8)
def open_table(path: str, digest: str) -> Table:
    """Return a table that `verify_table` accepted, mapped once a process; raise SourceError where it was replaced."""
    try:
        data = _map_file(Path(path))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: expected the table of the source's members, found none: {error}") from error
    if data[-DIGEST:].hex() != digest:
        raise SourceError(f"{path}: expected the table this build began with, found another: run the command again")
    return Table(data)


def _map_file(path: Path) -> memoryview:
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
