"""The walls between a container format and the rest of the house."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from sar_data.record import Image, Mask, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a container must know of the samples: bands, their units, (height, width), how they are stored.

    `shape` is None where images differ in size; `frames` above 1 gives images an axis before the bands; with
    `mask_classes` each sample has a mask, uint8 [y, x].
    """

    title: str
    bands: tuple[str, ...]
    descriptions: tuple[str, ...]
    units: tuple[str, ...]
    shape: tuple[int, int] | None
    frames: int
    mask_classes: tuple[str, ...]
    dtype: str
    scale: float | None
    missing: float | None
    classes: dict[str, tuple[str, ...]]

    @property
    def mask(self) -> bool:
        return bool(self.mask_classes)

    @property
    def unit(self) -> str:
        """The bands' unit, or all of them in words."""
        return ", ".join(dict.fromkeys(self.units))

    def image_shape(self, shape: tuple[int, int] | None = None) -> tuple[int, ...]:
        """Return the shape of a stored image, [band, y, x] or [frame, band, y, x], given its own if they differ."""
        height, width = self.shape or shape or (0, 0)
        frames = (self.frames,) if self.frames > 1 else ()
        return (*frames, len(self.bands), height, width)

    def image_bytes(self, shape: tuple[int, int] | None = None) -> int:
        """Return the bytes of one stored image."""
        return math.prod(self.image_shape(shape)) * np.dtype(self.dtype).itemsize

    def sample_bytes(self, shape: tuple[int, int] | None = None) -> int:
        """Return the bytes of one stored image and its mask."""
        return self.image_bytes(shape) + (math.prod(self.image_shape(shape)[-2:]) if self.mask else 0)

    @property
    def fill(self) -> float | int:
        """The value of a missing pixel or an empty slot."""
        return self.missing if self.missing is not None else float("nan") if "float" in self.dtype else 0


@dataclass(frozen=True, slots=True)
class Shard:
    """`count` records of one split; `batch` is its place in plan.arrow, `slots` the split's shard length."""

    split: str
    number: int
    count: int
    slots: int
    batch: int

    @property
    def name(self) -> str:
        return f"{self.split}/{self.number:06d}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One slot of a shard: a record with what is stored of it, or None where the record was quarantined."""

    record: Record
    image: Image | None
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a shard became: bytes of its file, and the offset of each slot's payloads where the container has one."""

    bytes: int
    offsets: list[int | None]
    mask_offsets: list[int | None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one sample lies, and its own (height, width).

    The hashes are of what is stored; `nodata` [band] counts the pixels that the source marks so.
    """

    split: str
    shard: int
    position: int
    offset: int | None
    key: str
    shape: tuple[int, int]
    mask_offset: int | None = None
    xxh3: str | None = None
    mask_xxh3: str | None = None
    nodata: tuple[int, ...] = ()


class Fault(NamedTuple):
    """What is wrong with a file of a split: its name below the build, with the field where one is known."""

    what: str
    expected: str
    found: str


class Reader(Protocol):
    def read(self, place: Place) -> Image:
        """Return the stored image; raise BuildError where it is not there or not whole."""

    def mask(self, place: Place) -> Mask:
        """Return the stored uint8 [y, x] mask; raise BuildError where it is not there or not whole."""

    def close(self) -> None:
        """Give back files and maps."""


class Format(Protocol):
    """One container. Law: what is read is what was written, bit for bit, NaN included."""

    name: str
    version: int
    compression: str | None
    multiple: int  # shard lengths are multiples of this
    one_shape: bool  # images must have one size
    spooled: bool  # one process writes the container; `write` makes a spool file that `commit` consumes

    def refuse(self, key: str) -> str | None:
        """Say why a sample cannot have this key, or None where it can."""

    def start(self, build: Path, split: str) -> None:
        """Prepare a split's folder; harmless when done twice."""

    def file(self, shard: Shard, layout: Layout) -> str:
        """Return the path below the build of the file that holds a shard's images."""

    def mask_file(self, shard: Shard, layout: Layout) -> str:
        """Return the path below the build of the file that holds a shard's masks, which may be the same."""

    def write(self, root: Path, layout: Layout, shard: Shard, entries: Iterable[Entry]) -> Written:
        """Write one shard durably, below the build (or below the spool folder, where `spooled`)."""

    def commit(self, build: Path, layout: Layout, shard: Shard, keys: Sequence[str | None], spool: Path) -> None:
        """Move a spooled shard into the container, in one transaction; `keys` has None for empty slots."""

    def finish(self, build: Path, layout: Layout, split: str, slots: int, keys: Sequence[str | None]) -> None:
        """Complete a split, given the key of every slot in shard order (None where quarantined)."""

    def faults(self, build: Path, layout: Layout, split: str, slots: int, shards: int) -> list[Fault]:
        """Return what contradicts the manifest in the files that the shards of a split share; none of it is decoded."""

    def walked(
        self, file: Path, layout: Layout, places: Sequence[Place], records: Sequence[Record]
    ) -> list[tuple[str | None, Fault]]:
        """Return what a reader that walks a shard's file meets otherwise than its places and records say, with the key.

        Only a container that other libraries read without an index has such readers.
        """

    def open(self, build: Path, layout: Layout, slots: dict[str, int]) -> Reader:
        """Return a reader; `slots` is the shard length of each split."""
