"""A read-only tree of named files: what every pipeline sees of its source."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import xxhash

from sar_data.errors import BadRecord, SourceError
from sar_data.record import SourceFile


class Tree(Protocol):
    """Names, sizes and bytes; paths are relative to the root and use forward slashes. A tree may key a cache."""

    def __hash__(self) -> int: ...

    def folders(self, path: str = "") -> list[str]:
        """Return the names of the folders directly below `path`, in any order."""

    def files(self, path: str = "") -> list[str]:
        """Return the names of the files directly below `path`, in any order."""

    def size(self, path: str) -> int:
        """Return a file's size in bytes; raise BadRecord where it is missing."""

    def read(self, path: str) -> bytes:
        """Return a file's bytes; raise BadRecord where it cannot be read."""

    def head(self, path: str, size: int) -> bytes:
        """Return up to the first `size` bytes of a file, for headers; raise BadRecord where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A tree on a local file system."""

    root: str

    @classmethod
    def at(cls, path: Path) -> Folder:
        """Return the tree below `path`; raise SourceError unless it is a folder."""
        if not path.is_dir():
            what = "a file" if path.exists() else "nothing"
            raise SourceError(f"source {path}: expected a folder, found {what}. Unpack the archive, name its folder.")
        return cls(str(path.absolute()))

    def _entries(self, path: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(os.path.join(self.root, path)) as entries:
                yield from entries
        except OSError as error:
            raise SourceError(f"cannot list {os.path.join(self.root, path)}: {error.strerror}") from error

    def folders(self, path: str = "") -> list[str]:
        return [entry.name for entry in self._entries(path) if entry.is_dir()]

    def files(self, path: str = "") -> list[str]:
        return [entry.name for entry in self._entries(path) if entry.is_file()]

    def size(self, path: str) -> int:
        try:
            return os.stat(f"{self.root}/{path}").st_size
        except OSError as error:
            raise BadRecord(path, _reason(error)) from error

    def read(self, path: str) -> bytes:
        try:
            # Plain descriptors: io.open costs as much again as reading a 58 kB patch.
            descriptor = os.open(f"{self.root}/{path}", os.O_RDONLY)
            try:
                size = os.fstat(descriptor).st_size
                data = os.read(descriptor, size)
                while len(data) < size and (more := os.read(descriptor, size - len(data))):
                    data += more
                return data
            finally:
                os.close(descriptor)
        except OSError as error:
            raise BadRecord(path, _reason(error)) from error

    def head(self, path: str, size: int) -> bytes:
        try:
            descriptor = os.open(f"{self.root}/{path}", os.O_RDONLY)
            try:
                return os.read(descriptor, size)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise BadRecord(path, _reason(error)) from error


def _reason(error: OSError) -> str:
    return "expected a file, found none" if isinstance(error, FileNotFoundError) else str(error.strerror)


@dataclass(frozen=True, slots=True, eq=False)  # one witness is no other, and may key a cache
class Witness:
    """A tree that remembers the xxh3_128 of every file read through it, in `seen`, and its bytes, in `sizes`."""

    tree: Tree
    seen: dict[str, str]
    sizes: dict[str, int] = field(default_factory=dict)

    def folders(self, path: str = "") -> list[str]:
        return self.tree.folders(path)

    def files(self, path: str = "") -> list[str]:
        return self.tree.files(path)

    def size(self, path: str) -> int:
        return self.tree.size(path)

    def read(self, path: str) -> bytes:
        data = self.tree.read(path)
        self.seen[path] = xxhash.xxh3_128_hexdigest(data)
        self.sizes[path] = len(data)
        return data

    def head(self, path: str, size: int) -> bytes:
        return self.tree.head(path, size)


def noted(tree: Tree, path: str) -> tuple[SourceFile, bytes]:
    """Return a file with its digest, and its bytes: what scan reads must be the same when the record is read."""
    data = tree.read(path)
    return SourceFile(path, len(data), xxhash.xxh3_128_hexdigest(data)), data
