"""Archives as trees: members are read in place, by offset, and nothing is unpacked."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass

from sar_data.errors import BadRecord, SourceError
from sar_data.sources.archives.detect import is_own_file
from sar_data.sources.archives.members import BARE, DEFLATED, FOLDER, Table, open_table
from sar_data.sources.tree import Folder, is_litter
from sar_data.spec import Tree
from sar_data.system.regular import read_range


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A file that contains members, in its state when it was indexed."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: os.PathLike[str]) -> ArchiveFile:
        facts = os.stat(path)
        return cls(os.path.abspath(path), facts.st_size, facts.st_mtime_ns)

    def read(self, offset: int, size: int) -> bytes:
        # Opened for each read, as a folder's files are: nothing is shared by processes, nothing is left open.
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            facts = os.fstat(descriptor)
            if facts.st_size != self.size or facts.st_mtime_ns != self.mtime_ns:
                raise SourceError(f"{self.path}: the archive changed since it was indexed. Run the same command again.")
            return read_range(descriptor, offset, size)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Archive:
    """The members of one or several archives; cheap to pickle, because `table` is a file that every process maps."""

    table: str
    digest: str
    parts: tuple[ArchiveFile, ...]

    def _table(self) -> Table:
        return open_table(self.table, self.digest)

    def holds(self, path: str, *, folder: bool = False) -> bool:
        """Say whether this file, or this folder, exists."""
        table = self._table()
        row = table.find(path.strip("/"))
        return row is not None and (table.kind[row] == FOLDER) == folder

    def _children(self, path: str, *, folders: bool) -> list[str]:
        table = self._table()
        row = table.find(path.strip("/"))
        if row is None or table.kind[row] != FOLDER:
            raise SourceError(f"cannot list {path!r} in {self.parts[0].path}: expected a folder, found none")
        return [name for name, kind in table.children(row) if (kind == FOLDER) == folders]

    def folders(self, path: str = "") -> list[str]:
        return self._children(path, folders=True)

    def files(self, path: str = "") -> list[str]:
        return self._children(path, folders=False)

    def _row(self, table: Table, path: str) -> int:
        row = table.find(path)
        if row is None or table.kind[row] == FOLDER:
            raise BadRecord(path, f"expected a file, found {'none' if row is None else 'a folder'}")
        return row

    def size(self, path: str) -> int:
        table = self._table()
        size: int = table.size[self._row(table, path)]
        return size

    def read(self, path: str) -> bytes:
        table = self._table()
        row = self._row(table, path)
        data = self._bytes(table, row, path, 0, table.size[row])
        if table.kind[row] != BARE and zlib.crc32(data) != table.crc[row]:
            where = self.parts[table.part[row]].path
            raise BadRecord(path, f"expected bytes of the checksum that {where} has for it, found others")
        return data

    def head(self, path: str, size: int) -> bytes:
        return self.pread(path, 0, size)

    def pread(self, path: str, offset: int, size: int) -> bytes:
        table = self._table()
        row = self._row(table, path)
        return self._bytes(table, row, path, offset, max(0, min(size, table.size[row] - offset)))

    def _bytes(self, table: Table, row: int, path: str, offset: int, size: int) -> bytes:
        part = self.parts[table.part[row]]
        try:
            if table.kind[row] == DEFLATED:
                packed = part.read(table.offset[row], table.packed[row])
                data = _inflate(packed, offset + size, whole=offset + size == table.size[row])[offset:]
            else:
                data = part.read(table.offset[row] + offset, size)
        except (OSError, zlib.error, ValueError) as error:
            if isinstance(error, SourceError):
                raise
            raise BadRecord(path, f"cannot be read from {part.path}: {error}") from error
        if len(data) != size:
            raise BadRecord(path, f"expected {size} bytes in {part.path}, found {len(data)}")
        return data


def _inflate(packed: bytes, size: int, *, whole: bool) -> bytes:
    """Return the first `size` bytes of deflated data; with `whole`, raise ValueError for more than that."""
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    data = machine.decompress(packed, size + 1) if whole else machine.decompress(packed, max(size, 1))
    if whole and (len(data) > size or not machine.eof):
        raise ValueError(f"expected {size} bytes, found {'more' if len(data) > size else 'the end of the data'}")
    return data[:size]


@dataclass(frozen=True, slots=True)
class FolderWithArchives:
    """A folder and the members of archives in it, as one tree; the archives' own files, `hidden`, are not shown."""

    archive: Archive
    folder: Folder
    hidden: frozenset[str]

    def _trees_at(self, path: str) -> list[Tree]:
        packed = self.archive.holds(path, folder=True)
        loose = not packed or os.path.isdir(os.path.join(self.folder.root, path))
        return [*([self.archive] if packed else []), *([self.folder] if loose else [])]

    def folders(self, path: str = "") -> list[str]:
        return list({name for tree in self._trees_at(path) for name in tree.folders(path)})

    def files(self, path: str = "") -> list[str]:
        inside = path.strip("/") + "/" if path else ""
        names = [name for tree in self._trees_at(path) for name in tree.files(path)]
        names = [n for n in names if inside + n not in self.hidden and not is_own_file(n) and not is_litter(n)]
        if len(set(names)) < len(names):
            twin = next(name for name in names if names.count(name) > 1)
            raise SourceError(
                f"{self.folder.root}: expected {inside + twin} in the folder or in an archive in it, found it in both. "
                "Move one of them away."
            )
        return names

    def _tree(self, path: str) -> Tree:
        return self.archive if self.archive.holds(path) else self.folder

    def size(self, path: str) -> int:
        return self._tree(path).size(path)

    def read(self, path: str) -> bytes:
        return self._tree(path).read(path)

    def head(self, path: str, size: int) -> bytes:
        return self._tree(path).head(path, size)

    def pread(self, path: str, offset: int, size: int) -> bytes:
        return self._tree(path).pread(path, offset, size)


def archives_of(tree: Tree) -> dict[str, ArchiveFile]:
    """Return the archives whose members a tree shows, by their names."""
    while (
        not isinstance(tree, Archive) and (inner := getattr(tree, "archive", getattr(tree, "tree", None))) is not None
    ):
        tree = inner
    parts = tree.parts if isinstance(tree, Archive) else ()
    above = os.path.commonpath([os.path.dirname(part.path) for part in parts]) if parts else ""
    return {os.path.relpath(part.path, above): part for part in parts}
