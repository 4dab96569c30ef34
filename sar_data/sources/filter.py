"""What a pipeline is shown of a source: nothing that file managers left there, and endings as they are usually spelled.

The one place that knows such names. A file is shown as `chip.tif` whether it is called chip.TIF or chip.tiff, and is
found by either name; where both lie in one folder, each is shown as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sar_data.errors import BadRecord, SourceError
from sar_data.sources.below import Below
from sar_data.sources.tree import is_litter
from sar_data.spec import Tree

T = TypeVar("T")
USUAL = {ending: ending for ending in ("tif", "jpg", "png", "npy", "xml", "json", "geojson", "txt", "csv", "parquet")}
USUAL |= {"tiff": "tif", "jpeg": "jpg"}
MOST_TOUCHED = 1 << 16  # paths; what is read beyond them is not remembered


def usual(name: str) -> str:
    """Return a file's name with its ending in the usual spelling; another ending stays as it is."""
    stem, dot, ending = name.rpartition(".")
    known = USUAL.get(ending) or USUAL.get(ending.lower())
    return f"{stem}{dot}{known}" if stem and known and known != ending else name


@dataclass(frozen=True, slots=True)
class Filtered:
    """A tree without litter. `odd` has the true path of each file that is shown by another, as far as it was looked at.

    `touched` has the paths that were read as a whole in this process, so that nobody calls them unread.
    """

    tree: Tree
    odd: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    touched: set[str] = field(default_factory=set, compare=False, repr=False)
    _listed: set[str] = field(default_factory=set, compare=False, repr=False)

    def __reduce__(self) -> tuple[type[Filtered], tuple[Tree]]:
        return type(self), (self.tree,)  # another process looks for itself

    def folders(self, path: str = "") -> list[str]:
        return [name for name in self.tree.folders(path) if not is_litter(name)]

    def files(self, path: str = "") -> list[str]:
        inside = f"{path.strip('/')}/" if path.strip("/") else ""
        names = [name for name in self.tree.files(path) if not is_litter(name)]
        odd = sorted(name for name in names if usual(name) != name)
        if not odd:
            return names
        taken, renamed = set(names), dict[str, str]()
        for name in odd:
            if (shown := usual(name)) not in taken:
                taken.add(shown)
                renamed[name] = shown
                self.odd[inside + shown] = inside + name
        return [renamed.get(name, name) for name in names]

    def size(self, path: str) -> int:
        return self._asked(self.tree.size, path)

    def read(self, path: str) -> bytes:
        if len(self.touched) < MOST_TOUCHED:
            self.touched.add(path)
        return self._asked(self.tree.read, path)

    def head(self, path: str, size: int) -> bytes:
        return self._asked(lambda true: self.tree.head(true, size), path)

    def pread(self, path: str, offset: int, size: int) -> bytes:
        return self._asked(lambda true: self.tree.pread(true, offset, size), path)

    def _asked(self, act: Callable[[str], T], path: str) -> T:
        try:
            return act(self.odd.get(path, path))
        except BadRecord:
            # Most files are called as expected; the folder is listed only where one is not.
            if path in self.odd or (other := self._another(path)) is None:
                raise
        return act(other)

    def _another(self, path: str) -> str | None:
        """Return the path of a file that differs in the spelling of its ending, None where there is none."""
        folder, slash, name = path.rpartition("/")
        if folder not in self._listed:
            self._listed.add(folder)
            try:
                self.files(folder)
            except SourceError:
                return None
        shown = folder + slash + usual(name)
        other = self.odd.get(shown, shown)
        return None if other == path else other


def true_path(tree: Tree, path: str) -> str:
    """Return the path by which the source itself knows a file of a tree that was looked at."""
    if isinstance(tree, Below):
        return true_path(tree.tree, tree.folder + path).removeprefix(tree.folder)
    return tree.odd.get(path, path) if isinstance(tree, Filtered) else path


def take_touched(tree: Tree) -> set[str]:
    """Return the true paths that were read as a whole in this process since the last time, and forget them."""
    if isinstance(tree, Below):
        above = take_touched(tree.tree)
        return {path.removeprefix(tree.folder) for path in above if path.startswith(tree.folder)}
    if not isinstance(tree, Filtered):
        return set()
    paths = {tree.odd.get(path, path) for path in tree.touched}
    tree.touched.clear()
    return paths
