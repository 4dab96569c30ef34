"""Named lists (official splits, exclusions, mappings), found beside the data or in a folder of their own."""

from __future__ import annotations

import bz2
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sar_data.errors import SourceError
from sar_data.spec import PACKED

MOST_BYTES = 256 << 20  # the longest list has 590,326 names, 60 MB
MOST_FOLDERS = 64  # a folder with more sub-folders than this holds samples, not lists


@dataclass(frozen=True, slots=True)
class FolderLists:
    """Looks in `folders`, in order."""

    folders: tuple[Path, ...]

    @classmethod
    def beside(cls, source: Path, lists: Path | None) -> FolderLists:
        """Return the lists of `lists` alone if given, else of the source folder and the folders directly below it."""
        if lists is not None:
            if not lists.is_dir():
                raise SourceError(f"--lists {lists}: expected a folder of list files, found none")
            return cls((lists,))
        with os.scandir(source) as entries:
            below = [entry.name for entry in islice(entries, MOST_FOLDERS + 1) if entry.is_dir()]
        if len(below) > MOST_FOLDERS:
            below = ["lists"]
        return cls((source, *(source / name for name in sorted(below))))

    def find(self, name: str) -> bytes | None:
        for folder in self.folders:
            if (folder / name).is_file():
                return (folder / name).read_bytes()
            if (packed := folder / (name + PACKED)).is_file():
                return _unpacked(packed)
        return None

    def where(self) -> str:
        return ", ".join(str(folder) for folder in self.folders)


def _unpacked(path: Path) -> bytes:
    reader = bz2.BZ2Decompressor()
    try:
        data = reader.decompress(path.read_bytes(), MOST_BYTES)
    except OSError as error:
        raise SourceError(f"{path}: expected a bzip2 file: {error}. Fetch it anew") from error
    if not reader.eof:
        raise SourceError(f"{path}: expected a whole list of at most {MOST_BYTES:,} bytes, found one cut or longer")
    return data
