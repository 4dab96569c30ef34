"""A view of a tree: the same names and bytes."""

from __future__ import annotations

from dataclasses import dataclass

from sar_data.spec import Tree


@dataclass(frozen=True, slots=True, eq=False)  # equal only to itself, and may key a cache
class TreeView:
    """A tree that passes each question on to `tree`. Subclasses change, limit or record some of them."""

    tree: Tree

    def folders(self, path: str = "") -> list[str]:
        return self.tree.folders(path)

    def files(self, path: str = "") -> list[str]:
        return self.tree.files(path)

    def size(self, path: str) -> int:
        return self.tree.size(path)

    def read(self, path: str) -> bytes:
        return self.tree.read(path)

    def head(self, path: str, size: int) -> bytes:
        return self.tree.head(path, size)

    def pread(self, path: str, offset: int, size: int) -> bytes:
        return self.tree.pread(path, offset, size)
