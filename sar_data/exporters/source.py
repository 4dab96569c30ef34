"""What an exporter reads: the packed rows of a build and, one after the other, its samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from sar_data.errors import BuildError, UsageError
from sar_data.formats.container import Layout, Place
from sar_data.formats.storage import physical
from sar_data.progress import Progress
from sar_data.record import Image, Mask
from sar_data.sealed.documents import TaskDocument
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import Build, layout_of
from sar_data.sealed.places import places
from sar_data.sealed.recorded import nonempty_splits

ROWS = 1024  # that are Python objects at once
Row = dict[str, Any]
"""A row of index.parquet, by column."""


@dataclass(frozen=True, slots=True)
class Source:
    """A build that is exported; `index` has its packed rows, in the order of its shards."""

    build: Build
    index: pa.Table
    progress: Progress | None = None

    @classmethod
    def of(cls, build: Build, progress: Progress | None = None) -> Source:
        """Return the source of a build; raise BuildError where its index is not that of a build."""
        index = build.index()
        return cls(build, index.filter(pc.is_valid(index["shard"])), progress)

    @property
    def manifest(self) -> Manifest:
        return self.build.manifest

    @property
    def layout(self) -> Layout:
        """The layout of the samples that `samples` gives."""
        stored = layout_of(self.manifest)
        return stored if stored.scale is None else replace(stored, dtype="float32", scale=None, missing=None)

    @property
    def largest_bytes(self) -> int:
        """The bytes of the largest image and its mask."""
        height, width = (pc.max(self.index[name]).as_py() or 0 for name in ("height", "width"))
        return self.layout.sample_bytes((height, width))

    @property
    def splits(self) -> list[str]:
        """The splits that have samples: train, val, test."""
        return nonempty_splits(self.manifest)

    def rows(self, split: str) -> pa.Table:
        """Return the rows of a split, in the order of its samples."""
        return self.index.filter(pc.equal(self.index["split"], split))

    def samples(self, split: str) -> Iterator[tuple[Row, Image, Mask | None]]:
        """Yield row, image and mask of every sample of a split, in the order of the shards.

        Images are [(frame,) band, y, x] in the declared units, as stored; scaled integers become float32. Raises
        BuildError where an image or a mask is not the recorded one.
        """
        rows, scale = self.rows(split), self.manifest.storage.scale
        with self.build.reader() as reader:
            for start in range(0, len(rows), ROWS):
                part = rows.slice(start, ROWS)
                for row, place in zip(part.to_pylist(), places(part), strict=True):
                    image = reader.read(place)
                    mask = None if place.mask_xxh3 is None else reader.mask(place)
                    self._check(place, image, place.xxh3)
                    self._check(place, mask, place.mask_xxh3)
                    yield row, physical(image, scale), mask
                if self.progress is not None:
                    self.progress(f"export {split}", start + len(part), len(rows))

    def _check(self, place: Place, pixels: Image | None, expected: str | None) -> None:
        if pixels is not None and (digest := xxhash.xxh3_128_hexdigest(pixels.data)) != expected:
            raise BuildError(
                f"{self.build.place}: {place.key}: expected pixels of xxh3 {expected}, found {digest}: "
                "`verify(full=True)` lists all damage"
            )

    def task(self, *kinds: str) -> TaskDocument:
        """Return the first task of one of these kinds; raise UsageError where there is none."""
        tasks = self.manifest.tasks
        task = next((task for task in tasks if task.kind in kinds), None)
        if task is None:
            others = ", ".join(dict.fromkeys(task.kind for task in tasks)) or "none"
            raise self.refusal(f"expected a build with a {' or '.join(kinds)} task, found tasks of kind: {others}")
        return task

    def refusal(self, text: str) -> UsageError:
        """Return the error for a build that a target does not fit, which names the build."""
        return UsageError(f"{self.build.place}: {text}")

    def check_single(self) -> None:
        """Raise UsageError for a build with several frames a sample."""
        if self.manifest.frames > 1:
            raise self.refusal(f"expected one image a sample, found {self.manifest.frames} frames")


def labels_of(row: Row, task: TaskDocument) -> list[int]:
    """Return the class indices of a row in a task."""
    return next((item["labels"] for item in row["targets"] or () if item["task"] == task.name), [])
