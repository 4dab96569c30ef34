"""Zarr v3: a group a split, `image` (sample, band, y, x), one chunk a shard.

Uncompressed chunks are raw C-contiguous arrays, so they are written and read as plain files; zarr-python writes
the metadata, and the chunks too where zstd was asked for (the sharding codec, inner chunks of 16 samples).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sar_data.durable import explained, publish, write
from sar_data.errors import BuildError
from sar_data.formats.container import Entry, Layout, Place, Reader, Written
from sar_data.formats.raw import read_at
from sar_data.plan import Shard
from sar_data.record import Image

if TYPE_CHECKING:
    import zarr

INNER = 16
DIMENSIONS = ("sample", "band", "y", "x")


def make(compression: str | None) -> Zarr:
    return Zarr(compression)


def _fill(layout: Layout) -> float | int:
    return layout.missing if layout.missing is not None else float("nan") if "float" in layout.dtype else 0


def _attributes(layout: Layout) -> dict[str, Any]:
    """Return CF attributes: units, and the packing convention for scaled integers."""
    cf: dict[str, Any] = {"units": layout.unit, "long_name": "; ".join(layout.descriptions)}
    if layout.scale is not None:
        cf |= {"scale_factor": 1 / layout.scale, "add_offset": 0.0, "_FillValue": int(layout.missing or 0)}
    return cf


class Zarr:
    name = "zarr"
    version = 1
    spooled = False

    def __init__(self, compression: str | None) -> None:
        self.compression = compression
        self.multiple = INNER if compression else 1

    def refuse(self, key: str) -> str | None:
        return None

    def start(self, build: Path, split: str) -> None:
        with explained(build / split):
            (build / split).mkdir(parents=True, exist_ok=True)  # chunks need no metadata: `finish` writes it

    def _image(self, store: Any, name: str, layout: Layout, slots: int, samples: int) -> zarr.Array[Any]:
        import zarr
        from zarr.codecs import ZstdCodec

        whole = (slots, len(layout.bands), *layout.shape)
        return zarr.create_array(
            store,
            name=name,
            shape=(samples, *whole[1:]),
            chunks=(INNER, *whole[1:]) if self.compression else whole,
            shards=whole if self.compression else None,
            dtype=layout.dtype,
            filters=None,
            compressors=ZstdCodec(level=3) if self.compression else None,
            fill_value=_fill(layout),
            dimension_names=DIMENSIONS,
            attributes=_attributes(layout),
        )

    def file(self, shard: Shard) -> str:
        return f"{shard.split}/image/c/{shard.number}/0/0/0"

    def write(self, root: Path, layout: Layout, shard: Shard, entries: Iterable[Entry]) -> Written:
        path = root / self.file(shard)
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        empty = np.full((len(layout.bands), *layout.shape), _fill(layout), layout.dtype)
        images = (empty if entry.image is None else entry.image for entry in entries)
        if self.compression:
            data = self._encode(layout, shard, np.stack(list(images)))
            write(path, data)
            return Written(len(data), [None] * shard.count)
        with publish(path) as file:
            size = sum(file.write(image.data) for image in images)
            for _ in range(shard.slots - shard.count):  # zarr stores the last chunk at full length
                size += file.write(empty.data)
        return Written(size, [i * empty.nbytes for i in range(shard.count)])

    def _encode(self, layout: Layout, shard: Shard, images: Image) -> bytes:
        """Return the bytes zarr itself gives a shard, by way of a one-shard array in memory."""
        import zarr

        stored: dict[str, Any] = {}
        store = zarr.storage.MemoryStore(stored)
        with zarr.config.set({"array.write_empty_chunks": True}):
            self._image(store, "image", layout, shard.slots, shard.count)[:] = images
        encoded: bytes = stored["image/c/0/0/0/0"].to_bytes()
        return encoded

    def commit(self, build: Path, layout: Layout, shard: Shard, keys: Sequence[str | None], spool: Path) -> None:
        return None  # written in place

    def finish(self, build: Path, layout: Layout, split: str, slots: int, keys: Sequence[str | None]) -> None:
        import zarr

        folder = build / split
        for unfinished in [folder / "zarr.json", folder / "image" / "zarr.json"]:
            unfinished.unlink(missing_ok=True)
        attributes = {"Conventions": "CF-1.11", "title": layout.title}
        group = zarr.create_group(folder, zarr_format=3, attributes=attributes)
        self._image(zarr.storage.LocalStore(folder), "image", layout, slots, len(keys))
        columns: dict[str, tuple[str, type, list[Any]]] = {
            "band": ("band", str, list(layout.bands)),
            "key": ("sample", str, [key or "" for key in keys]),
            "valid": ("sample", bool, [key is not None for key in keys]),
        }
        for name, (dimension, kind, values) in columns.items():
            array = group.create_array(
                name,
                shape=(len(values),),
                chunks=(max(len(values), 1),),
                dtype=kind,
                dimension_names=(dimension,),
                overwrite=True,
            )
            array[:] = np.array(values, dtype=object if kind is str else kind)
        with warnings.catch_warnings():
            # zarr warns that v3 does not specify consolidation yet; xarray warns where it is missing.
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(folder)

    def open(self, build: Path, layout: Layout, slots: dict[str, int]) -> Reader:
        return _Compressed(build, slots) if self.compression else _Raw(build, layout)


class _Raw:
    """Reads samples of raw chunks by their offset."""

    def __init__(self, build: Path, layout: Layout) -> None:
        self._build, self._layout = build, layout

    def read(self, place: Place) -> Image:
        path = self._build / place.split / "image/c" / str(place.shard) / "0/0/0"
        return read_at(path, place.offset or 0, self._layout)

    def close(self) -> None:
        return None


class _Compressed:
    """Reads samples of zstd shards through zarr-python."""

    def __init__(self, build: Path, slots: dict[str, int]) -> None:
        self._build, self._slots = build, slots
        self._arrays: dict[str, Any] = {}

    def read(self, place: Place) -> Image:
        import zarr

        try:
            if place.split not in self._arrays:
                self._arrays[place.split] = zarr.open_array(self._build / place.split / "image", mode="r")
            image: Image = self._arrays[place.split][place.shard * self._slots[place.split] + place.position]
        except (OSError, ValueError, RuntimeError, IndexError) as error:
            raise BuildError(f"{self._build}/{place.split}: shard {place.shard} does not decode: {error}") from error
        return np.ascontiguousarray(image)

    def close(self) -> None:
        self._arrays.clear()
