"""The walls between a container format and the rest of the house."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from sar_data.plan import Shard
from sar_data.record import Image, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a container must know of the samples: band names and descriptions, (height, width), how they are stored."""

    title: str
    bands: tuple[str, ...]
    descriptions: tuple[str, ...]
    unit: str
    shape: tuple[int, int]
    dtype: str
    scale: float | None
    missing: float | None
    classes: dict[str, tuple[str, ...]]

    @property
    def image_bytes(self) -> int:
        """Bytes of one stored [band, y, x] image."""
        return len(self.bands) * self.shape[0] * self.shape[1] * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Entry:
    """One slot of a shard: a record with its stored image, or None where the record was quarantined."""

    record: Record
    image: Image | None


@dataclass(frozen=True, slots=True)
class Written:
    """What a shard became: bytes of its file, and each slot's payload offset where the container has one."""

    bytes: int
    offsets: list[int | None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one sample lies; `xxh3` is that of the stored image, where a reader shall compare it."""

    split: str
    shard: int
    position: int
    offset: int | None
    key: str
    xxh3: str | None = None


class Reader(Protocol):
    def read(self, place: Place) -> Image:
        """Return the stored [band, y, x] image; raise BuildError where it is not there or not whole."""

    def close(self) -> None:
        """Give back files and maps."""


class Format(Protocol):
    """One container. Law: what is read is what was written, bit for bit, NaN included."""

    name: str
    version: int
    compression: str | None
    multiple: int  # shard lengths are multiples of this
    spooled: bool  # one process writes the container; `write` makes a spool file that `commit` consumes

    def refuse(self, key: str) -> str | None:
        """Say why a sample cannot have this key, or None where it can."""

    def start(self, build: Path, split: str) -> None:
        """Prepare a split's folder; harmless when done twice."""

    def file(self, shard: Shard) -> str:
        """Return the path below the build of the file that holds a shard."""

    def write(self, root: Path, layout: Layout, shard: Shard, entries: Iterable[Entry]) -> Written:
        """Write one shard durably, below the build (or below the spool folder, where `spooled`)."""

    def commit(self, build: Path, layout: Layout, shard: Shard, keys: Sequence[str | None], spool: Path) -> None:
        """Move a spooled shard into the container, in one transaction; `keys` has None for empty slots."""

    def finish(self, build: Path, layout: Layout, split: str, slots: int, keys: Sequence[str | None]) -> None:
        """Complete a split, given the key of every slot in shard order (None where quarantined)."""

    def open(self, build: Path, layout: Layout, slots: dict[str, int]) -> Reader:
        """Return a reader; `slots` is the shard length of each split."""
