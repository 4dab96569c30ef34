"""The interface between a container format and the rest of the library."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from sar_data.errors import BuildError
from sar_data.record import Image, Mask, Record
from sar_data.system.durable import explain_errors

if TYPE_CHECKING:
    import xarray

Integers = npt.NDArray[np.int64]
What = Literal["image", "mask"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a container needs to know about the samples: bands, units, (height, width), and how numbers are stored.

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
        """The unit of the bands, or all their units in words."""
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
    """A shard: `count` records of one split; `batch` is its place in plan.arrow, `slots` the split's shard length."""

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
    """One slot of a shard: a record with its image and mask; `image` is None where the record was quarantined."""

    record: Record
    image: Image | None
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a written shard: bytes of its file, and the offset of each slot's payloads, None without one.

    `sums` has the sha256 of files that were hashed while they were written, by path below the build.
    """

    bytes: int
    offsets: list[int | None]
    mask_offsets: list[int | None]
    sums: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one sample is stored, and its own (height, width).

    The hashes are of the stored bytes; `nodata` [band] counts the pixels that the source marks as no data.
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
    """A difference in a file of a split: `what` is its name below the build, with the field where it is known."""

    what: str
    expected: str
    found: str


class Reader(Protocol):
    def read(self, place: Place) -> Image:
        """Return the stored image; raise BuildError where it is missing or not complete."""

    def mask(self, place: Place) -> Mask:
        """Return the stored uint8 [y, x] mask; raise BuildError where it is missing or not complete."""

    def close(self) -> None:
        """Close files and memory maps."""


class Blocks(Protocol):
    """How the shard files of a split are cut into blocks that are decoded as a whole."""

    @property
    def samples(self) -> int:
        """The samples of a block."""

    @property
    def sample(self) -> int:
        """The bytes of a sample once its block is decoded."""

    def decode(self, path: Path, number: int) -> npt.NDArray[np.uint8]:
        """Return the bytes of one block's samples; raise BuildError where they are missing or not complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where payloads may begin in a shard's file: at `first` + n × `step` bytes; where `slotted`, n is the position."""

    first: int = 0
    step: int = 1
    slotted: bool = False


class Format(ABC):
    """One container. Its law: the bits that are read are the bits that were written, NaN included.

    A subclass has a `name` and says where the file of a shard is, how it is written and how it is read. The defaults
    are those of a container with one file a shard, in which raw payloads begin at the offsets in the index.
    """

    name: str
    version: int = 1
    compression: str | None = None
    compressions: tuple[str | None, ...] = (None,)  # the values that `make` accepts
    multiple: int = 1  # shard lengths are multiples of this
    one_shape: bool = False  # images must have one size
    spooled: bool = False  # a split is one file, which one process writes: `write` makes a spool file for `commit`
    addressing: Literal["offset", "position", "key"] = "offset"  # in a file, in `blocks`, or what `locate` looks up
    described: bool = False  # beside each sample lies its record, which `walked` compares
    left_by_readers: tuple[str, ...] = ()  # files that other software may leave in the folder of a split

    def refuse(self, key: str) -> str | None:
        """Say why a sample cannot have this key, or None where it can."""
        return None

    def start(self, build: Path, split: str) -> None:
        """Prepare a split's folder; a second call changes nothing."""
        with explain_errors(build / split):
            (build / split).mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def file(self, shard: Shard, layout: Layout) -> str:
        """Return the path below the build of the file that has a shard's images."""

    def mask_file(self, shard: Shard, layout: Layout) -> str:
        """Return the path below the build of the file that has a shard's masks, which may be the same file."""
        return self.file(shard, layout)

    @abstractmethod
    def write(self, root: Path, layout: Layout, shard: Shard, entries: Iterable[Entry]) -> Written:
        """Write one shard durably, below the build (or below the spool folder, where `spooled`)."""

    def commit(self, build: Path, layout: Layout, shard: Shard, keys: Sequence[str | None], spool: Path) -> None:
        """Move a spooled shard into the container, in one transaction; `keys` has None for empty slots."""
        return None

    def finish(self, build: Path, layout: Layout, split: str, slots: int, keys: Sequence[str | None]) -> None:
        """Complete a split, given the key of every slot in shard order (None where quarantined)."""
        return None

    def finish_build(self, build: Path, splits: Sequence[str]) -> None:
        """Complete a build, once its splits are complete."""
        return None

    def planes(self, layout: Layout) -> Integers:
        """Return int64 [frame, band]: the plane of each band of the layout in a stored image."""
        return np.arange(layout.frames * len(layout.bands)).reshape(layout.frames, len(layout.bands))

    def size(self, layout: Layout, shard: Shard, what: What) -> tuple[int, int | None]:
        """Return the least and the most bytes of the file with a shard's images or masks; None means no limit."""
        return (shard.count * layout.image_bytes() if what == "image" else 0), None

    def grid(self, layout: Layout, what: What) -> Grid:
        """Return where images or masks may begin, for `addressing` by offset."""
        return Grid()

    def blocks(self, layout: Layout, slots: int, what: What) -> Blocks:
        """Return how shards of `slots` samples are cut, for `addressing` by position."""
        raise self._incomplete("position", "blocks")

    def locate(self, file: Path, layout: Layout, keys: Sequence[str], sizes: Integers, what: What) -> Integers:
        """Return int64 [sample]: where the images or masks of these keys begin, for `addressing` by key.

        `sizes` [sample, 2] are height and width. Raises BuildError where a value is missing or not complete.
        """
        raise self._incomplete("key", "locate")

    def _incomplete(self, addressing: str, method: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__}: addressing={addressing!r} needs the method `{method}`")

    def faults(self, build: Path, layout: Layout, split: str, slots: int, shards: int) -> list[Fault]:
        """Return the faults of the files that the shards of a split share; pixels are not decoded."""
        return []

    def build_faults(self, build: Path, splits: Sequence[str]) -> list[Fault]:
        """Return the faults of the files beside the splits that `finish_build` writes."""
        return []

    def sequential_faults(
        self, file: Path, layout: Layout, places: Sequence[Place], records: Sequence[Record]
    ) -> list[tuple[str | None, Fault]]:
        """Return the faults that a sequential reader of a shard's file would meet, each with the key of its sample.

        The file is compared with `places` and, where samples are `described`, with `records`. Only containers that
        other libraries read without the index need this.
        """
        return []

    @abstractmethod
    def open(self, build: Path, layout: Layout, slots: dict[str, int]) -> Reader:
        """Return a reader; `slots` is the shard length of each split."""

    def dataset(
        self, folder: Path, layout: Layout, slots: int, sizes: Sequence[int], keys: Mapping[int, str]
    ) -> xarray.Dataset:
        """Return the split in `folder` lazily in xarray, if the container has arrays that xarray opens.

        `sizes` are the bytes of its shards, `keys` the key of each slot that has a sample. Raises BuildError.
        """
        raise BuildError(f"{folder.parent}: xarray opens zarr, this is {self.name}: `convert(format=zarr)`")
