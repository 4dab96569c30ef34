"""Named lists (official splits, exclusions, mappings), found beside the data or in a folder of their own."""

from __future__ import annotations

import bz2
from dataclasses import dataclass
from pathlib import Path

from sar_data.errors import BadRecord, SourceError
from sar_data.sources.filter import Filtered
from sar_data.sources.standin import HEAD, stand_in
from sar_data.sources.tree import Folder
from sar_data.spec import PACKED, Tree

MOST_BYTES = 256 << 20  # the longest list has 590,326 names, 60 MB
MOST_FOLDERS = 64  # a folder with more sub-folders than this holds samples, not lists


@dataclass(frozen=True, slots=True)
class FoundLists:
    """Looks in folders of trees, in order; each comes with the words that name it."""

    places: tuple[tuple[Tree, str, str], ...]

    @classmethod
    def beside(cls, source: Path, lists: Path | None, *trees: Tree) -> FoundLists:
        """Return the lists of `lists` alone if given, else those at the root of each tree and in the folders below it.

        They may also lie in a folder `lists` beside the source, and beside it where that is an archive.
        """
        if lists is not None:
            if not lists.is_dir():
                raise SourceError(f"`lists={lists}`: expected a folder of list files, found none")
            return cls(((Filtered(Folder.at(lists)), "", str(lists)),))
        places = []
        for tree in dict.fromkeys(trees):
            below = sorted(tree.folders())
            folders = below if len(below) <= MOST_FOLDERS else ["lists"]
            places += [(tree, "", str(source)), *((tree, f"{name}/", str(source / name)) for name in folders)]
        beside: Tree = Filtered(Folder.at(source.absolute().parent))
        places += [] if source.is_dir() else [(beside, "", str(source.parent))]
        places.append((beside, "lists/", str(source.parent / "lists")))
        return cls(tuple(places))

    def find(self, name: str) -> bytes | None:
        for tree, folder, words in self.places:
            for found, unpack in ((name, _plain), (name + PACKED, _unpacked)):
                try:
                    tree.size(folder + found)
                except BadRecord:
                    continue
                data = tree.read(folder + found)
                if data and (other := stand_in(data[:HEAD], len(data))):
                    raise SourceError(f"{words}/{found}: {other.reason}")
                return unpack(data, f"{words}/{found}")
        return None

    def where(self) -> str:
        return ", ".join(words for _, _, words in self.places)


def _plain(data: bytes, name: str) -> bytes:
    return data


def _unpacked(data: bytes, name: str) -> bytes:
    """Return the list in a bzip2 file, of at most MOST_BYTES; raise SourceError, naming the file."""
    reader = bz2.BZ2Decompressor()
    try:
        unpacked = reader.decompress(data, MOST_BYTES)
    except OSError as error:
        raise SourceError(f"{name}: expected a bzip2 file: {error}. Fetch it anew") from error
    if not reader.eof:
        raise SourceError(f"{name}: expected a whole list of at most {MOST_BYTES:,} bytes, found one cut or longer")
    return unpacked
