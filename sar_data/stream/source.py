"""One split of one sealed build, opened for gathering."""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from sar_data.errors import BuildError, unknown
from sar_data.formats.container import Layout
from sar_data.formats.lmdb import value_header
from sar_data.formats.zarr import INNER
from sar_data.manifest import Manifest
from sar_data.sealed import INDEX_NAME, layout_of
from sar_data.stream import kernels, targets
from sar_data.stream.files import Files, open_files
from sar_data.stream.inner import Inner
from sar_data.stream.normalise import Normaliser
from sar_data.stream.rows import Rows, load
from sar_data.stream.store import Integers, Raw, Store
from sar_data.stream.values import Values

IO = ("auto", "mmap", "pread")
SHARE = 0.5  # of the machine's memory: a smaller split is mapped
Floats = npt.NDArray[np.float32]


class Source:
    """The rows and the pixels of one split. `verify` compares every image with its recorded hash when first read."""

    def __init__(
        self,
        build: str | Path,
        split: str,
        *,
        task: str | None = None,
        io: str = "auto",
        verify: bool = False,
        cache: Path | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        self.files: Files = open_files(build, cache, cache_bytes)
        self.manifest = Manifest.load(self.files.folder)
        if split not in self.manifest.splits:
            raise unknown("split", split, self.manifest.splits)
        if io not in IO:
            raise unknown("io", io, IO)
        self.build, self.split = str(build), split
        self.layout: Layout = layout_of(self.manifest)
        self.task = targets.task_of(self.manifest, task)
        columns = [*targets.columns(self.manifest, self.task), *(["xxh3"] if verify else [])]
        self.rows: Rows = load(self.files.path(INDEX_NAME), split, columns)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        # What is mapped stays on the disk although the cache has dropped it.
        room = math.inf if self.files.room is None else self.files.room
        fits = len(self.rows) * self.layout.image_bytes < min(SHARE * memory, room)
        self.store = self._stored(io == "mmap" or (io == "auto" and fits))
        self._unverified = np.full(len(self.rows), verify)
        bands = self.layout.bands
        planes = sorted(bands) if self.manifest.format == "lmdb" else list(bands)
        # Where each band of the manifest lies in a stored image: LMDB has them by name.
        self.plane = np.array([planes.index(band) for band in bands], np.int64)
        dtype = np.dtype(self.layout.dtype)
        self._like = np.empty(
            (len(bands), self.layout.shape[0] * self.layout.shape[1]), "u2" if dtype == np.float16 else dtype
        )

    def __len__(self) -> int:
        return len(self.rows)

    def _stored(self, mapped: bool) -> Store:
        document, size = self.manifest.splits[self.split], self.layout.image_bytes
        length = np.full(len(self.rows), size, np.int64)
        if self.manifest.format == "lmdb":
            head = value_header(self.layout)
            return Values(
                self.files, f"{self.split}/data.mdb", self.rows.key, lambda row: head, length,
                skip=np.zeros_like(length), size=length, mapped=mapped,
            )  # fmt: skip
        names = [shard.file for shard in document.shards]
        if self.manifest.compression:
            slots = document.shard_length
            return Inner(self.files, names, self.rows.shard, self.rows.position, slots=slots, inner=INNER, length=size)
        return Raw(self.files, names, self.rows.shard, self.rows.offset, length, mapped=mapped)

    def gather(self, rows: Integers, places: Integers, how: Normaliser, out: Floats) -> None:
        """Put the image of rows[i] into out[places[i]], float32 [channel, y, x]; stretching is left to do."""
        first = self.plane[how.first]
        second = np.where(how.second < 0, -1, self.plane[how.second])
        flat = out.reshape(*out.shape[:2], -1)
        fill = how.fill if how.stretch is None else np.float32(np.nan)
        for addresses, order in self._chunks(rows):
            to = places[order]
            kernels.normalise(self._like, addresses, to, first, second, how.terms, fill, how.missing, flat)

    def copy(self, rows: Integers, places: Integers, out: npt.NDArray[Any]) -> None:
        """Put the stored image of rows[i] into out[places[i]], of the stored type and order of bands."""
        size = self.layout.image_bytes
        for addresses, order in self._chunks(rows):
            kernels.copy(addresses, out.ctypes.data + places[order] * size, np.full(len(order), size, np.int64))

    def _chunks(self, rows: Integers) -> Iterator[tuple[Integers, Integers]]:
        """Yield addresses of images and their places in `rows`, in the order in which they lie in the shards."""
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        for part, addresses in self.store.chunks(ascending):
            new = np.flatnonzero(self._unverified[ascending[part]])
            for i in new:
                self._verify(int(ascending[part][i]), int(addresses[i]))
            yield addresses, order[part]

    def _verify(self, row: int, address: int) -> None:
        """Compare an image with its recorded hash, which is that of the bands in the manifest's order."""
        size = self.layout.image_bytes // len(self.plane)
        digest = xxhash.xxh3_128()
        for plane in self.plane:
            digest.update((ctypes.c_char * size).from_address(address + int(plane) * size))
        expected = self.rows.table["xxh3"][row].as_py()
        if digest.hexdigest() != expected:
            path, key = self.files.path(self.store.name(row)), self.rows.key[row].as_py()
            raise BuildError(
                f"{path}: {key}: expected xxh3 {expected}, found {digest.hexdigest()}: the shard has changed since it "
                "was sealed. `sar-data verify --full` lists all that is wrong."
            )
        self._unverified[row] = False

    def prefetch(self, rows: Integers) -> None:
        """Say which rows come next, in order."""
        _, first = np.unique(self.rows.shard[rows], return_index=True)
        self.files.prefetch(list(dict.fromkeys(self.store.name(int(row)) for row in rows[np.sort(first)])))

    def close(self) -> None:
        """Give back maps and files."""
        self.store.close()
        self.files.close()
