"""Scan: from a source tree to records, reading names, labels and headers but never pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.builder.request import BadObjects, BadRecords
from sar_data.builder.sharding import hash_order
from sar_data.errors import BadRecord, PipelineFault, SarDataError, SourceError
from sar_data.progress import Progress
from sar_data.record import Record
from sar_data.runners import Runner
from sar_data.sealed.documents import Quarantined
from sar_data.sealed.index import SCAN
from sar_data.sealed.index_bounds import record_flaw
from sar_data.sealed.names import key_flaw
from sar_data.sealed.records import Records, to_table
from sar_data.sources.filter import pop_read_paths, true_path
from sar_data.sources.placeholder import HEAD, explain_placeholders, placeholder_at
from sar_data.sources.tree import RecordingTree
from sar_data.spec import Pipeline, Tree, is_change
from sar_data.split.ground.cells import with_cells
from sar_data.system.bulk import bulk

PARTS = 64  # tables of workers that are joined at once: memory that small ones took would not be given back
CHUNK = 512  # units a task: long against the cost of a task, short against the whole


@dataclass(frozen=True, slots=True)
class Scanned:
    """The sound records, sorted by key; the unsound with their reasons.

    `read` has the files that were read as a whole for them, as far as they are in no record themselves.
    """

    records: Records
    quarantined: list[Quarantined]
    read: frozenset[str]

    @property
    def table(self) -> pa.Table:
        """The sound records in the SCAN schema."""
        return self.records.table


def units_of(pipeline: Pipeline, tree: Tree) -> list[str]:
    """Return the units of a source, sorted; raise SourceError where it cannot be listed."""
    with explain_placeholders(tree), blaming(pipeline, "units", "the source"):
        return sorted(pipeline.units(tree))


def scan(
    pipeline: Pipeline,
    tree: Tree,
    *,
    runner: Runner,
    bad_records: BadRecords = "stop",
    bad_objects: BadObjects | None = None,
    limit: int | None = None,
    rehash: bool = False,
    progress: Progress | None = None,
) -> Scanned:
    """Return all records of `tree`, or `limit` of them in hash order.

    `rehash` reads every file and records its xxh3, so that the fingerprint covers contents, not only sizes.
    Without `bad_objects` those of a dataset that is published so are dropped, else they stop the scan at its end.
    Raises SourceError where there is no record, and BadRecord for the first bad one (by name) unless quarantined.
    """
    bad_objects = bad_objects or ("drop" if pipeline.spec.bad_objects else "stop")
    units = units_of(pipeline, tree)
    if limit is not None:
        units = sorted(units[i] for i in hash_order(units)[:limit])
    chunks = [units[i : i + CHUNK] for i in range(0, len(units), CHUNK)]
    tables: list[pa.Table] = []
    parts: list[pa.Table] = []
    quarantined: list[Quarantined] = []
    read = pop_read_paths(tree)
    done = 0
    for chunk, (part, bad, touched) in zip(
        chunks,
        runner.map(partial(_scan_chunk, pipeline, tree, (bad_records, bad_objects), rehash), chunks),
        strict=True,
    ):
        parts.append(part)
        if len(parts) == PARTS:
            tables.append(_concat(parts))
        quarantined += bad
        read |= touched
        done += len(chunk)
        if progress:
            progress("scan", done, len(units))
    tables.append(_concat(parts))
    table = _concat(tables)
    if bad_objects == "stop":
        _check_objects(table)
    if not len(table):
        why = f"; the first of {len(quarantined)} bad records: {quarantined[0].reason}" if quarantined else ""
        raise SourceError(f"no record of {pipeline.spec.name} found in the source{why}")
    table, twins = _without_twins(table)
    if twins and bad_records == "stop":
        raise BadRecord(twins[0].path, twins[0].reason)
    if limit is not None and limit < len(table):
        table = table.take(pa.array(sorted(hash_order(table["key"].to_pylist())[:limit])))
    return Scanned(Records(table), quarantined + twins, frozenset(read))


def _concat(tables: list[pa.Table]) -> pa.Table:
    """Return the rows of all tables in one piece, and clear the list: only one column at a time is in memory twice."""
    columns = {}
    for name in SCAN.names:
        chunks = [chunk for table in tables for chunk in table[name].chunks]
        columns[name] = pa.chunked_array(chunks, SCAN.field(name).type).combine_chunks()
        tables[:] = [table.drop_columns(name) for table in tables]
    tables.clear()
    pa.default_memory_pool().release_unused()
    return pa.table(columns, schema=SCAN)


def _scan_chunk(
    pipeline: Pipeline, tree: Tree, bad: tuple[BadRecords, BadObjects], rehash: bool, units: Sequence[str]
) -> tuple[pa.Table, list[Quarantined], set[str]]:
    bad_records, bad_objects = bad
    records: list[Record] = []
    out: list[Quarantined] = []
    with bulk():
        for unit in units:
            try:
                of_unit = _records(pipeline, tree, unit)
                if bad_objects == "quarantine":
                    of_unit, lost = _with_sound_objects(of_unit)
                    out += lost
                records += [_rehash(tree, record) for record in of_unit] if rehash else of_unit
            except BadRecord as error:
                if bad_records == "stop":
                    raise
                out.append(Quarantined(key=None, path=error.path, reason=error.reason))
    records = with_cells(records)
    return to_table(records), out, pop_read_paths(tree) - {file.path for record in records for file in record.files}


def _records(pipeline: Pipeline, tree: Tree, unit: str) -> list[Record]:
    try:
        return [_sound(pipeline, tree, record) for record in pipeline.scan(tree, unit)]
    except Exception:
        with explain_placeholders(tree), blaming(pipeline, "scan", unit):  # entered for a fault alone: units are many
            raise


def _check_objects(table: pa.Table) -> None:
    """Raise BadRecord, with their number, where objects that no image can have were left out of records."""
    bad = Records(table.filter(pc.greater(pc.list_value_length(table["dropped"]), 0)))
    if not len(bad):
        return
    raise BadRecord(
        bad[0].files[-1].path,
        f"{bad[0].key}: expected objects that an image can have, found {describe_dropped(count_dropped(table))} in "
        f"{len(bad):,} of {len(table):,} records. `bad_objects=drop` leaves those objects out alone, "
        "`bad_objects=quarantine` their records",
    )


def count_dropped(table: pa.Table) -> dict[str, int]:
    """Return how many objects were left out of the records of a table, by reason."""
    counts = Counter[str]()
    for row in table["dropped"].combine_chunks().flatten().to_pylist():
        counts[row["reason"]] += row["count"]
    return dict(counts)


def _with_sound_objects(records: Sequence[Record]) -> tuple[list[Record], list[Quarantined]]:
    """Return the records all of whose objects are sound, and the others with what is wrong."""
    sound, lost = [], []
    for record in records:
        if record.dropped:
            reason = f"expected objects that an image can have, found {describe_dropped(record.dropped)}"
            lost.append(Quarantined(key=record.key, path=record.files[-1].path, reason=reason))
        else:
            sound.append(record)
    return sound, lost


def describe_dropped(dropped: Mapping[str, int]) -> str:
    """Return how many objects were left out, by reason."""
    return ", ".join(f"{n:,} {reason}" for reason, n in dropped.items())


@contextmanager
def blaming(pipeline: Pipeline, act: str, what: str) -> Iterator[None]:
    """Turn what nobody explains into PipelineFault."""
    try:
        yield
    except SarDataError:
        raise
    except Exception as error:
        raise PipelineFault(pipeline.spec.name, act, what, error) from error


@contextmanager
def offering_quarantine(bad_records: BadRecords) -> Iterator[None]:
    """Let a record that stops a build say how the build goes on without it, unless it names a policy of its own."""
    try:
        yield
    except BadRecord as error:
        if bad_records != "stop" or "`bad_" in error.reason:
            raise
        remedy = "`bad_records=quarantine` leaves out records that are so"
        raise BadRecord(error.path, f"{error.reason}. {remedy}") from error.__cause__


def _sound(pipeline: Pipeline, tree: Tree, record: Record) -> Record:
    """Return a record that keeps what every pipeline promises of records; else the fault is the pipeline's."""
    if reason := key_flaw(record.key):
        raise BadRecord(record.files[0].path, f"{reason}: {record.key!r}")
    for time in (record.time, *(date.time for date in record.dates)):
        if time is not None and time.tzinfo is None:
            raise ValueError(f"{record.key}: expected a time with a time zone, found {time}")
    spec = pipeline.spec
    if is_change(spec.tasks) and len(record.dates) != spec.frames:
        raise ValueError(f"{record.key}: expected a date of each of {spec.frames} images, found {len(record.dates)}")
    if missing := [task.name for task in spec.tasks if task.name not in record.labels]:
        raise ValueError(f"{record.key}: expected labels of each task, found none of {', '.join(missing)}")
    if reason := record_flaw(record):
        raise BadRecord(record.files[0].path, reason)
    for file in record.files:
        # Whole files that scan reads have a hash, and are what they seem; of others a small one may be a pointer.
        if file.size < HEAD and file.xxh3 is None and (placeholder := placeholder_at(tree, file.path)):
            raise BadRecord(file.path, placeholder.reason)
    if any(true_path(tree, file.path) != file.path for file in record.files):
        return replace(record, files=tuple(replace(file, path=true_path(tree, file.path)) for file in record.files))
    return record


