"""The view that pipelines get of a source: without litter of file managers, and with file suffixes in one spelling.

The one place that knows such names. A file is listed as `chip.tif` whether it is called chip.TIF or chip.tiff, and is
found by either name; where both are in one folder, each keeps its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sar_data.errors import BadRecord, SourceError
from sar_data.sources.subtree import Subtree
from sar_data.sources.tree import is_litter
from sar_data.spec import Tree

T = TypeVar("T")
SUFFIXES = {
    ending: ending for ending in ("tif", "jpg", "png", "npy", "xml", "json", "geojson", "txt", "csv", "parquet")
}
SUFFIXES |= {"tiff": "tif", "jpeg": "jpg"}
MAX_READ_PATHS = 1 << 16  # later paths are not recorded


def normalize_suffix(name: str) -> str:
    """Return a file name with its suffix in the usual spelling; other suffixes stay unchanged."""
    stem, dot, ending = name.rpartition(".")
    suffix = SUFFIXES.get(ending) or SUFFIXES.get(ending.lower())
    return f"{stem}{dot}{suffix}" if stem and suffix and suffix != ending else name


@dataclass(frozen=True, slots=True)
class Filtered:
    """A tree without litter. `renamed_paths` has the true path of each file listed under another, as far as listed.

    `read_paths` has the paths that were read completely in this process, so that they do not count as unread.
    """

    tree: Tree
    renamed_paths: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    read_paths: set[str] = field(default_factory=set, compare=False, repr=False)
    _listed: set[str] = field(default_factory=set, compare=False, repr=False)

    def __reduce__(self) -> tuple[type[Filtered], tuple[Tree]]:
        return type(self), (self.tree,)  # another process lists again

    def folders(self, path: str = "") -> list[str]:
        return [name for name in self.tree.folders(path) if not is_litter(name)]

    def files(self, path: str = "") -> list[str]:
        inside = f"{path.strip('/')}/" if path.strip("/") else ""
        names = [name for name in self.tree.files(path) if not is_litter(name)]
        odd = sorted(name for name in names if normalize_suffix(name) != name)
        if not odd:
            return names
        names_taken, renamed = set(names), dict[str, str]()
        for name in odd:
            if (shown := normalize_suffix(name)) not in names_taken:
                names_taken.add(shown)
                renamed[name] = shown
                self.renamed_paths[inside + shown] = inside + name
        return [renamed.get(name, name) for name in names]

    def size(self, path: str) -> int:
        return self._retry_renamed(self.tree.size, path)

    def read(self, path: str) -> bytes:
        if len(self.read_paths) < MAX_READ_PATHS:
            self.read_paths.add(path)
        return self._retry_renamed(self.tree.read, path)

    def head(self, path: str, size: int) -> bytes:
        return self._retry_renamed(lambda true: self.tree.head(true, size), path)

    def pread(self, path: str, offset: int, size: int) -> bytes:
        return self._retry_renamed(lambda true: self.tree.pread(true, offset, size), path)

    def _retry_renamed(self, act: Callable[[str], T], path: str) -> T:
        try:
            return act(self.renamed_paths.get(path, path))
        except BadRecord:
            # Most files have the expected name; the folder is listed only where one has not.
            if path in self.renamed_paths or (other := self._find_renamed(path)) is None:
                raise
        return act(other)

    def _find_renamed(self, path: str) -> str | None:
        """Return the path of a file whose suffix is spelled in another way, None where there is none."""
        folder, slash, name = path.rpartition("/")
        if folder not in self._listed:
            self._listed.add(folder)
            try:
                self.files(folder)
            except SourceError:
                return None
        shown = folder + slash + normalize_suffix(name)
        other = self.renamed_paths.get(shown, shown)
        return None if other == path else other


def true_path(tree: Tree, path: str) -> str:
    """Return the path of a file in the source itself."""
    if isinstance(tree, Subtree):
        return true_path(tree.tree, tree.folder + path).removeprefix(tree.folder)
    return tree.renamed_paths.get(path, path) if isinstance(tree, Filtered) else path


def pop_read_paths(tree: Tree) -> set[str]:
    """Return the true paths that were read completely in this process since the last call, and clear the record."""
    if isinstance(tree, Subtree):
        paths_above = pop_read_paths(tree.tree)
        return {path.removeprefix(tree.folder) for path in paths_above if path.startswith(tree.folder)}
    if not isinstance(tree, Filtered):
        return set()
    paths = {tree.renamed_paths.get(path, path) for path in tree.read_paths}
    tree.read_paths.clear()
    return paths
