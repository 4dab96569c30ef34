"""From a manifest and an index to where the bytes of images and masks are, container by container."""

from __future__ import annotations

import math

import numpy as np

from sar_data.formats.container import Layout
from sar_data.formats.lmdb import value_header
from sar_data.formats.zarr_shards import Shards
from sar_data.sealed.manifest import Manifest
from sar_data.stream.rows import Rows
from sar_data.stream.storage.files import Files
from sar_data.stream.storage.lmdb_values import Values
from sar_data.stream.storage.store import Integers, Raw, Store
from sar_data.stream.storage.zarr_chunks import Inner


def sizes(layout: Layout, rows: Rows) -> Integers:
    """Return int64 [sample, 2]: height and width of every stored image."""
    if layout.shape:
        return np.broadcast_to(np.array(layout.shape, np.int64), (len(rows), 2))
    return np.stack([rows.integers("height"), rows.integers("width")], axis=1)


def columns(manifest: Manifest, layout: Layout) -> list[str]:
    """Return the columns of the index that say where the bytes of samples are; LMDB finds them by key."""
    found = [] if layout.shape else ["height", "width"]
    if manifest.format == "lmdb":
        return found
    if manifest.compression:
        return [*found, "position"]
    return [*found, "offset", *["mask_offset"] * layout.mask]


def stores(
    files: Files, manifest: Manifest, layout: Layout, split: str, rows: Rows, size: Integers, *, mapped: bool
) -> tuple[Store, Store | None]:
    """Return where the images of a split are, and its masks where it has any."""
    document = manifest.splits[split]
    pixels = _all(len(rows), math.prod(layout.shape)) if layout.shape else size[:, 0] * size[:, 1]
    images = _all(len(rows), layout.image_bytes()) if layout.shape else pixels * layout.image_bytes((1, 1))
    lengths = {"image": images, **({"mask": pixels} if layout.mask else {})}
    found: dict[str, Store] = {}
    for what, length in lengths.items():
        # A mask's file is named like the image's, but has fewer axes.
        names, sizes = [shard.file for shard in document.shards], [shard.bytes for shard in document.shards]
        if manifest.format == "zarr" and what == "mask":
            names = [f"{split}/mask/c/{number}/0/0" for number in range(len(names))]
            sizes = [document.shard_length * math.prod(layout.image_shape()[-2:])] * len(names)
        if manifest.format == "lmdb":
            found[what] = Values(
                files,
                f"{split}/data.mdb",
                rows.key,
                lambda row: value_header(layout, (int(size[row, 0]), int(size[row, 1]))),
                length,
                skip=images * (what == "mask"),
                size=images + pixels * layout.mask,
                mapped=mapped,
            )
        elif manifest.compression:
            shards = Shards(document.shard_length, int(length[0]) if len(length) else 0)
            found[what] = Inner(files, names, shards, rows.shard, rows.integers("position"))
        else:
            offset = rows.integers("offset" if what == "image" else "mask_offset")
            found[what] = Raw(files, names, sizes, rows.shard, offset, length, mapped=mapped)
    return found["image"], found.get("mask")


def _all(count: int, number: int) -> Integers:
    """Return a number for each of `count` samples, without memory for each."""
    return np.broadcast_to(np.int64(number), count)
