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
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import INDEX_NAME, layout_of
from sar_data.stream import targets
from sar_data.stream.kernels import gather as kernels
from sar_data.stream.normalize import Normalizer
from sar_data.stream.rows import Rows, load
from sar_data.stream.storage import placement as opening
from sar_data.stream.storage.files import Files, open_files
from sar_data.stream.storage.store import Integers

IO = ("auto", "mmap", "pread")
SHARE = 0.5  # of the machine's memory: a smaller split is mapped
Floats = npt.NDArray[np.float32]


class Source:
    """The rows and the pixels of one split. `verify` compares every image with its recorded hash when first read.

    `size` [sample, 2] are height and width; `plane` [frame, band] says where each band of the manifest lies in a
    stored image, which LMDB has sorted by name, with all frames of a band together.
    """

    def __init__(
        self,
        build: str | Path,
        split: str,
        *,
        task: str | None = None,
        io: str = "auto",
        verify: bool = False,
        cache: str | Path | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        if io not in IO:
            raise unknown("io", io, IO)
        self.files: Files = open_files(build, cache, cache_bytes)
        self.manifest = Manifest.load(self.files.folder)
        if split not in self.manifest.splits:
            raise unknown("split", split, self.manifest.splits)
        self.build, self.split = str(build), split
        self.layout: Layout = layout_of(self.manifest)
        self.task = targets.task_of(self.manifest, task)
        columns = targets.columns(self.manifest, self.task) + opening.columns(self.manifest, self.layout)
        self.rows: Rows = load(self.files.path(INDEX_NAME), split, columns + ["xxh3"] * verify)
        self.targets = targets.of(self.task, self.rows)
        self.size = opening.sizes(self.layout, self.rows)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        self.bytes = sum(shard.bytes for shard in self.manifest.splits[split].shards)
        # What is mapped stays on the disk although the cache may have dropped it.
        room = math.inf if self.files.room is None else self.files.room
        fits = self.bytes < min(SHARE * memory, room)
        self._images, self._masks = opening.stores(
            self.files,
            self.manifest,
            self.layout,
            split,
            self.rows,
            self.size,
            mapped=io == "mmap" or (io == "auto" and fits),
        )
        self._unverified = np.full(len(self.rows), verify)
        frames, bands = self.layout.frames, list(self.layout.bands)
        self.plane = np.arange(frames * len(bands)).reshape(frames, len(bands))
        if self.manifest.format == "lmdb":
            self.plane = np.array([sorted(bands).index(band) for band in bands]) * frames + np.arange(frames)[:, None]
        kind = np.dtype(self.layout.dtype)
        self._like = np.empty(0, "u2" if kind == np.float16 else kind)
        self._kernel = kernels.normalize_halves if kind == np.float16 else kernels.normalize

    def __len__(self) -> int:
        return len(self.rows)

    def gather(self, rows: Integers, places: Integers, how: Normalizer, out: Floats) -> None:
        """Put the image of rows[i] into out[places[i]], float32 [frame * channel, y, x]; stretching is left to do.

        All must be of the size of `out`.
        """
        first = self.plane[:, how.first].ravel()
        second = np.where(how.second < 0, -1, self.plane[:, how.second]).ravel()
        terms = np.tile(how.terms, (len(self.plane), 1))
        flat = out.reshape(*out.shape[:2], -1)
        fill = how.fill if how.stretch is None else np.float32(np.nan)
        for addresses, order in self._chunks(rows):
            self._kernel(
                self._like, self.plane.size, addresses, places[order], first, second, terms, fill, how.missing, flat
            )

    def copy(self, rows: Integers, places: Integers, out: npt.NDArray[Any]) -> None:
        """Put the stored image of rows[i] into out[places[i]], of the stored type and order of planes."""
        size = out[0].nbytes
        for addresses, order in self._chunks(rows):
            kernels.copy(addresses, out.ctypes.data + places[order] * size, np.full(len(order), size, np.int64))

    def mask(self, rows: Integers, places: Integers, out: npt.NDArray[np.uint8]) -> None:
        """Put the mask of rows[i] into out[places[i]], uint8 [y, x]."""
        if self._masks is None:
            raise BuildError(f"{self.build}: this build has no masks")
        size = out[0].nbytes
        order = np.argsort(rows, kind="stable")
        for part, addresses in self._masks.chunks(rows[order]):
            to = out.ctypes.data + places[order[part]] * size
            kernels.copy(addresses, to, np.full(len(to), size, np.int64))

    def _chunks(self, rows: Integers) -> Iterator[tuple[Integers, Integers]]:
        """Yield addresses of images and their places in `rows`, in the order in which they lie in the shards."""
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        for part, addresses in self._images.chunks(ascending):
            for i in np.flatnonzero(self._unverified[ascending[part]]):
                self._verify(int(ascending[part][i]), int(addresses[i]))
            yield addresses, order[part]

    def _verify(self, row: int, address: int) -> None:
        """Compare an image with its recorded hash, which is that of the planes in the manifest's order."""
        size = int(self.size[row].prod()) * self._like.itemsize
        digest = xxhash.xxh3_128()
        for plane in self.plane.ravel():
            digest.update((ctypes.c_char * size).from_address(address + int(plane) * size))
        expected = self.rows.table["xxh3"][row].as_py()
        if digest.hexdigest() != expected:
            path, key = self.files.path(self._images.name(row)), self.rows.key[row].as_py()
            raise BuildError(
                f"{path}: {key}: expected xxh3 {expected}, found {digest.hexdigest()}: the shard has changed since it "
                "was sealed. `verify(full=True)` lists all that is wrong."
            )
        self._unverified[row] = False

    def prefetch(self, rows: Integers) -> None:
        """Say which rows come next, in order."""
        _, first = np.unique(self.rows.shard[rows], return_index=True)
        stores = [self._images] if self._masks is None else [self._images, self._masks]
        names = [store.name(int(row)) for row in rows[np.sort(first)] for store in stores]
        self.files.prefetch(list(dict.fromkeys(names)))

    def close(self) -> None:
        """Give back maps and files."""
        self._images.close()
        if self._masks is not None:
            self._masks.close()
        self.files.close()
