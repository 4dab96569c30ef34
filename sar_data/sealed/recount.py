"""Compute hashes and statistics of a sealed build again: each stored image is read once, shard by shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from sar_data import formats
from sar_data.errors import BuildError
from sar_data.formats.container import Fault, Place
from sar_data.formats.storage import physical
from sar_data.progress import Progress
from sar_data.record import IGNORE, Image, Mask, Record
from sar_data.runners import Runner
from sar_data.sealed.index import SCAN
from sar_data.sealed.opened import Build, Pixels, layout_of
from sar_data.sealed.places import places
from sar_data.sealed.records import to_records
from sar_data.statistics.figures import Figures
from sar_data.statistics.stats import BandStats
from sar_data.statistics.tally import Tally, survey
from sar_data.statistics.thumbnail import Thumbnails, Thumbs


@dataclass(frozen=True, slots=True)
class Rows:
    """The index rows of one shard: places with expected hashes, and records where the container stores them."""

    split: str
    name: str
    places: list[Place]
    records: list[Record]


@dataclass(frozen=True, slots=True)
class ShardCounts:
    """What was computed from one shard; `faults` maps a key to why its image could not be read or differs.

    `mask_pixels` counts each value of the masks; `figures` [sample, band, FIGURES] and `thumbs` [sample, band, CELLS]
    are of the images that were read. `sequential_faults` are those of `Format.sequential_faults`.
    """

    rows: Rows
    statistics: BandStats
    mask_pixels: list[int]
    figures: Figures
    thumbs: Thumbs
    faults: dict[str, tuple[str, str]]
    sequential_faults: list[tuple[str | None, Fault]]


def shards(build: Build, index: pa.Table, splits: Iterable[str]) -> list[Rows]:
    """Return the rows of every shard of `splits` that has some, in shard order."""
    packed = index.filter(pc.is_valid(index["shard"]))
    by_shard: dict[str, Rows] = {}
    for split in splits:
        for shard in build.manifest.splits[split].shards:
            by_shard[shard.name] = Rows(split, shard.name, [], [])
    records = to_records(packed.select(SCAN.names)) if build.manifest.container.described else []
    for place, record in zip_longest(places(packed, [band.name for band in build.manifest.bands]), records):
        if rows := by_shard.get(f"{place.split}/{place.shard:06d}"):
            rows.places.append(place)
            rows.records.extend([record] if record else ())
    return [rows for rows in by_shard.values() if rows.places]


def count_shards(
    build: Build, todo: list[Rows], runner: Runner, progress: Progress | None = None
) -> Iterator[ShardCounts]:
    """Yield the counts of each shard, in order; faults are collected, not raised."""
    done, total = 0, sum(len(rows.places) for rows in todo)
    for shard in runner.map(partial(_count, build.pixels), todo):
        done += len(shard.rows.places)
        if progress:
            progress("read", done, total)
        yield shard


def recount(
    build: Build, splits: Iterable[str], runner: Runner, progress: Progress | None = None
) -> Mapping[str, BandStats]:
    """Return the statistics of each split, from its pixels; raise BuildError for the first image that is not sound."""
    units = layout_of(build.manifest).units
    totals = {split: BandStats.none(units) for split in splits}
    for shard in count_shards(build, shards(build, build.index(), totals), runner, progress):
        for key, (expected, actual) in shard.faults.items():
            raise BuildError(
                f"{shard.rows.name}, {key}: expected {expected}, found {actual}. `verify(full=True)` lists all."
            )
        totals[shard.rows.split] += shard.statistics
    return totals


def _count(pixels: Pixels, rows: Rows) -> ShardCounts:
    layout = pixels.layout
    tally, thumbnails, hidden = Tally(layout.units), Thumbnails(layout.units), np.zeros(IGNORE + 1, np.int64)
    faults: dict[str, tuple[str, str]] = {}
    for place, image, mask in _images(pixels, rows, faults):
        for what, array, expected in (("image", image, place.xxh3), ("mask", mask, place.mask_xxh3)):
            if array is not None and (digest := xxhash.xxh3_128_hexdigest(array.data)) != expected:
                faults[place.key] = f"an {what} of xxh3 {expected}".replace("an m", "a m"), digest
        if place.key in faults:
            continue  # the figures of a damaged image are not compared
        if mask is not None:
            hidden += np.bincount(mask.ravel(), minlength=IGNORE + 1)
        height, width = place.shape
        seen = survey(physical(image[..., :height, :width], layout.scale), place.nodata)
        tally.add(seen)
        thumbnails.add(seen, (height, width))
    container = formats.get(pixels.format, pixels.compression)
    with pixels.file(rows.places[0]) as file:
        sequential_faults = container.sequential_faults(file, layout, rows.places, rows.records)
    return ShardCounts(
        rows, tally.finish(), hidden.tolist(), tally.figures(), thumbnails.finish(), faults, sequential_faults
    )


def _images(
    pixels: Pixels, rows: Rows, faults: dict[str, tuple[str, str]]
) -> Iterator[tuple[Place, Image, Mask | None]]:
    """Yield the readable samples of a shard; `faults` gets the reason for each other one."""
    try:
        with pixels.reader() as reader:
            for place in rows.places:
                try:
                    image, mask = reader.read(place), reader.mask(place) if place.mask_xxh3 else None
                except BuildError as error:
                    faults[place.key] = "an image", str(error)
                    continue
                yield place, image, mask
    except BuildError as error:  # the container does not open
        faults |= {place.key: ("an image", str(error)) for place in rows.places}