def _rehash(tree: Tree, record: Record) -> Record:
    seen = {file.path: file.xxh3 for file in record.files if file.xxh3 is not None}  # read by scan as a whole
    for file in record.files:
        if file.path not in seen:
            RecordingTree(tree, seen).read(file.path)
    return replace(record, files=tuple(replace(file, xxh3=seen[file.path]) for file in record.files))


def _without_twins(table: pa.Table) -> tuple[pa.Table, list[Quarantined]]:
    """Return each key's first record (by path), sorted by key, and the others as quarantined."""
    names = pa.table({"key": table["key"], "path": pc.struct_field(pc.list_element(table["files"], 0), "path")})
    order = pc.sort_indices(names, [("key", "ascending"), ("path", "ascending")])
    keys, paths = (names[name].take(order).combine_chunks() for name in ("key", "path"))
    first = np.ones(len(table), np.bool_)
    first[1:] = pc.not_equal(keys[1:], keys[:-1]).to_numpy(zero_copy_only=False)
    before = np.maximum.accumulate(np.where(first, np.arange(len(table)), 0))  # the row of each key's first record
    twins = [
        Quarantined(key=str(keys[row]), path=str(paths[row]), reason=f"duplicate key {keys[row]}: also in {paths[at]}")
        for row, at in zip(np.flatnonzero(~first).tolist(), before[~first].tolist(), strict=True)
    ]
    rows = order.to_numpy()[first]
    return table if np.array_equal(rows, np.arange(len(table))) else table.take(pa.array(rows)), twins
