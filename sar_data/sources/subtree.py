"""Parts of a tree: one folder as a tree of its own, or a tree with a limited number of listings."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from sar_data.errors import SourceError
from sar_data.sources.view import TreeView
from sar_data.spec import Tree

MAX_LISTINGS = 4096  # of folders


@dataclass(frozen=True, slots=True)
class Subtree:
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


@dataclass(frozen=True, slots=True, eq=False)
class LimitedTree(TreeView):
    """A tree of which a limited number of folders can be listed; raises SourceError beyond that."""

    listed: count[int] = field(default_factory=count)

    def _count_listing(self) -> Tree:
        if next(self.listed) >= MAX_LISTINGS:
            raise SourceError(f"expected a dataset within {MAX_LISTINGS:,} folders, found more of them")
        return self.tree

    def folders(self, path: str = "") -> list[str]:
        return self._count_listing().folders(path)

    def files(self, path: str = "") -> list[str]:
        return self._count_listing().files(path)
