"""A container of one's own: an .npy a shard for the images and one for the masks, which numpy maps.

This file and one line, `FORMATS["npy"] = …`, are all of it. A package names its formats by an entry point of the group
`sar_data.formats` instead, and then other processes know them, too; here one process does all.

`python examples/own_format.py RAW BUILDS`
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

import sar_data
from sar_data.formats import FORMATS
from sar_data.formats.container import Entry, Format, Grid, Layout, Place, Shard, What, Written
from sar_data.formats.raw import read_at
from sar_data.record import IGNORE, Image, Mask
from sar_data.system.durable import publish

HEAD = 128  # bytes of numpy's header before an array of a few axes


def make(compression: str | None) -> Npy:
    """Return the format; every module of a format has this function."""
    return Npy()


class Npy(Format):
    """Images [slot, (frame,) band, y, x] and masks [slot, y, x] of one size; keys.npy names the samples."""

    name = "npy"
    one_shape = True

    def file(self, shard: Shard, layout: Layout) -> str:
        return f"{shard.name}.image.npy"

    def mask_file(self, shard: Shard, layout: Layout) -> str:
        return f"{shard.name}.mask.npy"

    def grid(self, layout: Layout, what: What) -> Grid:
        return Grid(first=HEAD, step=empty(layout, what).nbytes, slotted=True)

    def size(self, layout: Layout, shard: Shard, what: What) -> tuple[int, int]:
        exact = HEAD + shard.slots * empty(layout, what).nbytes
        return exact, exact

    def write(self, root: Path, layout: Layout, shard: Shard, entries: Iterable[Entry]) -> Written:
        samples = list(entries)
        parts: dict[What, tuple[str, list[Image | None]]] = {
            "image": (self.file(shard, layout), [sample.image for sample in samples])
        }
        if layout.mask:
            parts["mask"] = self.mask_file(shard, layout), [sample.mask for sample in samples]
        offsets: dict[What, list[int | None]] = {"mask": [None] * shard.count}
        for what, (name, arrays) in parts.items():
            blank = empty(layout, what)
            slots = [blank if array is None else array for array in arrays] + [blank] * (shard.slots - shard.count)
            with publish(root / name) as file:
                np.lib.format.write_array(file, np.stack(slots), allow_pickle=False)
            offsets[what] = [HEAD + number * blank.nbytes for number in range(shard.count)]
        return Written(self.size(layout, shard, "image")[0], offsets["image"], offsets["mask"])

    def finish(self, build: Path, layout: Layout, split: str, slots: int, keys: Sequence[str | None]) -> None:
        with publish(build / split / "keys.npy") as file:
            np.lib.format.write_array(file, np.array([key or "" for key in keys], str), allow_pickle=False)

    def open(self, build: Path, layout: Layout, slots: dict[str, int]) -> Reader:
        return Reader(build, layout)


class Reader:
    """Reads samples at the offsets of the index."""

    def __init__(self, build: Path, layout: Layout) -> None:
        self._build, self._layout = build, layout

    def read(self, place: Place) -> Image:
        path = self._build / f"{place.split}/{place.shard:06d}.image.npy"
        return read_at(path, place.offset, self._layout.image_shape(), self._layout.dtype)

    def mask(self, place: Place) -> Mask:
        path = self._build / f"{place.split}/{place.shard:06d}.mask.npy"
        return read_at(path, place.mask_offset, self._layout.image_shape()[-2:], "uint8")

    def close(self) -> None:
        return None


def empty(layout: Layout, what: What) -> Image:
    """Return what an empty slot holds."""
    shape = layout.image_shape()
    if what == "mask":
        return np.full(shape[-2:], IGNORE, np.uint8)
    return np.full(shape, layout.fill, layout.dtype)


def main(source: Path, out: Path) -> None:
    """Build in the container, verify the build, stream it, map a shard of it, and convert it."""
    FORMATS["npy"] = __name__
    build = sar_data.build("eurosat-sar", source=source, out=out, split="stratified", format="npy", workers=1)
    print(f"{build.path.name}: {len(sar_data.verify(build.path, full=True, workers=1))} problems")
    batch = next(iter(sar_data.Stream(build.path, split="train", batch_size=4)))
    print("a batch of", batch["image"].shape)
    shard = np.load(build.path / "train/000000.image.npy", mmap_mode="r")
    print("a shard, mapped:", shard.shape, shard.dtype)
    print("converted to", sar_data.convert(build.path, format="zarr", workers=1).path.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
