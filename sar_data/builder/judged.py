"""The samples whose leakage is asked about, as one table: of a sealed build, of raw files, or of a list of names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from sar_data import catalog
from sar_data.builder.fit import Fitted
from sar_data.builder.gate import with_absence
from sar_data.builder.name_lists import SUFFIXES, columns_of, side_of
from sar_data.builder.origin import Raw
from sar_data.builder.raw_statistics import CHUNK, fitting, recognise
from sar_data.builder.scan import scan
from sar_data.builder.suspects import LOWEST_FILL, remove_fill
from sar_data.errors import BuildError, SourceError
from sar_data.naming import few
from sar_data.progress import Progress
from sar_data.record import Record
from sar_data.runners import Runner
from sar_data.sealed.leakage import COLUMNS, INDEX_COLUMNS
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import Build, layout_of
from sar_data.sealed.records import to_table
from sar_data.sealed.recount import ShardCounts, count_shards, shards
from sar_data.sealed.samples import THUMBNAIL, read_samples, thumbs_of
from sar_data.sources.lists import ListFinder
from sar_data.spec import Pipeline
from sar_data.split.parse import parse
from sar_data.split.policy import SPLITS, UNUSED, ByLists
from sar_data.statistics.tally import survey
from sar_data.statistics.thumbnail import CELLS, Thumbnails, Thumbs

SENTINEL1 = "S1"  # names of radar images come before those of their optical partners
LOOKED = 100  # rows of a list in which the column of names is looked for
Named = Callable[[str], Record | None]


@dataclass(frozen=True)
class Judged:
    """`table` has COLUMNS, a `split` where there is one, and `xxh3` where pixels were looked at.

    `thumbs` are the thumbnails of each band by name. `bits` says what equal bytes of two sources mean the same in: None
    where pixels were not looked at. `build` is there for pictures.
    """

    title: str
    table: pa.Table
    thumbs: dict[str, Thumbs]
    bits: tuple[Any, ...] | None = None
    build: Build | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How a source is read: the dataset of raw files and lists, their split, and whether all pixels are."""

    dataset: str | None = None
    variant: str | None = None
    split: str | None = None
    seed: int = 0
    lists: Path | None = None
    full: bool = False


def open_judged(path: Path, choice: Choice, runner: Runner, progress: Progress | None = None) -> Judged:
    """Return the samples at `path`; raise SourceError, UsageError or BuildError where there are none to be compared."""
    if (path / NAME).exists():
        return _of_build(Build.open(path), choice, runner, progress)
    if path.suffix in SUFFIXES and path.is_file():
        return _of_list(path, choice)
    return _of_files(path, choice, runner, progress)


def _of_build(build: Build, choice: Choice, runner: Runner, progress: Progress | None) -> Judged:
    manifest, layout = build.manifest, layout_of(build.manifest)
    index = build.index()
    packed = index.filter(pc.is_valid(index["shard"]))
    samples = read_samples(build.path)
    notes: tuple[str, ...] = ()
    if samples is not None and samples[THUMBNAIL].null_count < len(samples):
        thumbs = thumbs_of(samples, len(layout.bands))
    elif choice.full:
        parts = count_shards(build, shards(build, index, SPLITS), runner, progress)
        thumbs = _in_order(packed["key"].to_pylist(), parts, len(layout.bands))
    else:
        thumbs = np.zeros((len(packed), len(layout.bands), CELLS), np.int8)
        notes = (f"{build.path}: there are no thumbnails to look at: `leakage(full=True)` makes them of the pixels",)
    bits = (layout.bands, layout.units, manifest.storage.model_dump_json(), manifest.frames)
    by_band = {band: np.ascontiguousarray(thumbs[:, i]) for i, band in enumerate(layout.bands)}
    return Judged(manifest.title, packed.select(INDEX_COLUMNS), by_band, bits, build, notes)


