"""A sealed build, opened for reading: its manifest, its index, its pixels. Nothing here knows any dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sar_data import formats
from sar_data.errors import BuildError
from sar_data.formats.container import Layout, Place, Reader
from sar_data.sealed.index import check
from sar_data.sealed.manifest import Manifest

if TYPE_CHECKING:
    import xarray

INDEX_NAME = "index.parquet"
SUMS_NAME = "SHA256SUMS"


def layout_of(manifest: Manifest) -> Layout:
    """Return what a container must know, from the manifest alone."""
    return Layout(
        title=manifest.title,
        bands=tuple(band.name for band in manifest.bands),
        descriptions=tuple(band.description for band in manifest.bands),
        units=tuple(band.unit for band in manifest.bands),
        shape=manifest.shape,
        frames=manifest.frames,
        mask_classes=next((tuple(t.classes) for t in manifest.tasks if t.kind == "segmentation"), ()),
        dtype=manifest.storage.dtype,
        scale=manifest.storage.scale,
        missing=manifest.storage.missing,
        classes={task.name: tuple(task.classes) for task in manifest.tasks},
    )


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
        """Return index.parquet, packed rows first, in shard order; raise BuildError for one that no build has."""
        path = self.path / INDEX_NAME
        try:
            table = pq.read_table(path, memory_map=True)
        except (OSError, pa.ArrowException) as error:
            raise BuildError(f"{path}: cannot read: {error}") from error
        check(table, path)
        return table

    def dataset(self, split: str) -> xarray.Dataset:
        """Open one split of a Zarr build lazily in xarray: `image` (sample, band, y, x), `key`, `valid`, `band`.

        Scaled integers arrive decoded, in the declared unit. Raises BuildError for the other containers.
        """
        if self.manifest.format != "zarr":
            raise BuildError(f"{self.path}: xarray opens zarr, this is {self.manifest.format}: `convert(format=zarr)`")
        import xarray

        dataset: xarray.Dataset = xarray.open_zarr(self.path / split, consolidated=True)
        return dataset

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Open the container; images come as stored."""
        container = formats.get(self.manifest.format, self.manifest.compression)
        slots = {name: split.shard_length for name, split in self.manifest.splits.items()}
        reader = container.open(self.path, layout_of(self.manifest), slots)
        try:
            yield reader
        finally:
            reader.close()


PLACE = ("split", "shard", "position", "offset", "key", "height", "width", "mask_offset")
"""The columns of the index that say where a sample lies."""


def places(index: pa.Table) -> list[Place]:
    """Return where the packed rows of an index lie, in its order."""
    packed = index.filter(pc.is_valid(index["shard"]))
    columns = (packed[name].to_pylist() for name in PLACE)
    return [
        Place(split, shard, position, offset, key, (height, width), mask_offset)
        for split, shard, position, offset, key, height, width, mask_offset in zip(*columns, strict=True)
    ]


def nodata(index: pa.Table, bands: Sequence[str]) -> list[list[int]]:
    """Return for every row the pixels [band] that the source marks as no data."""
    counts = []
    for row in index["masked"].to_pylist():
        marked = {found["band"]: found["count"] for found in row or () if found["reason"] == "nodata"}
        counts.append([marked.get(band, 0) for band in bands])
    return counts
