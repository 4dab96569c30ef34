"""A remote build: its files fetched as they are asked for, verified, and kept in a cache that several processes share.

The manifest has the sha256 of SHA256SUMS, which has that of every other file; the manifest's own is the name of the
build's folder in the cache. So nothing is used before it was verified, and a build that changed is another build. The
cache is not trusted either: a process hashes each file before its first use, and fetches a wrong one again.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from sar_data.errors import BuildError
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.manifest import NAME, Manifest
from sar_data.sealed.opened import SUMS_NAME
from sar_data.sealed.remote.cache import PATIENCE, Cache, Hold, Identity
from sar_data.sealed.remote.prefetch import Prefetch
from sar_data.sealed.sums import parse_build_sums
from sar_data.system.store import Store

DOCUMENTS = (NAME, SUMS_NAME, INDEX_NAME)  # held for as long as the build is open


class _Life:
    """What a process has of its own: connections, threads, the files that it holds in the cache, those it hashed."""

    def __init__(self, store: Store, sizes: Mapping[str, int], most: int, bring: Callable[[_Life, str], None]) -> None:
        self.pid = os.getpid()
        self.store = store
        self.prefetch = Prefetch(partial(bring, self), sizes, most)
        self.documents: dict[str, Hold] = {}
        self.asked: WeakKeyDictionary[threading.Thread, Hold] = WeakKeyDictionary()  # by each thread, last
        self.sound: dict[str, Identity] = {}
        self.turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def end(self) -> None:
        self.store.close()
        self.prefetch.close()
        self.documents.clear()
        self.asked.clear()


class Remote:
    """The build at `url`, with the sha256 of every file of it, and the bytes of its shards."""

    def __init__(self, url: str, cache: Cache, folder: Path, sums: dict[str, str], sizes: dict[str, int]) -> None:
        self.url, self.folder = url, folder
        self._cache, self._sums, self._sizes = cache, sums, sizes
        self._life: _Life | None = None
        self._birth = threading.Lock()

    @classmethod
    def open(cls, url: str, cache: Cache) -> Remote:
        """Fetch and verify the documents of the build at `url`; raises as `path` does, and MissingExtra."""
        url = url.rstrip("/")
        data = Store(url).read(NAME)
        manifest = Manifest.decode(data, f"{url}/{NAME}")
        digest = hashlib.sha256(data).hexdigest()
        sizes: Counter[str] = Counter()
        for split in manifest.splits.values():
            for shard in split.shards:
                sizes[shard.file] += shard.bytes
        remote = cls(url, cache, cache.root / digest, {NAME: digest, SUMS_NAME: manifest.sums}, dict(sizes))
        try:
            remote._sums |= parse_build_sums(remote.path(SUMS_NAME).read_bytes(), f"{url}/{SUMS_NAME}")
            remote._hold_documents(remote._here())
        except BaseException:
            remote.close()
            raise
        return remote

    @property
    def room(self) -> int:
        """The bytes of the whole cache."""
        return self._cache.limit

    @property
    def names(self) -> set[str]:
        """The files that SHA256SUMS lists."""
        return set(self._sums)

    def path(self, name: str) -> Path:
        """Return the local path of a file (see `Files.path`).

        Raises BuildError where the remote file is missing or wrong twice, RemoteError where there is no answer or no
        leave, UsageError where the cache is too small, TargetError where it cannot be written.
        """
        life = self._here()
        self._check(name)
        life.prefetch.note_request(name)
        life.asked.pop(threading.current_thread(), None)
        life.asked[threading.current_thread()] = self._hold(life, name, PATIENCE)
        return self.folder / name

    def hold(self, names: Sequence[str]) -> list[Hold]:
        """Fetch files, several at once; each stays where `path` says for as long as the result is kept."""
        life = self._here()
        for name in names:
            self._check(name)
        return life.store.each(lambda name: self._hold(life, name, PATIENCE), names)

    def keep(self, names: Sequence[str]) -> None:
        """Hold files for as long as this process has the build open."""
        for name, hold in zip(names, self.hold(names), strict=True):
            self._here().documents[name] = hold

    def contents(self) -> dict[str, int]:
        """Return the bytes of every file of the build that is there; a web server lists none, and is asked for each."""
        store = self._here().store
        if not self.url.startswith("http"):
            return store.sizes()
        names = sorted(self._sums)
        return {name: size for name, size in zip(names, store.each(store.size, names), strict=True) if size is not None}

    def prefetch(self, names: Sequence[str]) -> None:
        """Fetch these in the background, in this order, up to half of the cache ahead; errors wait for `path`."""
        self._here().prefetch.want([name for name in names if name in self._sums])

    def close(self) -> None:
        """Stop fetching and let go of every file; the next request begins again. Other processes go on."""
        life, self._life = self._life, None
        if life is not None and life.pid == os.getpid():
            life.end()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.url, self._cache, self.folder, self._sums, self._sizes)

    def _check(self, name: str) -> None:
        if name not in self._sums:
            raise BuildError(f"{self.url}: expected a file that {SUMS_NAME} lists, found {name!r} asked for")

    def _here(self) -> _Life:
        """Return this process's life, begun where there is none."""
        life = self._life
        if life is None or life.pid != os.getpid():
            with self._birth:
                life = self._life
                if life is None or life.pid != os.getpid():
                    life = _Life(Store(self.url), self._sizes, self._cache.limit // 2, self._bring)
                    self._hold_documents(life)
                    self._life = life
        return life

    def _hold_documents(self, life: _Life) -> None:
        for name in DOCUMENTS:
            if name in self._sums and name not in life.documents:
                life.documents[name] = self._hold(life, name, PATIENCE)

    def _hold(self, life: _Life, name: str, patience: float) -> Hold:
        """Hold a file in the cache, fetched where it is not there or not the right one."""
        while True:
            hold = self._cache.hold(self.folder / name)
            if hold is None:
                self._fetch(life, name, patience)
            elif self._sound(life, name, hold):
                return hold
            else:
                hold.drop(self.folder / name)

    def _sound(self, life: _Life, name: str, hold: Hold) -> bool:
        """Say whether a file of the cache is the right one: hashed once a process, and again where it was changed."""
        with life.turns[name]:
            identity = hold.identity
            if life.sound.get(name) != identity:
                if hold.sha256() != self._sums[name]:
                    return False
                life.sound[name] = identity
            return True

    def _bring(self, life: _Life, name: str) -> None:
        """Fetch a file that nobody has asked for yet, if the cache has room."""
        self._hold(life, name, 0)

    def _fetch(self, life: _Life, name: str, patience: float) -> None:
        """Bring a file into the cache, unless another thread or process does while this one waits."""
        target, expected = self.folder / name, self._sums[name]
        with self._cache.turn(target) as part:
            if part is None:
                return
            for _ in range(2):  # what came wrong once may have been cut short or be changing
                digest, length = life.store.copy(name, part, patience)
                if digest == expected:
                    life.sound[name] = part.keep(target)
                    return
        raise BuildError(
            f"{self.url}/{name}: expected sha256 {expected}, found {digest} in {length} bytes, twice. The remote file "
            "is damaged or another build's: copy it again from a build that `verify(full=True)` finds whole."
        )
