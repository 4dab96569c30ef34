"""A tree whose files are in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sar_data.errors import BadRecord, SourceError


@dataclass(frozen=True, slots=True, eq=False)  # each is a tree of its own, as a folder that is opened again is
class Memory:
    """Contents by path; folders are those above the files."""

    contents: Mapping[str, bytes]

    def _below(self, path: str) -> list[list[str]]:
        inside = path.strip("/") + "/" if path.strip("/") else ""
        found = [name[len(inside) :].split("/") for name in self.contents if name.startswith(inside)]
        if inside and not found:
            raise SourceError(f"cannot list {path!r}: expected a folder, found none")
        return found

    def folders(self, path: str = "") -> list[str]:
        return sorted({parts[0] for parts in self._below(path) if len(parts) > 1})

    def files(self, path: str = "") -> list[str]:
        return sorted({parts[0] for parts in self._below(path) if len(parts) == 1})

    def read(self, path: str) -> bytes:
        if path not in self.contents:
            raise BadRecord(path, "expected a file, found none")
        return self.contents[path]

    def size(self, path: str) -> int:
        return len(self.read(path))

    def head(self, path: str, size: int) -> bytes:
        return self.read(path)[:size]

    def pread(self, path: str, offset: int, size: int) -> bytes:
        return self.read(path)[offset : offset + size]