def _in_order(keys: Sequence[str], parts: Iterable[ShardCounts], bands: int) -> Thumbs:
    """Return thumbnails in the order of `keys`; raise BuildError for the first image that is not sound."""
    row = {key: i for i, key in enumerate(keys)}
    thumbs = np.zeros((len(keys), bands, CELLS), np.int8)
    for part in parts:
        for key, (expected, actual) in part.faults.items():
            raise BuildError(f"{part.rows.name}, {key}: expected {expected}, found {actual}. See `verify(full=True)`")
        thumbs[[row[place.key] for place in part.rows.places]] = part.thumbs
    return thumbs


def _of_files(path: Path, choice: Choice, runner: Runner, progress: Progress | None) -> Judged:
    pipeline = catalog.pipeline(choice.dataset) if choice.dataset else recognise(path)
    fit = fitting(catalog.variant_of(pipeline, choice.variant), path, progress)
    scanned = scan(fit.pipeline, fit.tree, runner=runner, progress=progress)
    name, policy = parse(choice.split or next(iter(fit.pipeline.splits)), fit.pipeline.all_splits)
    lists = ListFinder.beside(path, choice.lists, fit.tree)
    if isinstance(policy, ByLists):
        policy.check_lists(lists)
    split = policy.assign(scanned.records, seed=choice.seed, lists=lists).split
    used = np.array([side in SPLITS for side in split], np.bool_)
    table = scanned.table.select(COLUMNS).append_column("split", pa.array(split, pa.string())).filter(pa.array(used))
    spec = fit.pipeline.spec
    title = f"{spec.title}, split {name}"
    if not choice.full:
        return Judged(title, table, {}, notes=("pixels were not read: `leakage(full=True)` compares them, too",))
    records = [scanned.records[row] for row in np.flatnonzero(used).tolist()]
    hashes, thumbs = _read(fit, records, runner, progress)
    bands = [band.name for band in spec.bands]
    return Judged(
        title,
        table.append_column("xxh3", pa.array(hashes, pa.string())),
        {band: np.ascontiguousarray(thumbs[:, i]) for i, band in enumerate(bands)},
        (tuple(bands), spec.units, spec.dtype, spec.frames),
    )


def _read(
    fit: Fitted, records: Sequence[Record], runner: Runner, progress: Progress | None
) -> tuple[list[str], Thumbs]:
    """Return the hash and the thumbnail of each record's image."""
    pipeline, _ = with_absence(fit.pipeline, fit.tree, records)
    chunks = [records[i : i + CHUNK] for i in range(0, len(records), CHUNK)]
    hashes: list[str] = []
    thumbs: list[Thumbs] = []
    for part_hashes, part_thumbs in runner.map(partial(_chunk, Raw(pipeline, fit.tree)), chunks):
        hashes += part_hashes
        thumbs.append(part_thumbs)
        if progress:
            progress("read", len(hashes), len(records))
    return hashes, np.concatenate(thumbs)


def _chunk(raw: Raw, records: Sequence[Record]) -> tuple[list[str], Thumbs]:
    units = raw.pipeline.spec.units
    hashes, thumbnails = [], Thumbnails(units)
    with raw.open() as reader:
        for record in records:
            pixels = reader.pixels(record, None)
            image, seen = pixels.image, survey(pixels.image, pixels.nodata)
            if seen.least <= LOWEST_FILL:
                image = remove_fill(image, units)[0]
                seen = survey(image, pixels.nodata)
            hashes.append(xxhash.xxh3_128_hexdigest(image.data))
            thumbnails.add(seen, pixels.size)
    return hashes, thumbnails.finish()


