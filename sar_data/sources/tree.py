"""A read-only tree of named files: the view that every pipeline has of its source."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import xxhash

from sar_data.errors import BadRecord, SourceError
from sar_data.naming import few
from sar_data.record import SourceFile
from sar_data.sources.view import TreeView
from sar_data.spec import Tree
from sar_data.system.regular import read_range

LITTER = frozenset(
    {"__macosx", ".ds_store", ".appledouble", ".spotlight-v100", ".fseventsd", ".trashes", "thumbs.db", "desktop.ini"}
    | {"$recycle.bin", "system volume information", "lost+found", "@eadir"}
    | {".git", ".dvc", ".cache", ".ipynb_checkpoints"}
)
"""Names, in lower case, that are part of no dataset, as are names that begin with "._"."""
ANNEX = "annex/objects"
NOT_A_FILE = "expected a file, found a folder, a pipe or a device"
MAX_LINKS = 2  # to folders, on the way to a file: links to links could make endlessly many folders


@dataclass(frozen=True, slots=True)
class Folder:
    """A tree on a local file system; opened again it is another tree, so that cached tables of it are not reused."""

    root: str
    opening: int = field(default_factory=lambda: secrets.randbits(64))

    @classmethod
    def at(cls, path: Path) -> Folder:
        """Return the tree below `path`; raise SourceError unless it is a folder."""
        if not path.is_dir():
            kind = "a file" if path.exists() else "nothing"
            raise SourceError(f"source {path}: expected a folder, found {kind}")
        return cls(str(path.absolute()))

    def _entries(self, path: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(self._below(path)) as entries:
                yield from entries
        except OSError as error:
            raise SourceError(f"cannot list {path!r} in {self.root}: {error.strerror}") from error

    def _below(self, path: str) -> str:
        if ".." in path and ".." in path.split("/"):  # label files contain names of images, which may be anything
            raise FileNotFoundError(errno.ENOENT, "expected a path below the source, found one that leads out of it")
        if "\0" in path or not (path.isascii() or _is_encodable(path)):
            raise FileNotFoundError(errno.ENOENT, "expected a name that a file can have, found one that none can")
        return f"{self.root}/{path}"

    def folders(self, path: str = "") -> list[str]:
        return [entry.name for entry in self._entries(path) if self._is_folder(entry, path)]

    def files(self, path: str = "") -> list[str]:
        # Anything but a folder is a file, so that nothing is lost: a broken link fails when it is read.
        return [entry.name for entry in self._entries(path) if not self._is_folder(entry, path)]

    def _is_folder(self, entry: os.DirEntry[str], path: str) -> bool:
        """Say whether an entry of the folder `path` is a folder; links that make endlessly many folders are not."""
        try:
            if not entry.is_dir():
                return False
        except OSError:  # a link to itself
            return False
        if not entry.is_symlink():
            return True
        parts = [part for part in path.split("/") if part]
        above = [self.root, *(f"{self.root}/{'/'.join(parts[: i + 1])}" for i in range(len(parts)))]
        if sum(map(os.path.islink, above[1:])) >= MAX_LINKS:
            return False
        target = os.path.realpath(entry.path)
        return not any(os.path.commonpath([target, parent]) == target for parent in map(os.path.realpath, above))

    def size(self, path: str) -> int:
        try:
            facts = os.stat(self._below(path))
        except OSError as error:
            raise BadRecord(path, self._reason(path, error)) from error
        if not stat.S_ISREG(facts.st_mode):
            raise BadRecord(path, NOT_A_FILE)
        return facts.st_size

    def read(self, path: str) -> bytes:
        return self._bytes(path, 0, None)

    def head(self, path: str, size: int) -> bytes:
        return self._bytes(path, 0, size)

    def pread(self, path: str, offset: int, size: int) -> bytes:
        return self._bytes(path, offset, size)

    def _bytes(self, path: str, offset: int, size: int | None) -> bytes:
        try:
            # Plain descriptors: io.open costs as much as reading a 58 kB patch. O_NONBLOCK: a pipe would block.
            descriptor = os.open(self._below(path), os.O_RDONLY | os.O_NONBLOCK)
            try:
                facts = os.fstat(descriptor)
                if not stat.S_ISREG(facts.st_mode):
                    raise BadRecord(path, NOT_A_FILE)
                size = facts.st_size if size is None else size
                return read_range(descriptor, offset, size)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise BadRecord(path, self._reason(path, error)) from error
        except MemoryError as error:  # a file with holes may have any length
            raise BadRecord(path, f"expected a file that the memory holds, found {size} bytes") from error

    def _reason(self, path: str, error: OSError) -> str:
        """Return why a file cannot be read; for a broken link with its target."""
        if error.errno != errno.ENOENT or str(error.strerror).startswith("expected"):
            return str(error.strerror)
        try:
            leads = os.readlink(f"{self.root}/{path}")
        except OSError:
            return "expected a file, found none"
        remedy = "Run `git annex get .` in the source" if ANNEX in leads else "Fetch what it should lead to"
        return f"expected a file, found a link to {leads[:200]!r}, where there is none. {remedy}"


def is_litter(name: str) -> bool:
    """Say whether a name is one that file managers, servers or version control leave beside data."""
    return name.startswith("._") or name.casefold() in LITTER


def _is_encodable(path: str) -> bool:
    """Say whether a path can be passed to the system."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True, eq=False)
class RecordingTree(TreeView):
    """A tree that records the xxh3_128 of every file read through it, in `seen`, and its size, in `sizes`.

    `parts` has the files that were read in part, such as a scene cut into tiles.
    """

    seen: dict[str, str]
    sizes: dict[str, int] = field(default_factory=dict)
    parts: set[str] = field(default_factory=set)

    def read(self, path: str) -> bytes:
        data = self.tree.read(path)
        self.seen[path] = xxhash.xxh3_128_hexdigest(data)
        self.sizes[path] = len(data)
        return data

    def pread(self, path: str, offset: int, size: int) -> bytes:
        self.parts.add(path)
        return self.tree.pread(path, offset, size)


def read_with_digest(tree: Tree, path: str) -> tuple[SourceFile, bytes]:
    """Return a file with its digest, and its bytes: a file of the scan must be the same when the record is read."""
    data = tree.read(path)
    return SourceFile(path, len(data), xxhash.xxh3_128_hexdigest(data)), data


@lru_cache(maxsize=64)
def find_parent(tree: Tree, name: str, path: str = "", below: int = 2) -> str | None:
    """Return the folder, ending in "/" unless it is the root, that contains a file or folder `name`.

    It is searched for at the root and up to `below` levels deeper: archives are unpacked with and without a folder.
    """
    folders = tree.folders(path)
    if name in folders or name in tree.files(path):
        return path
    below_homes = (find_parent(tree, name, f"{path}{folder}/", below - 1) for folder in sorted(folders) if below)
    homes = [home for home in below_homes if home is not None]
    if len(homes) > 1:
        raise SourceError(f"expected one folder with {name}, found it in {few(homes)}: name one as the source")
    return homes[0] if homes else None
