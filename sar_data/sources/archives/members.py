"""The table of a source's members: made once, stored in a file, mapped by every process that reads.

Two million members are found in microseconds and need no memory in a worker. A row is a folder or a file; row 0 is
the root, and the children of a folder are consecutive.
"""

from __future__ import annotations

import json
import mmap
import string
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from xxhash import xxh3_64_intdigest

from sar_data.errors import SourceError
from sar_data.sources.archives.rules import MEMBERS, RATIO, SMALL, fold_name, member_error
from sar_data.system import durable, private
from sar_data.system.paths import PART, PATH, flaw

VERSION = 2
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
STORED_COLUMNS = (
    ("end", "<u8"),  # of each path among all paths, behind a 0
    ("key", "<u8"),  # sorted
    ("row", "<u4"),  # of a key
    *((name, code) for name, code in COLUMNS if name in ("offset", "size", "packed", "crc", "part", "kind")),
)
"""The columns of a table's file, one behind the other; before them a head in JSON, behind them all paths."""
WIDTH, MOST_HEAD = 8, 1 << 24  # bytes of the length of the head, and of that
FLAWED = r"(^|/)\.{0,2}(/|$)|[\x00-\x1f\x7f\\]|^[A-Za-z]:"  # what system.paths.flaw refuses, for millions of names
ArchiveFacts = tuple[str, str, str, int, int]
"""Of an archive: its folder in the tree, its name, the hash of its start and end, its size and time in ns."""


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

    def save(self, path: Path, facts: Sequence[ArchiveFacts]) -> None:
        """Write the table, with the archives that it is of; raise SourceError for members of one name."""
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
        columns = {name: rows[name][order] for name, _ in COLUMNS}
        columns |= {"end": np.frombuffer(paths.buffers()[1], np.int64), "key": keys[by_key], "row": by_key}
        head = json.dumps({"version": VERSION, "of": facts, "rows": len(rows)}).encode()
        head += b" " * (-len(head) % WIDTH)  # so that the numbers behind it are aligned
        digest = xxhash.xxh3_128()
        with durable.publish(path, sync=False) as file:  # its digest is checked when it is opened
            for part in (
                len(head).to_bytes(WIDTH, "little") + head,
                *(columns[name].astype(code).tobytes() for name, code in STORED_COLUMNS),
                memoryview(paths.buffers()[2]),
            ):
                digest.update(part)
                file.write(part)
            file.write(digest.digest())

    def _check_unique(self, paths: pa.Array, keys: Any, by_key: Any, part: Any) -> None:
        alike = keys[by_key]
        for i in np.flatnonzero(alike[1:] == alike[:-1]).tolist():
            first, second = sorted(int(row) for row in by_key[i : i + 2])
            name, other = paths[first].as_py(), paths[second].as_py()
            if fold_name(name) == fold_name(other):
                where = sorted({self._archives[part[row]] for row in (first, second)})
                reason = f"expected names that differ in more than case, found {other!r} as well"
                raise member_error(" and ".join(where), name, reason)


class Table:
    """A mapped table of members; numbers are plain integers. Raises ValueError for what is no table."""

    def __init__(self, data: memoryview) -> None:
        at = WIDTH + int.from_bytes(data[:WIDTH], "little")
        self.head = json.loads(bytes(data[WIDTH : min(at, MOST_HEAD)]))
        count, columns = self.head["rows"], dict[str, Any]()
        for name, code in STORED_COLUMNS:
            size = np.dtype(code).itemsize * (count + (name == "end"))
            columns[name], at = np.frombuffer(data[at : at + size], code), at + size
        text = data[at:-DIGEST]
        if len(columns["kind"]) != count or not count or columns["end"][-1] != len(text):
            raise ValueError("expected a table of members, found another file")
        ends, self._text = pa.py_buffer(columns["end"]), text
        self.paths = pa.LargeStringArray.from_buffers(count, ends, pa.py_buffer(text))
        self._ends, self._keys, self._rows, self.offset, self.size, self.packed, self.crc, self.part, self.kind = (
            memoryview(column).cast("B").cast(column.dtype.char) for column in columns.values()
        )

    def is_sound(self, sizes: Sequence[int]) -> bool:
        """Say whether all rows lie inside of the table, and all members inside of archives of these sizes."""
        count, names = len(self.kind), self.paths
        names.validate(full=True)
        odd = pc.or_(pc.match_substring_regex(names, FLAWED), pc.greater(pc.binary_length(names), PATH))
        kind, part, offset, size, packed = map(np.asarray, (self.kind, self.part, self.offset, self.size, self.packed))
        if names[0].as_py() or pc.any(odd.slice(1)).as_py() or (np.asarray(self._rows) >= count).any():
            return False
        if kind[0] != FOLDER or (kind > DEFLATED).any() or (part >= len(sizes)).any():
            return False
        room = np.where(kind == FOLDER, count, np.array(sizes)[part]).astype(np.uint64)
        length = np.where(kind == DEFLATED, packed, size)
        outside = (offset > room) | (length > room - np.minimum(offset, room))
        bomb = (kind == DEFLATED) & (size > np.maximum(SMALL, RATIO * packed))
        return not (outside | bomb).any()

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
        for path, kind in zip(self.paths.slice(first, count).to_pylist(), kinds, strict=True):
            yield path.rpartition("/")[2], kind


def verify_table(path: Path, archives: Sequence[ArchiveFacts], origins: Iterable[str]) -> str | None:
    """Return the digest of the table of some archives; None where it is missing, damaged or of others.

    It is trusted if it belongs to us, or to the owner of one of its `origins`. It may have come with the archives all
    the same, so every number in it is compared with them: a wrong one would lead out of a file, or of memory.
    """
    if not private.is_trusted(path, origins):
        return None
    try:
        data = _map_file(path)
        if xxhash.xxh3_128_digest(data[:-DIGEST]) != data[-DIGEST:]:
            return None
        table = Table(data)
        if table.head != {"version": VERSION, "of": [list(facts) for facts in archives], "rows": len(table.kind)}:
            return None
        return data[-DIGEST:].hex() if table.is_sound([size for *_, size, _ in archives]) else None
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError, pa.ArrowException):
        return None


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