def _of_list(path: Path, choice: Choice) -> Judged:
    columns = columns_of(path)
    sides = [side_of(text) for text in columns.pop("split", [])]
    tried = _telling(columns, choice)
    if not tried and choice.lists is not None:
        tried = _telling(_beside(columns, choice.lists), choice)
    if not tried and choice.dataset and (pipeline := catalog.pipeline(choice.dataset)).named is None:
        tried = [(pipeline, max(columns.values(), key=lambda names: len({*names})), _key)]
    if not tried:
        which = f"names of {choice.dataset}" if choice.dataset else "names of a dataset whose names tell where they are"
        telling = few([pipeline.spec.name for pipeline in catalog.sound()[0].values() if pipeline.named is not None])
        raise SourceError(
            f"{path}: expected {which}, found others. Such datasets are {telling}. Where a table (.parquet) has these "
            "names beside names that tell it, give its folder: `lists=…`"
        )
    pipeline, names, named = tried[0]
    records = list(map(named, names))
    rows = [i for i, record in enumerate(records) if record is not None]
    known_records = [record for record in records if record is not None]
    table = to_table(known_records).select(COLUMNS)
    split: Sequence[str] = ()
    title = f"{pipeline.spec.title}, {path.name}"
    if choice.split:
        name, split = _drawn(pipeline, known_records, path, choice)
        title = f"{title}, split {name}"
    elif sides:
        split = [sides[row] for row in rows]
    if len(split):
        table = table.append_column("split", pa.array(split, pa.string()))
    notes = ["names tell no pixels: duplicates and looks were not compared"]
    if pipeline.named is None:
        notes.append(f"{path}: names of {pipeline.spec.name} tell nothing of where they are: keys alone were compared")
    if lost := len(names) - len(rows):
        notes.append(f"{path}: {lost:,} of {len(names):,} rows are no names that tell where they are, and are left out")
    if others := sorted({*split} - {*SPLITS, UNUSED}):
        notes.append(f"{path}: expected splits named {', '.join(SPLITS)}, found {few(others)} too: these are left out")
    return Judged(title, table, {}, notes=tuple(notes))


def _telling(columns: Mapping[str, list[str]], choice: Choice) -> list[tuple[Pipeline, list[str], Named]]:
    """Return the columns whose names tell where they are, with datasets that know them: radar images first."""
    known = [catalog.pipeline(choice.dataset)] if choice.dataset else list(catalog.sound()[0].values())
    tried = [
        (pipeline, names, named)
        for pipeline in known
        if pipeline.named and (named := partial(_look_up, pipeline.named))
        for names in columns.values()
        if any(map(named, names[:LOOKED]))
    ]
    return sorted(tried, key=lambda match: not any(name.startswith(SENTINEL1) for name in match[1][:LOOKED]))


def _look_up(named: Named, text: str) -> Record | None:
    """Return the record of a name, which may be that of a file below folders."""
    return named(text) or named(PurePosixPath(text).stem)


def _key(text: str) -> Record | None:
    return Record(key=stem, files=()) if (stem := PurePosixPath(text).stem) else None


def _beside(columns: Mapping[str, list[str]], folder: Path) -> dict[str, list[str]]:
    """Return what the tables of a folder have beside the names of a list, by column; what they lack stays as it is."""
    partners: dict[str, dict[str, str]] = {}
    names = {name for column in columns.values() for name in column}
    for path in sorted(folder.glob("*.parquet")):
        table = columns_of(path)
        for key in (column for column, values in table.items() if not names.isdisjoint(values)):
            for other in sorted(table.keys() - {key, "split"}):
                partners.setdefault(other, {}).update(zip(table[key], table[other], strict=True))
    return {
        f"{own}, {other}": [beside.get(name, name) for name in column]
        for own, column in columns.items()
        for other, beside in partners.items()
    }


def _drawn(pipeline: Pipeline, records: Sequence[Record], path: Path, choice: Choice) -> tuple[str, Sequence[str]]:
    """Return the name of the chosen policy and the split of each record of a list."""
    name, policy = parse(choice.split or "", pipeline.all_splits)
    lists = ListFinder.beside(path, choice.lists)
    if isinstance(policy, ByLists):
        policy.check_lists(lists)
    return name, policy.assign(records, seed=choice.seed, lists=lists).split
