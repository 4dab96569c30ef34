"""A sealed build, opened for reading: its manifest, its index, its pixels. This module knows no dataset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from sar_data import formats
from sar_data.errors import BuildError, unknown
from sar_data.formats.container import Layout, Reader
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.index_bounds import check_bounds, check_unused
from sar_data.sealed.index_file import read_index
from sar_data.sealed.manifest import Identity, Manifest
from sar_data.spec import mask_classes

if TYPE_CHECKING:
    import xarray

SUMS_NAME = "SHA256SUMS"


def layout_of(manifest: Identity) -> Layout:
    """Return the layout that a container needs, from a manifest or from its identity."""
    return Layout(
        title=manifest.title,
        bands=tuple(band.name for band in manifest.bands),
        descriptions=tuple(band.description for band in manifest.bands),
        units=tuple(band.unit for band in manifest.bands),
        shape=manifest.shape,
        frames=manifest.frames,
        mask_classes=mask_classes(manifest.tasks),
        dtype=manifest.storage.dtype,
        scale=manifest.storage.scale,
        missing=manifest.storage.missing,
        classes={task.name: tuple(task.classes) for task in manifest.tasks},
    )


@dataclass(frozen=True, slots=True)
class Pixels:
    """What a worker needs to read the images of a build; a manifest, with its list of shards, is large to send."""

    path: Path
    format: str
    compression: str | None
    layout: Layout
    slots: dict[str, int]

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Open the container; images come as stored."""
        reader = formats.get(self.format, self.compression).open(self.path, self.layout, self.slots)
        try:
            yield reader
        finally:
            reader.close()


@dataclass(frozen=True, slots=True)
class Build:
    """A sealed build at `path`."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> Build:
        """Return the build at `path`; raise BuildError where there is none."""
        return cls(path, Manifest.load(path))

    def index(self) -> pa.Table:
        """Return index.parquet, packed rows first, in shard order; raise BuildError where it is not that of a build."""
        path = self.path / INDEX_NAME
        table, layout = read_index(path), layout_of(self.manifest)
        for split in self.manifest.splits:
            check_bounds(table.filter(pc.equal(table["split"], split)), self.manifest, layout, split, path)
        check_unused(table.filter(pc.is_null(table["shard"])), self.manifest, path)
        packed = table.filter(pc.is_valid(table["shard"]))
        if strange := set(packed["split"].unique().to_pylist()) - self.manifest.splits.keys():
            raise BuildError(f"{path}: expected shards of {', '.join(self.manifest.splits)}, found {min(strange)}")
        return table

    def dataset(self, split: str) -> xarray.Dataset:
        """Open one split of a Zarr build lazily in xarray: `image` (sample, band, y, x), `key`, `valid`, `band`.

        Scaled integers are decoded to the declared unit; keys are those of the index. Raises UsageError for a split
        that does not exist, BuildError for other containers and where a document or a chunk contradicts the manifest,
        before the zarr library opens it.
        """
        manifest, layout = self.manifest, layout_of(self.manifest)
        if split not in manifest.splits:
            raise unknown("split", split, manifest.splits)
        document = manifest.splits[split]
        packed = self.index().select(["split", "shard", "position", "key"])
        packed = packed.filter(pc.equal(packed["split"], split))
        slots = pc.add(pc.multiply(packed["shard"].cast(pa.int64()), document.shard_length), packed["position"])
        sizes = [shard.bytes for shard in document.shards]
        keys = dict(zip(slots.to_pylist(), packed["key"].to_pylist(), strict=True))
        return manifest.container.dataset(self.path / split, layout, document.shard_length, sizes, keys)

    @property
    def pixels(self) -> Pixels:
        """What a worker needs to read images."""
        manifest = self.manifest
        slots = {name: split.shard_length for name, split in manifest.splits.items()}
        return Pixels(self.path, manifest.format, manifest.compression, layout_of(manifest), slots)

    def reader(self) -> AbstractContextManager[Reader]:
        """Open the container; images come as stored."""
        return self.pixels.reader()
