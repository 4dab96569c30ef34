"""Scan: from a source tree to records, reading names, labels and headers but never pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from sar_data.errors import BadRecord, SourceError
from sar_data.manifest import Quarantined
from sar_data.plan import hash_order
from sar_data.record import Record
from sar_data.runners import Runner
from sar_data.sources.tree import Tree, Witness
from sar_data.spec import Pipeline

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, the items done and the items to do."""

OnBad = Literal["stop", "quarantine"]
CHUNK = 512  # units a task: long against the cost of a task, short against the whole


@dataclass(frozen=True, slots=True)
class Scanned:
    """The sound records, sorted by key, and the unsound ones with their reasons."""

    records: list[Record]
    quarantined: list[Quarantined]


def scan(
    pipeline: Pipeline,
    tree: Tree,
    *,
    runner: Runner,
    on_bad: OnBad = "stop",
    limit: int | None = None,
    rehash: bool = False,
    progress: Progress | None = None,
) -> Scanned:
    """Return all records of `tree`, or `limit` of them in hash order.

    `rehash` reads every file and records its xxh3, so that the fingerprint covers contents, not only sizes.
    Raises SourceError where there is no record, and BadRecord for the first bad one (by name) unless quarantined.
    """
    units = sorted(pipeline.units(tree))
    if limit is not None:
        units = sorted(units[i] for i in hash_order(units)[:limit])
    chunks = [units[i : i + CHUNK] for i in range(0, len(units), CHUNK)]
    records: list[Record] = []
    quarantined: list[Quarantined] = []
    for found, bad in runner.map(partial(_scan_chunk, pipeline, tree, on_bad, rehash), chunks):
        records += found
        quarantined += bad
        if progress:
            progress("scan", len(records) + len(quarantined), len(units))
    if not records:
        why = f"; the first of {len(quarantined)} bad records: {quarantined[0].reason}" if quarantined else ""
        raise SourceError(
            f"no record of {pipeline.spec.name} found in the source{why}. Expected the published layout "
            f"(sar-data info {pipeline.spec.name} shows it)."
        )
    records.sort(key=lambda record: (record.key, record.files[0].path))
    records, twins = _without_twins(records)
    if twins and on_bad == "stop":
        raise BadRecord(twins[0].path, twins[0].reason)
    if limit is not None:
        records = [records[i] for i in sorted(hash_order([r.key for r in records])[:limit])]
    return Scanned(records, quarantined + twins)


def _scan_chunk(
    pipeline: Pipeline, tree: Tree, on_bad: OnBad, rehash: bool, units: Sequence[str]
) -> tuple[list[Record], list[Quarantined]]:
    records: list[Record] = []
    bad: list[Quarantined] = []
    for unit in units:
        try:
            found = list(pipeline.scan(tree, unit))
            records += [_rehashed(tree, record) for record in found] if rehash else found
        except BadRecord as error:
            if on_bad == "stop":
                raise
            bad.append(Quarantined(key=None, path=error.path, reason=error.reason))
    return records, bad


def _rehashed(tree: Tree, record: Record) -> Record:
    seen: dict[str, str] = {}
    for file in record.files:
        Witness(tree, seen).read(file.path)
    return replace(record, files=tuple(replace(file, xxh3=seen[file.path]) for file in record.files))


def _without_twins(records: list[Record]) -> tuple[list[Record], list[Quarantined]]:
    """Keep the first record of each key (by path) and return the others as quarantined."""
    kept: list[Record] = []
    twins: list[Quarantined] = []
    for record in records:
        if kept and kept[-1].key == record.key:
            reason = f"duplicate key {record.key}: also in {kept[-1].files[0].path}"
            twins.append(Quarantined(key=record.key, path=record.files[0].path, reason=reason))
        else:
            kept.append(record)
    return kept, twins
