"""From a manifest and an index to where the bytes of images and masks are, as the container says."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np

from sar_data.formats.container import Format, Layout, Shard, What
from sar_data.sealed.files import Files
from sar_data.sealed.manifest import Manifest
from sar_data.stream.rows import Rows
from sar_data.stream.storage.decoded import Decoded
from sar_data.stream.storage.store import Integers, Located, Raw, Store

COLUMNS = {"offset": ["offset", "mask_offset"], "position": ["position"], "key": []}


def sizes(layout: Layout, rows: Rows) -> Integers:
    """Return int64 [sample, 2]: height and width of every stored image."""
    if layout.shape:
        return np.broadcast_to(np.array(layout.shape, np.int64), (len(rows), 2))
    return np.stack([rows.integers("height"), rows.integers("width")], axis=1)


def columns(container: Format, layout: Layout) -> list[str]:
    """Return the columns of the index that say where the bytes of samples are."""
    placed = [name for name in COLUMNS[container.addressing] if layout.mask or name != "mask_offset"]
    return placed if layout.shape else ["height", "width", *placed]


def stores(
    files: Files, manifest: Manifest, layout: Layout, split: str, rows: Rows, size: Integers, *, mapped: bool
) -> tuple[Store, Store | None]:
    """Return where the images of a split are, and its masks where it has any."""
    container, document = manifest.container, manifest.splits[split]
    shards = [Shard(split, i, shard.count, document.shard_length, i) for i, shard in enumerate(document.shards)]
    pixels = _all(len(rows), math.prod(layout.shape)) if layout.shape else size[:, 0] * size[:, 1]
    images = _all(len(rows), layout.image_bytes()) if layout.shape else pixels * layout.image_bytes((1, 1))
    lengths: dict[What, Integers] = {"image": images, **({"mask": pixels} if layout.mask else {})}
    stores: dict[What, Store] = {}
    for what, length in lengths.items():
        if container.addressing == "key":
            name = container.file(Shard(split, 0, 0, document.shard_length, 0), layout)
            locate = partial(_locate, container, layout, rows, size, what)
            stores[what] = Located(files, name, length, locate, mapped=mapped)
            continue
        names = [(container.file if what == "image" else container.mask_file)(shard, layout) for shard in shards]
        if container.addressing == "position":
            blocks = container.blocks(layout, document.shard_length, what)
            stores[what] = Decoded(files, names, blocks, rows.shard, rows.integers("position"))
        else:
            sizes = [
                recorded.bytes if name == recorded.file else container.size(layout, shard, what)[1] or -1
                for name, recorded, shard in zip(names, document.shards, shards, strict=True)
            ]
            offset = rows.integers("offset" if what == "image" else "mask_offset")
            stores[what] = Raw(files, names, sizes, rows.shard, offset, length, mapped=mapped)
    return stores["image"], stores.get("mask")


def _locate(
    container: Format, layout: Layout, rows: Rows, size: Integers, what: What, path: Path, some: Integers
) -> Integers:
    return container.locate(path, layout, rows.keys(some), size[some], what)


def _all(count: int, number: int) -> Integers:
    """Return a number for each of `count` samples, without memory for each."""
    return np.broadcast_to(np.int64(number), count)
