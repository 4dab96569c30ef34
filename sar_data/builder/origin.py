"""Where a build's pixels come from: a raw tree through its pipeline, or a sealed build through a bake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import xxhash

from sar_data.dtypes import TAKEN, apply_scale, fit_dtype, parts, without
from sar_data.errors import BadRecord, BuildError, PipelineFault, SarDataError
from sar_data.formats.container import Place, Reader
from sar_data.record import IGNORE, Image, Mask, Record
from sar_data.sources.placeholder import explain
from sar_data.sources.remote import reading_ahead
from sar_data.sources.tree import RecordingTree
from sar_data.spec import DatasetSpec, Pipeline, Tree, mask_classes

if TYPE_CHECKING:
    from sar_data.builder.bake import Bake
    from sar_data.builder.rebake import Bakes
    from sar_data.sealed.opened import Build


@dataclass(frozen=True, slots=True)
class Pixels:
    """One sample as it will be stored; `size` is the (height, width) of the image itself, without padding.

    `nodata` counts the pixels [band] that are NaN because the source marks them so; `files` holds the xxh3_128 of each
    of the record's files, None where only a part was read; `fallbacks` counts files the fast TIFF parser left to
    rasterio; `narrowed` says that the source held another type; `clipped` counts the pixels [band] that a narrower
    dtype could not hold, `unvalued` those that have no value in the unit they were converted to, () of raw files.
    """

    image: Image
    files: list[str | None]
    size: tuple[int, int]
    mask: Mask | None = None
    nodata: tuple[int, ...] = ()
    fallbacks: int = 0
    narrowed: bool = False
    clipped: tuple[int, ...] = ()
    unvalued: tuple[int, ...] = ()


class PixelReader(Protocol):
    def pixels(self, record: Record, place: Place | None) -> Pixels:
        """Return one record's pixels; raise BadRecord where they are wrong."""


class Origin(Protocol):
    def open(self, records: Sequence[Record] = ()) -> AbstractContextManager[PixelReader]:
        """Open what pixels are read from; `records` will be read, in their order."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A raw tree, read by its pipeline."""

    pipeline: Pipeline
    tree: Tree

    @contextmanager
    def open(self, records: Sequence[Record] = ()) -> Iterator[PixelReader]:
        paths = [file.path for record in records for file in record.files]
        with reading_ahead(self.tree, list(dict.fromkeys(paths))) as tree:
            yield _RawReader(self.pipeline, tree)


@dataclass(frozen=True, slots=True)
class _RawReader:
    pipeline: Pipeline
    tree: Tree

    def pixels(self, record: Record, place: Place | None) -> Pixels:
        seen = {file.path: file.xxh3 for file in record.files if file.xxh3 is not None}
        known = dict(seen)
        sizes = {file.path: file.size for file in record.files}
        witness = RecordingTree(self.tree, seen, sizes)
        spec = self.pipeline.spec
        try:
            sample = self.pipeline.read(witness, record)
        except BadRecord as error:
            raise explain(self.tree, error) from error.__cause__
        except SarDataError:
            raise
        except Exception as error:
            raise PipelineFault(spec.name, "read", record.key, error) from error
        image, nodata = sample.image, sample.nodata
        if spec.nodata is not None:
            image, declared = without(image, spec.nodata)
            nodata = tuple(map(sum, zip(declared, nodata or (0,) * len(declared), strict=True)))
        if spec.complex_as is not None and image.dtype.kind == "c":
            image, nodata = parts(image, spec.complex_as), tuple(n for n in nodata for _ in range(2))
        size = record.shape or spec.shape or image.shape[-2:]
        frames = (spec.frames,) if spec.frames > 1 else ()
        expected = (*frames, len(spec.bands), *size), np.dtype(spec.dtype)
        if spec.scale and image.shape == expected[0] and image.dtype.name in TAKEN:
            image = apply_scale(image, spec.scale, spec.offset)
        narrowed = image.dtype != expected[1]
        if image.shape != expected[0] or (narrowed and image.dtype.name not in TAKEN):
            image_form = f"{image.shape} {image.dtype}"
            raise BadRecord(
                record.files[0].path, f"expected an image of {expected[0]} {expected[1]}, found {image_form}"
            )
        if narrowed:
            image, narrowed = fit_dtype(image, spec.dtype, record.files[0].path)
        if spec.mask:
            _check_mask(sample.mask, size, spec, record.files[-1].path)
        for file in record.files:
            if file.path not in seen and file.path not in witness.parts:  # labels only, not read by scan
                witness.read(file.path)
            if sizes[file.path] != file.size or known.get(file.path, seen.get(file.path)) != seen.get(file.path):
                raise BadRecord(file.path, "the file changed since it was scanned")
        files = [seen.get(file.path) for file in record.files]
        image = np.ascontiguousarray(image)
        return Pixels(image, files, size, sample.mask, nodata, sample.fallbacks, narrowed)


def _check_mask(mask: Mask | None, size: tuple[int, int], spec: DatasetSpec, path: str) -> None:
    classes = len(mask_classes(spec.tasks))
    if mask is None or (mask.shape, mask.dtype) != (size, np.dtype(np.uint8)):
        mask_form = "none" if mask is None else f"{mask.shape} {mask.dtype}"
        raise BadRecord(path, f"expected a mask of {size} uint8, found {mask_form}")
    if mask.size and (outside := int(mask[mask != IGNORE].max(initial=0))) >= classes:
        raise BadRecord(path, f"expected mask values below {classes} or {IGNORE}, found {outside}")


@dataclass(frozen=True, slots=True)
class Baked:
    """A sealed build, each image passed through `bake`."""

    build: Build
    bake: Bake | Bakes

    @contextmanager
    def open(self, records: Sequence[Record] = ()) -> Iterator[PixelReader]:
        with self.build.reader() as reader:
            yield _BakedReader(reader, self.bake)


@dataclass(frozen=True, slots=True)
class _BakedReader:
    reader: Reader
    bake: Bake | Bakes

    def pixels(self, record: Record, place: Place | None) -> Pixels:
        if place is None:
            raise BadRecord(record.key, "expected a place in the parent build, found none")
        stored = self.reader.read(place)
        _check_hash(place, "an image", stored, place.xxh3)
        mask = None
        if place.mask_xxh3 is not None:
            mask = self.reader.mask(place)
            _check_hash(place, "a mask", mask, place.mask_xxh3)
        baked = self.bake.apply(stored, mask)
        files = [file.xxh3 for file in record.files]
        size = record.shape or baked.image.shape[-2:]
        nodata = place.nodata if self.bake.keeps_pixels else ()  # else they are among the NaN
        return Pixels(baked.image, files, size, baked.mask, nodata, clipped=baked.clipped, unvalued=baked.unvalued)


def _check_hash(place: Place, what: str, stored: Image, expected: str | None) -> None:
    digest = xxhash.xxh3_128_hexdigest(stored.data)
    if digest != expected:
        raise BuildError(
            f"{place.split}/{place.shard:06d}, {place.key}: expected {what} of xxh3 {expected}, found {digest}: "
            "the parent build is damaged (`verify(full=True)` lists all). Build it again, then convert it."
        )
