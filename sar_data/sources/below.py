"""One folder of a tree as a tree of its own."""

from __future__ import annotations

from dataclasses import dataclass

from sar_data.spec import Tree


@dataclass(frozen=True, slots=True)
class Below:
    """The tree below `folder`, a path that ends in "/"."""

    tree: Tree
    folder: str

    def folders(self, path: str = "") -> list[str]:
        return self.tree.folders(self.folder + path)

    def files(self, path: str = "") -> list[str]:
        return self.tree.files(self.folder + path)

    def size(self, path: str) -> int:
        return self.tree.size(self.folder + path)

    def read(self, path: str) -> bytes:
        return self.tree.read(self.folder + path)

    def head(self, path: str, size: int) -> bytes:
        return self.tree.head(self.folder + path, size)

    def pread(self, path: str, offset: int, size: int) -> bytes:
        return self.tree.pread(self.folder + path, offset, size)
