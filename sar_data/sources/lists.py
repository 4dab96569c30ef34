"""Named lists (official splits, exclusions, mappings), found beside the data or in a folder of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sar_data.errors import BadRecord, SourceError
from sar_data.sources.tree import Folder, Tree

MOST_FOLDERS = 64  # a folder with more sub-folders than this holds samples, not lists


@dataclass(frozen=True, slots=True)
class FoundLists:
    """Looks in folders of trees, in order; each comes with the words that name it."""

    places: tuple[tuple[Tree, str, str], ...]

    @classmethod
    def beside(cls, source: Path, lists: Path | None, tree: Tree) -> FoundLists:
        """Return the lists of `lists` alone if given, else those at the root of the tree and in the folders below it.

        Where the source is an archive, they may also lie beside it or in a folder `lists` there.
        """
        if lists is not None:
            if not lists.is_dir():
                raise SourceError(f"--lists {lists}: expected a folder of list files, found none")
            return cls(((Folder.at(lists), "", str(lists)),))
        below = tree.folders()
        if len(below) > MOST_FOLDERS:
            below = ["lists"]
        places = [(tree, "", str(source)), *((tree, f"{name}/", str(source / name)) for name in sorted(below))]
        if not source.is_dir():
            beside: Tree = Folder.at(source.absolute().parent)
            places += [(beside, "", str(source.parent)), (beside, "lists/", str(source.parent / "lists"))]
        return cls(tuple(places))

    def find(self, name: str) -> bytes | None:
        for tree, folder, _ in self.places:
            try:
                tree.size(folder + name)
            except BadRecord:
                continue
            return tree.read(folder + name)
        return None

    def where(self) -> str:
        return ", ".join(words for _, _, words in self.places)
