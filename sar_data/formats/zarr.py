"""Zarr v3: a group a split, `image` (sample, [frame,] band, y, x) and `mask` (sample, y, x), one chunk a shard.

Version 2 has a root group and the keys as bytes beside those as text.

Uncompressed chunks are raw C-contiguous arrays, so they are written and read as plain files. zarr-python writes the
metadata and, with `compression=zstd`, the chunks (sharding codec, inner chunks of 16 samples).
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sar_data.errors import BuildError
from sar_data.formats import zarr_documents as documents
from sar_data.formats.container import Entry, Fault, Format, Grid, Layout, Place, Reader, Shard, What, Written
from sar_data.formats.raw import read_at
from sar_data.formats.zarr_keys import ATTRIBUTES, AXES, KEYS, LONGEST, utf8
from sar_data.formats.zarr_root import root_faults, write_root
from sar_data.formats.zarr_shards import INNER, Shards
from sar_data.record import IGNORE, Image, Mask
from sar_data.system.direct import publish_direct
from sar_data.system.durable import explain_errors, write

if TYPE_CHECKING:
    import xarray
    import zarr


def make(compression: str | None) -> Zarr:
    return Zarr(compression)


class Zarr(Format):
    name = "zarr"
    version = 2
    compressions = (None, "zstd")
    one_shape = True

    def __init__(self, compression: str | None) -> None:
        self.compression = compression
        self.multiple = INNER if compression else 1
        self.addressing = "position" if compression else "offset"

    def refuse(self, key: str) -> str | None:
        size = len(key.encode())
        return f"expected a key of at most {LONGEST} bytes, found {size}" if size > LONGEST else None

    def _array(self, store: Any, name: str, layout: Layout, slots: int, samples: int) -> zarr.Array[Any]:
        """Create `image` or `mask` in a store: metadata only."""
        import zarr
        from zarr.codecs import ZstdCodec

        image = name == "image"
        shape = layout.image_shape()
        shape = shape if image else shape[-2:]
        whole = (slots, *shape)
        return zarr.create_array(
            store,
            name=name,
            shape=(samples, *shape),
            chunks=(INNER, *shape) if self.compression else whole,
            shards=whole if self.compression else None,
            dtype=layout.dtype if image else "uint8",
            filters=None,
            compressors=ZstdCodec(level=3) if self.compression else None,
            fill_value=layout.fill if image else IGNORE,
            dimension_names=documents.axes(layout) if image else ("sample", "y", "x"),
            attributes=documents.image_attributes(layout) if image else documents.mask_attributes(layout),
        )

    def file(self, shard: Shard, layout: Layout) -> str:
        return f"{shard.split}/image/c/{shard.number}" + "/0" * len(layout.image_shape())

    def mask_file(self, shard: Shard, layout: Layout) -> str:
        return f"{shard.split}/mask/c/{shard.number}/0/0"

    def write(self, root: Path, layout: Layout, shard: Shard, entries: Iterable[Entry]) -> Written:
        empty = np.full(layout.image_shape(), layout.fill, layout.dtype)
        hidden = np.full(empty.shape[-2:], IGNORE, np.uint8)
        masks: list[Image] = []

        def images() -> Iterator[Image]:
            for entry in entries:
                masks.append(hidden if entry.mask is None else entry.mask)
                yield empty if entry.image is None else entry.image

        sums: dict[str, str] = {}
        name = self.file(shard, layout)
        size, sums[name] = self._chunk(root / name, "image", layout, shard, images(), empty)
        if layout.mask:
            name = self.mask_file(shard, layout)
            _, sums[name] = self._chunk(root / name, "mask", layout, shard, masks, hidden)
        if self.compression:
            return Written(size, [None] * shard.count, [None] * shard.count, sums)
        offsets, mask_offsets = ([i * array.nbytes for i in range(shard.count)] for array in (empty, hidden))
        return Written(size, list(offsets), list(mask_offsets) if layout.mask else [None] * shard.count, sums)

    def _chunk(
        self, path: Path, name: str, layout: Layout, shard: Shard, arrays: Iterable[Image], empty: Image
    ) -> tuple[int, str]:
        """Write the chunk of one shard, at full length; return its bytes and its sha256."""
        with explain_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        if self.compression:
            data = self._encode(name, layout, shard, np.stack(list(arrays)))
            Shards(shard.slots, empty.nbytes).check_packed(path, data)
            write(path, data)
            return len(data), hashlib.sha256(data).hexdigest()
        with publish_direct(path) as file:
            size = sum(file.write(array.data) for array in arrays)
            for _ in range(shard.slots - shard.count):
                size += file.write(empty.data)
        return size, file.sha256

    def _encode(self, name: str, layout: Layout, shard: Shard, arrays: Image) -> bytes:
        """Return the bytes of a shard as zarr encodes it, from an array of one shard in memory."""
        import zarr

        stored: dict[str, Any] = {}
        store = zarr.storage.MemoryStore(stored)
        with zarr.config.set({"array.write_empty_chunks": True}):
            self._array(store, name, layout, shard.slots, shard.count)[:] = arrays
        encoded: bytes = stored[f"{name}/c" + "/0" * arrays.ndim].to_bytes()
        return encoded

    def finish(self, build: Path, layout: Layout, split: str, slots: int, keys: Sequence[str | None]) -> None:
        import zarr

        folder = build / split
        names = ["image", "mask"] if layout.mask else ["image"]
        for unfinished in [folder / "zarr.json", *(folder / name / "zarr.json" for name in names)]:
            unfinished.unlink(missing_ok=True)
        group = zarr.create_group(folder, zarr_format=3, attributes=documents.group_attributes(layout))
        for name in names:
            self._array(zarr.storage.LocalStore(folder), name, layout, slots, len(keys))
        texts = [key or "" for key in keys]
        columns: dict[str, npt.NDArray[Any]] = {
            "band": np.array(layout.bands, object),
            "key": np.array(texts, object),
            "valid": np.array([key is not None for key in keys], np.bool_),
            KEYS: utf8(texts),
        }
        for name, values in columns.items():
            array = group.create_array(
                name,
                shape=values.shape,
                chunks=tuple(max(side, 1) for side in values.shape),
                dtype=str if values.dtype == object else values.dtype,
                dimension_names=("band",) if name == "band" else AXES[: values.ndim],
                attributes=ATTRIBUTES if name == KEYS else None,
                overwrite=True,
            )
            array[...] = values
        with warnings.catch_warnings():
            # zarr warns that v3 does not specify consolidation yet; without it, xarray warns.
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(folder)

    def finish_build(self, build: Path, splits: Sequence[str]) -> None:
        write_root(build, splits)

    def build_faults(self, build: Path, splits: Sequence[str]) -> list[Fault]:
        return list(root_faults(build, splits))

    def size(self, layout: Layout, shard: Shard, what: What) -> tuple[int, int | None]:
        exact = shard.slots * self._sample_bytes(layout, what)
        return (0, None) if self.compression else (exact, exact)

    def grid(self, layout: Layout, what: What) -> Grid:
        return Grid(step=self._sample_bytes(layout, what), slotted=True)

    def blocks(self, layout: Layout, slots: int, what: What) -> Shards:
        return Shards(slots, self._sample_bytes(layout, what))

    @staticmethod
    def _sample_bytes(layout: Layout, what: What) -> int:
        return layout.image_bytes() if what == "image" else math.prod(documents.shape_of(what, layout))

    def faults(self, build: Path, layout: Layout, split: str, slots: int, shards: int) -> list[Fault]:
        faults = list(documents.Split(build / split, layout, slots, shards, self.compression).faults())
        if self.compression and layout.mask:  # the manifest has no size of these files
            masks = Shards(slots, self._sample_bytes(layout, "mask"))
            for number in range(shards):
                path = documents.chunk(build / split, "mask", number, layout)
                try:
                    masks.check(path)
                except BuildError as error:
                    faults.append(Fault(str(path.relative_to(build)), "whole inner chunks", str(error)))
        return faults

    def open(self, build: Path, layout: Layout, slots: dict[str, int]) -> Reader:
        return _Compressed(build, layout, slots) if self.compression else _Raw(build, layout)

    def dataset(
        self, folder: Path, layout: Layout, slots: int, sizes: Sequence[int], keys: Mapping[int, str]
    ) -> xarray.Dataset:
        from sar_data.formats.zarr_dataset import open_split

        return open_split(documents.Split(folder, layout, slots, len(sizes), self.compression), sizes, keys)


class _Raw:
    """Reads samples of raw chunks by their offset."""

    def __init__(self, build: Path, layout: Layout) -> None:
        self._build, self._layout = build, layout

    def read(self, place: Place) -> Image:
        path = documents.chunk(self._build / place.split, "image", place.shard, self._layout)
        return read_at(path, place.offset, self._layout.image_shape(), self._layout.dtype)

    def mask(self, place: Place) -> Mask:
        path = documents.chunk(self._build / place.split, "mask", place.shard, self._layout)
        return read_at(path, place.mask_offset, self._layout.image_shape()[-2:], "uint8")

    def close(self) -> None:
        return None


class _Compressed:
    """Reads samples of zstd shards; keeps the last decoded inner chunk, because samples are mostly read in order."""

    def __init__(self, build: Path, layout: Layout, slots: dict[str, int]) -> None:
        self._build, self._layout, self._slots = build, layout, slots
        self._decoded: dict[str, tuple[Path, int, npt.NDArray[np.uint8]]] = {}

    def _read(self, name: str, place: Place) -> Image:
        shape, kind = (
            documents.shape_of(name, self._layout),
            np.dtype(self._layout.dtype if name == "image" else "uint8"),
        )
        path = documents.chunk(self._build / place.split, name, place.shard, self._layout)
        number, at = divmod(place.position, INNER)
        if name not in self._decoded or self._decoded[name][:2] != (path, number):
            shards = Shards(self._slots[place.split], math.prod(shape) * kind.itemsize)
            self._decoded[name] = path, number, shards.decode(path, number)
        image: Image = self._decoded[name][2].view(kind).reshape(INNER, *shape)[at].copy()
        return image

    def read(self, place: Place) -> Image:
        return self._read("image", place)

    def mask(self, place: Place) -> Mask:
        return self._read("mask", place)

    def close(self) -> None:
        self._decoded.clear()
