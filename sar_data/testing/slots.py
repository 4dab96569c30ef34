"""Shards of invented samples, written straight into a container."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sar_data.formats.container import Entry, Format, Layout, Place, Shard
from sar_data.record import Image, Record, SourceFile

# What arithmetic or a careless copy would change: quiet and signalling NaN with payloads, both signs of infinity and
# zero, the smallest and the largest denormal.
ODD = {
    "float32": (0x7FC12345, 0x7F800001, 0xFFC00001, 0x7F800000, 0xFF800000, 0x80000000, 0x00000001, 0x807FFFFF),
    "float16": (0x7E55, 0x7C01, 0xFE01, 0x7C00, 0xFC00, 0x8000, 0x0001, 0x83FF),
    "int16": (0x8000, 0x7FFF, 0xFFFF, 0, 1, 2, 3, 4),
}


def layout(
    dtype: str = "float32",
    shape: tuple[int, int] | None = (5, 7),
    bands: tuple[str, ...] = ("VV", "VH"),
    frames: int = 1,
    masks: tuple[str, ...] = (),
) -> Layout:
    """Return what a container must know of some samples; `shape` None gives each image a size of its own."""
    integer = dtype == "int16"
    return Layout(
        title="a miniature",
        bands=bands,
        descriptions=tuple(f"sigma0 {band}" for band in bands),
        units=("dB",) * len(bands),
        shape=shape,
        frames=frames,
        mask_classes=masks,
        dtype=dtype,
        scale=500.0 if integer else None,
        missing=-32768 if integer else None,
        classes={"cover": ("water", "wood", "Ödland")},
    )


def size(plan: Layout, seed: int) -> tuple[int, int]:
    """Return the size of a sample: the layout's, or one of its own."""
    return plan.shape or (3 + seed % 4, 2 + seed % 5)


def image(plan: Layout, seed: int) -> Image:
    """Return random bits as an image that begins with the odd values."""
    own = size(plan, seed)
    bits = np.frombuffer(np.random.default_rng(seed).bytes(plan.image_bytes(own)), plan.dtype).copy()
    bits = bits.reshape(plan.image_shape(own))
    odd = np.array(ODD.get(plan.dtype, (0, 255)), f"u{bits.itemsize}").view(plan.dtype)[: bits.size]
    bits.reshape(-1)[: len(odd)] = odd
    return bits


def mask(plan: Layout, seed: int) -> Image | None:
    """Return a random uint8 [y, x] mask, None where the layout has none."""
    if not plan.mask:
        return None
    return np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), size(plan, seed))


def record(key: str, shape: tuple[int, int] | None = None) -> Record:
    """Return a record with a value in every field that containers carry."""
    return Record(
        key=key,
        files=(SourceFile(f"{key}.tif", 1),),
        shape=shape,
        labels={"cover": (0, 2)},
        group="scene",
        time=datetime(2017, 6, 13, 16, 50, 43, tzinfo=UTC),
        orbit_pass="ascending",
        relative_orbit=146,
        crs="EPSG:32633",
        transform=(10.0, 0.0, 404400.0, 0.0, -10.0, 5342400.0),
        attrs={"country": "Österreich"},
    )


def entries(plan: Layout, count: int, *, lost: Sequence[int] = ()) -> list[Entry]:
    """Return `count` slots; those in `lost` are quarantined."""
    return [
        Entry(record(f"key_{i:03d}", size(plan, i)), *((None, None) if i in lost else (image(plan, i), mask(plan, i))))
        for i in range(count)
    ]


def store(
    container: Format, root: Path, plan: Layout, split: str, slots: Sequence[Entry], length: int
) -> dict[str, Place]:
    """Write one split in shards of `length` and return where each valid sample lies."""
    length = -(-length // container.multiple) * container.multiple
    build, spool = root / "build", root / "spool"
    container.start(build, split)
    keys = [None if slot.image is None else slot.record.key for slot in slots]
    places: dict[str, Place] = {}
    for number, first in enumerate(range(0, len(slots), length)):
        part = slots[first : first + length]
        shard = Shard(split, number, len(part), length, number)
        written = container.write(spool if container.spooled else build, plan, shard, iter(part))
        if container.spooled:
            container.commit(build, plan, shard, keys[first : first + length], spool)
        assert len(written.offsets) == len(part)
        ends = zip(written.offsets, written.mask_offsets, strict=True)
        for position, (slot, (offset, hidden)) in enumerate(zip(part, ends, strict=True)):
            if slot.image is not None:
                own = (slot.image.shape[-2], slot.image.shape[-1])
                places[slot.record.key] = Place(split, number, position, offset, slot.record.key, own, hidden)
    container.finish(build, plan, split, length, keys)
    return places
