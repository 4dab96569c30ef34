"""A sealed build, opened for reading: its manifest, its index, its pixels. This module knows no dataset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from sar_data import formats
from sar_data.errors import BuildError, unknown
from sar_data.formats.container import Layout, Place, Reader, Shard
from sar_data.record import Image, Mask
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.index_bounds import check_bounds, check_unused
from sar_data.sealed.index_file import read_index
from sar_data.sealed.manifest import Identity, Manifest
from sar_data.spec import mask_classes
from sar_data.system.store import is_url

if TYPE_CHECKING:
    import xarray

    from sar_data.sealed.remote.build import Remote

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
    files: Remote | None = None  # of a build behind a URL, whose shards are fetched when they are read

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Open the container; images come as stored."""
        reader = formats.get(self.format, self.compression).open(self.path, self.layout, self.slots)
        try:
            yield reader if self.files is None else _Fetching(reader, self, self.files)
        finally:
            reader.close()

    @contextmanager
    def file(self, place: Place) -> Iterator[Path]:
        """Give the file with the images of a place's shard, which stays there within the block."""
        name = formats.get(self.format, self.compression).file(shard_of(place), self.layout)
        keep = None if self.files is None else self.files.hold([name])
        try:
            yield self.path / name
        finally:
            del keep


def shard_of(place: Place) -> Shard:
    """Return the shard of a place, as far as its files tell."""
    return Shard(place.split, place.shard, 0, 0, 0)


class _Fetching:
    """Reads from a remote build: the files of a shard are fetched, and kept for as long as samples are read from it."""

    def __init__(self, reader: Reader, pixels: Pixels, files: Remote) -> None:
        self._reader, self._layout, self._files = reader, pixels.layout, files
        self._container = formats.get(pixels.format, pixels.compression)
        self._shard: tuple[str, int] | None = None
        self._holds: object = None

    def read(self, place: Place) -> Image:
        self._fetch(place)
        return self._reader.read(place)

    def mask(self, place: Place) -> Mask:
        self._fetch(place)
        return self._reader.mask(place)

    def close(self) -> None:
        self._reader.close()

    def _fetch(self, place: Place) -> None:
        if self._shard != (place.split, place.shard):
            shard, names = shard_of(place), {self._container.file(shard_of(place), self._layout)}
            if self._layout.mask:
                names.add(self._container.mask_file(shard, self._layout))
            self._holds = self._files.hold(sorted(names))
            self._shard = place.split, place.shard


@dataclass(frozen=True, slots=True)
class Build:
    """A sealed build at `path`; `path` of a build behind a URL is the folder of the cache, and `files` fetches them."""

    path: Path
    manifest: Manifest
    files: Remote | None = None

    @classmethod
    def open(cls, place: str | Path) -> Build:
        """Return the build at a path or a URL, its documents fetched; raise BuildError where there is none.

        A URL raises RemoteError, too, where a store does not answer or may not be read.
        """
        if not is_url(place):
            return cls(Path(place), Manifest.load(Path(place)))
        from sar_data.sealed.files import open_remote

        files = open_remote(place)
        build = cls(files.folder, Manifest.load(files.folder), files)
        files.keep(sorted(files.names - build.shard_files))
        return build

    @property
    def place(self) -> str | Path:
        """Where the build is: a path or a URL."""
        return self.path if self.files is None else self.files.url

    @property
    def name(self) -> str:
        """The last part of its place, which says format and recipe."""
        return PurePosixPath(self.place).name

    @property
    def shard_files(self) -> set[str]:
        """The files with images and masks, as the manifest and the container name them."""
        container, layout = self.manifest.container, layout_of(self.manifest)
        names = set[str]()
        for split, document in self.manifest.splits.items():
            for number in range(len(document.shards)):
                shard = Shard(split, number, 0, document.shard_length, number)
                names |= {container.file(shard, layout), container.mask_file(shard, layout)}
        return names

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
        return Pixels(self.path, manifest.format, manifest.compression, layout_of(manifest), slots, self.files)

    def reader(self) -> AbstractContextManager[Reader]:
        """Open the container; images come as stored."""
        return self.pixels.reader()
