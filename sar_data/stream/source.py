"""One split of one sealed build, opened for gathering."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from sar_data.errors import BuildError, UsageError, unknown
from sar_data.formats.container import Layout
from sar_data.sealed.files import Files, open_files
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import layout_of
from sar_data.stream import placement as opening
from sar_data.stream import targets
from sar_data.stream.kernels.copy import copy
from sar_data.stream.kernels.gather import Channels, gather
from sar_data.stream.kernels.memory import Memory, stored_bytes
from sar_data.stream.member import Member
from sar_data.stream.normalize import Normalizer
from sar_data.stream.rows import Rows, load
from sar_data.stream.storage.access import Access
from sar_data.stream.storage.store import Integers

SHARE = 0.5  # of the machine's memory: a smaller split is mapped
Floats = npt.NDArray[np.float32]


class Source:
    """The rows and the pixels of one split; with `verify` each image and mask is compared with its hash at first.

    `size` [sample, 2] are height and width; `plane` [frame, band] says where each band of the manifest lies in a
    stored image, as its container has them. Of a `member` of several builds
    keys and classes are those of all, and so is the `task`.
    """

    def __init__(
        self,
        build: str | Path,
        split: str,
        *,
        task: str | None = None,
        access: Access | None = None,
        member: Member | None = None,
    ) -> None:
        access = access or Access()
        self.files: Files = open_files(build, access.cache, access.cache_bytes)
        self.manifest = Manifest.load(self.files.folder)
        if split not in self.manifest.splits:
            raise unknown("split", split, self.manifest.splits)
        self._check_streams(str(build), split)
        self.build, self.split = str(build), split
        self.layout: Layout = layout_of(self.manifest)
        own = targets.task_of(self.manifest, task) if member is None else member.task
        self.task, self._member = own if member is None else member.joint, member
        columns = targets.columns(self.manifest, own) + opening.columns(self.manifest.container, self.layout)
        hashes = ["xxh3", "mask_xxh3"] if access.verify else []
        self.rows: Rows = load(self.files.path(INDEX_NAME), self.manifest, split, columns + hashes)
        self.targets = targets.of(own, self.rows, member)
        self.size = opening.sizes(self.layout, self.rows)
        self._order: Integers | None = None  # of masks that are not their own samples'
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
            mapped=access.io == "mmap" or (access.io == "auto" and fits),
        )
        self._unverified = np.full((2, len(self.rows)), bool(access.verify))  # images and masks
        self.plane = self.manifest.container.planes(self.layout)
        self._in_order = np.array_equal(self.plane.ravel(), np.arange(self.plane.size))

    def _check_streams(self, build: str, split: str) -> None:
        """Raise UsageError for a remote build of which a whole split would be fetched before the first batch."""
        if self.files.room is None or not self.manifest.container.spooled:
            return
        self.files.close()
        size = sum(shard.bytes for shard in self.manifest.splits[split].shards)
        raise UsageError(
            f"{build}: expected a container that is fetched shard by shard, found {self.manifest.format}, whose "
            f"{split} is one file of more than {size / 1e6:,.0f} MB. Zarr and WebDataset stream: "
            "`convert(format=zarr)` where the build lies, or copy it to this machine"
        )

    def __len__(self) -> int:
        return len(self.rows)

    def keys(self, rows: Integers) -> list[str]:
        """Return the keys of some rows, as batches have them."""
        keys = self.rows.keys(rows)
        return keys if self._member is None else [self._member.key(key) for key in keys]

    def gather(
        self, rows: Integers, places: Integers, how: Normalizer, out: Floats, frames: Integers | None = None
    ) -> None:
        """Put the image of rows[i] into out[places[i]], float32 [frame * channel, y, x]; stretching is left to do.

        All must be of the size of `out`. With `frames` it is frame frames[i] alone.
        """
        flat = out.reshape(*out.shape[:2], -1)
        parts = [(np.arange(len(rows)), self.plane)]
        if frames is not None:
            parts = [(np.flatnonzero(frames == frame), self.plane[[frame]]) for frame in np.unique(frames)]
        for own, plane in parts:
            channels = Channels(
                plane[:, how.first].ravel(),
                np.where(how.second < 0, -1, plane[:, how.second]).ravel(),
                np.tile(how.terms, (len(plane), 1)),
                how.blank,
                how.missing,
            )
            for memory, order in self._chunks(rows[own]):
                gather(memory, self.layout.dtype, self.plane.size, places[own[order]], channels, flat)

    def copy(self, rows: Integers, places: Integers, out: npt.NDArray[Any], frames: Integers | None = None) -> None:
        """Put the stored image of rows[i] into out[places[i]], of the stored type and order of planes.

        With `frames` it is frame frames[i] alone, [band, y, x] in the manifest's order. Raises BuildError where one
        place of `out` is not as large as that.
        """
        size, bands = self.layout.image_bytes(out.shape[-2:]), self.plane.shape[1]
        plane_size = size // self.plane.size
        self._check_room(rows, out, size if frames is None else bands * plane_size)
        for memory, order in self._chunks(rows):
            if frames is None:
                copy(memory, places[order], out)
                continue
            for band in range(bands):
                offset = memory.offset + self.plane[frames[order], band] * plane_size
                copy(memory._replace(offset=offset), places[order] * bands + band, out.reshape(-1, *out.shape[-2:]))

    def present(self, rows: Integers, how: Normalizer) -> npt.NDArray[np.bool_]:
        """Return bool [row, frame]: whether a frame has any value in the bands that are read."""
        present = np.ones((len(rows), len(self.plane)), bool)
        if len(self.plane) == 1:
            return present
        for memory, order in self._chunks(rows):
            for i, row in enumerate(order):
                height, width = self.size[rows[row]].tolist()
                image = stored_bytes(memory, i, self.layout.image_bytes((height, width)))
                planes = image.view(self.layout.dtype).reshape(self.plane.size, -1)
                for frame, bands in enumerate(self.plane[:, how.first]):
                    present[row, frame] = any(_has_value(planes[band], how.missing) for band in bands)
        return present

    def permute(self, order: Integers) -> None:
        """Give each sample the target of sample order[i]: nothing is left to be learnt.

        Raises UsageError for boxes, and for masks of several sizes.
        """
        if isinstance(self.targets, targets.Classes):
            self.targets.permute(order)
        elif self.targets is None and self._masks is not None and self.layout.shape is not None:
            self._order = order
        else:
            raise UsageError("control shuffled-labels: expected a task of classes, or masks of one size")

    def mask(self, rows: Integers, places: Integers, out: npt.NDArray[np.uint8]) -> None:
        """Put the mask of rows[i] into out[places[i]], uint8 [y, x]."""
        if self._masks is None:
            raise BuildError(f"{self.build}: this build has no masks")
        rows = rows if self._order is None else self._order[rows]
        self._check_room(rows, out, math.prod(out.shape[-2:]))
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        for part, memory in self._masks.chunks(ascending):
            own = ascending[part]
            for i in np.flatnonzero(self._unverified[1, own]):
                self._compare(int(own[i]), "mask_xxh3", [stored_bytes(memory, int(i), out[0].nbytes)])
            copy(memory, places[order[part]], out)
        if self._member is not None:
            out[places] = self._member.table.astype(np.uint8)[out[places]]

    def _check_room(self, rows: Integers, out: npt.NDArray[Any], expected: int) -> None:
        """Raise BuildError unless the images are of the height and width of `out`, each place of `expected` bytes."""
        size = out.nbytes // max(len(out), 1)
        if (self.size[rows] != out.shape[-2:]).any() or (len(out) and size != expected):
            raise BuildError(
                f"{self.build}: expected room for images of one size, {expected} bytes each, found {size} bytes for "
                f"{out.shape[-2]}×{out.shape[-1]} pixels"
            )

    def _chunks(self, rows: Integers) -> Iterator[tuple[Memory, Integers]]:
        """Yield where images are and their places in `rows`, in the order in which they lie in the shards."""
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        for part, memory in self._images.chunks(ascending):
            own = ascending[part]
            for i in np.flatnonzero(self._unverified[0, own]):
                height, width = self.size[own[i]].tolist()
                image = stored_bytes(memory, int(i), self.layout.image_bytes((height, width)))
                planes = image.reshape(self.plane.size, -1)  # hashed in the manifest's order
                self._compare(
                    int(own[i]), "xxh3", [image] if self._in_order else (planes[plane] for plane in self.plane.ravel())
                )
            yield memory, order[part]

    def _compare(self, row: int, column: str, parts: Iterable[npt.NDArray[np.uint8]]) -> None:
        """Raise BuildError unless the parts, one after the other, have the hash that the index has of a sample."""
        digest = xxhash.xxh3_128()
        for part in parts:
            digest.update(part.data)
        masks, expected = column == "mask_xxh3", self.rows.table[column][row].as_py()
        if digest.hexdigest() != expected:
            store = self._masks if masks and self._masks is not None else self._images
            path, key = self.files.path(store.name(row)), self.rows.key[row].as_py()
            raise BuildError(
                f"{path}: {key}: expected {column} {expected}, found {digest.hexdigest()}: the shard has changed since "
                "it was sealed. `verify(full=True)` lists all that is wrong."
            )
        self._unverified[int(masks), row] = False

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


def _has_value(plane: npt.NDArray[Any], missing: np.float32) -> bool:
    return bool((np.isfinite(plane) & (plane != missing)).any())
