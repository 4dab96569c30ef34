"""Named lists (official splits, exclusions, mappings), found beside the data or in a folder of their own."""

from __future__ import annotations

import bz2
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

from sar_data.errors import BadRecord, SourceError
from sar_data.sources.filter import Filtered
from sar_data.sources.placeholder import HEAD, detect_placeholder
from sar_data.sources.tree import Folder
from sar_data.spec import PACKED, Tree
from sar_data.system.store import Place, is_url

MAX_BYTES = 256 << 20  # the longest list has 590,326 names, 60 MB
MAX_DEPTH = 4  # folders below the root: that of an archive, and those in it
MAX_FOLDERS = 64  # a folder with more sub-folders than this holds samples, not lists


@dataclass(frozen=True, slots=True)
class ListFinder:
    """Looks in folders of trees, in order; each comes with the words that name it.

    Lists outside `places` are searched for in deeper folders of `below`, which costs listings.
    """

    places: tuple[tuple[Tree, str, str], ...]
    below: tuple[tuple[Tree, Place], ...] = ()

    @classmethod
    def beside(cls, source: Place, lists: Path | None, *trees: Tree) -> ListFinder:
        """Return the lists of `lists` alone if given, else those at the root of each tree and in folders below it.

        They may also lie in a folder `lists` beside the source; beside an archive, and in `lists` a folder above it.
        """
        if lists is not None:
            if not os.path.isdir(lists):
                raise SourceError(f"`lists={lists}`: expected a folder of list files that you may read, found none")
            return cls(((Filtered(Folder.at(lists)), "", str(lists)),))
        places = []
        for tree in dict.fromkeys(trees):
            names = sorted(tree.folders())
            folders = names if len(names) <= MAX_FOLDERS else ["lists"]
            places += [(tree, "", f"{source}"), *((tree, f"{name}/", f"{source}/{name}") for name in folders)]
        below = tuple((tree, source) for tree in dict.fromkeys(trees))
        if is_url(source):
            return cls(tuple(places), below)
        source = Path(source)
        parent = source.absolute().parent
        beside: Tree = Filtered(Folder.at(parent))
        places += [] if source.is_dir() else [(beside, "", str(source.parent))]
        places.append((beside, "lists/", str(source.parent / "lists")))
        if not source.is_dir():
            places.append((Filtered(Folder.at(parent.parent)), "lists/", str(source.parent.parent / "lists")))
        return cls(tuple(places), below)

    def find(self, name: str) -> bytes | None:
        for tree, folder, words in chain(self.places, self._deeper_folders()):
            for file, unpack in ((name, _plain), (name + PACKED, _unpack)):
                try:
                    tree.size(folder + file)
                except BadRecord:
                    continue
                data = tree.read(folder + file)
                if data and (other := detect_placeholder(data[:HEAD], len(data))):
                    raise SourceError(f"{words}/{file}: {other.reason}")
                return unpack(data, f"{words}/{file}")
        return None

    def _deeper_folders(self) -> Iterator[tuple[Tree, str, str]]:
        for tree, source in self.below:
            yield from ((tree, folder, f"{source}/{folder}".rstrip("/")) for folder in _folders(tree))

    def where(self) -> str:
        return ", ".join(dict.fromkeys(words for _, _, words in self.places))


@lru_cache(maxsize=4)
def _folders(tree: Tree) -> list[str]:
    """Return the folders below those at the root that may contain lists, the nearest first."""
    folders, level = [], [""]
    for depth in range(MAX_DEPTH):
        below = []
        for folder in level[:MAX_FOLDERS]:
            names = []
            with suppress(SourceError):  # the scan reports the error
                names = sorted(tree.folders(folder))
            below += [f"{folder}{name}/" for name in (names if len(names) <= MAX_FOLDERS else ["lists"])]
        folders += below if depth else []
        level = below
    return folders


def _plain(data: bytes, name: str) -> bytes:
    return data


def _unpack(data: bytes, name: str) -> bytes:
    """Return the list in a bzip2 file, of at most MAX_BYTES; raise SourceError with the file's name."""
    reader = bz2.BZ2Decompressor()
    try:
        unpacked = reader.decompress(data, MAX_BYTES)
    except OSError as error:
        raise SourceError(f"{name}: expected a bzip2 file: {error}. Fetch it again") from error
    if not reader.eof:
        raise SourceError(f"{name}: expected a whole list of at most {MAX_BYTES:,} bytes, found one cut or longer")
    return unpacked
