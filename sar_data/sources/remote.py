"""A folder in an object store as a read-only tree: what is asked for is fetched, several files at once where many are.

Listings and sizes come from the store, a folder at a time. A file that is missing is a BadRecord, as on a disk; a store
that does not answer, or refuses, stops the build with a RemoteError, since that is no fault of a record.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from sar_data.errors import BadRecord, SourceError
from sar_data.sources.tree import is_litter
from sar_data.sources.view import TreeView
from sar_data.spec import Tree
from sar_data.system.paths import flaw
from sar_data.system.store import Store

GROUP = 64  # files that are fetched together, and wait to be read: two groups are in memory
LISTINGS = 1024  # of folders, that a process remembers


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """The tree below the URL of a folder; opened again it is another tree, so that cached tables are not reused."""

    url: str
    opening: int = field(default_factory=lambda: secrets.randbits(64))

    @classmethod
    def at(cls, url: str) -> RemoteFolder:
        """Return the tree below `url`; raise SourceError where nothing is there, RemoteError without an answer."""
        tree = cls(url.rstrip("/"))
        if not _list(tree.url, tree.opening, ""):
            raise SourceError(f"source {url}: expected a folder with files, found nothing")
        return tree

    def folders(self, path: str = "") -> list[str]:
        return [name for name, size in self._entries(path).items() if size is None]

    def files(self, path: str = "") -> list[str]:
        return [name for name, size in self._entries(path).items() if size is not None]

    def _entries(self, path: str) -> dict[str, int | None]:
        return _list(self.url, self.opening, path.strip("/"))

    def size(self, path: str) -> int:
        above, _, name = path.rpartition("/")
        size = None if flaw(path) else self._entries(above).get(name)
        if size is None:
            raise BadRecord(path, "expected a file, found none")
        return size if size >= 0 else _store(self.url).size(path) or 0

    def read(self, path: str) -> bytes:
        return self._bytes(path, 0, None)

    def head(self, path: str, size: int) -> bytes:
        return self._bytes(path, 0, size)

    def pread(self, path: str, offset: int, size: int) -> bytes:
        return self._bytes(path, offset, size)

    def _bytes(self, path: str, offset: int, size: int | None) -> bytes:
        data = None if flaw(path) else _store(self.url).fetch(path, offset, size)
        if data is None:
            raise BadRecord(path, "expected a file, found none")
        return data

    def read_many(self, paths: Sequence[str]) -> list[bytes | None]:
        """Return the bytes of files, fetched at once; None for one that is missing."""
        return _store(self.url).fetch_many(paths)


@dataclass(frozen=True, slots=True, eq=False)
class Ahead(TreeView):
    """A tree whose files will be read in the order of `paths`: groups of them are fetched while others are read."""

    store: RemoteFolder
    groups: list[Sequence[str]]
    pool: ThreadPoolExecutor
    coming: list[Future[dict[str, bytes | None]]] = field(default_factory=list)
    here: dict[str, bytes | None] = field(default_factory=dict)

    def read(self, path: str) -> bytes:
        while path not in self.here and self.coming:
            self.here.update(self.coming.pop(0).result())
            self.begin()
        data = self.here.pop(path, None)
        return self.tree.read(path) if data is None else data  # which says what is wrong with it

    def begin(self) -> None:
        """Fetch the next group, unless one is on its way."""
        if self.groups and not self.coming:
            self.coming.append(self.pool.submit(self._fetch, self.groups.pop(0)))

    def _fetch(self, paths: Sequence[str]) -> dict[str, bytes | None]:
        return dict(zip(paths, self.store.read_many(paths), strict=True))


def store_of(tree: Tree) -> RemoteFolder | None:
    """Return the folder in a store that a tree is a view of, of all of it; None for other trees."""
    while isinstance(tree, TreeView):
        tree = tree.tree
    return tree if isinstance(tree, RemoteFolder) else None


@contextmanager
def reading_ahead(tree: Tree, paths: Sequence[str]) -> Iterator[Tree]:
    """Give the tree whose files will be read in this order: those of a store are fetched before they are asked for."""
    store = store_of(tree)
    if store is None:
        yield tree
        return
    groups: list[Sequence[str]] = [paths[start : start + GROUP] for start in range(0, len(paths), GROUP)]
    with ThreadPoolExecutor(1) as pool:
        ahead = Ahead(tree, store, groups, pool)
        ahead.begin()
        try:
            yield ahead
        finally:
            ahead.groups.clear()


@lru_cache(maxsize=8)
def _store(url: str) -> Store:
    return Store(url)


@lru_cache(maxsize=LISTINGS)
def _list(url: str, opening: int, path: str) -> dict[str, int | None]:  # noqa: ARG001 (a part of the cache's key)
    """Return the entries of a folder: the size of each file, -1 where it is not known, None for a folder."""
    return {name: size for name, size in _store(url).entries(path).items() if not is_litter(name)}
