"""Prepare: scan, split and plan a raw dataset, and open its draft; nothing here reads a pixel."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from sar_data import formats
from sar_data.builder.draft import Draft
from sar_data.builder.open import open_draft
from sar_data.builder.origin import Raw
from sar_data.builder.scan import OnBad, scan
from sar_data.errors import BadRecord, UsageError
from sar_data.formats.container import Format
from sar_data.progress import Progress, Say
from sar_data.record import Record
from sar_data.runners import Runner
from sar_data.sealed.index import fingerprint
from sar_data.sealed.manifest import BandDocument, Quarantined, Storage, TaskDocument
from sar_data.sealed.names import check_spec
from sar_data.sources.archives.open import open_tree
from sar_data.sources.lists import FoundLists
from sar_data.spec import DatasetSpec, Pipeline
from sar_data.split.leakage import touching_share
from sar_data.split.parse import parse
from sar_data.split.policy import SPLITS, Assignment, SplitPolicy
from sar_data.split.shares import class_shares
from sar_data.system.bulk import bulk


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a user chooses of a raw build; all but `on_bad` and `work` are part of the recipe.

    `split` is a policy as `parse` reads it, None for the dataset's default; `limit` takes that many records in
    hash order; `lists` is a folder of official lists; `work` is where what reading an archive needs is kept, beside the
    archive without it; `rehash` lets the fingerprint cover the files' contents;
    `statistics=False` leaves them out, which only a benchmark should want.
    """

    format: str = "zarr"
    compression: str | None = None
    split: str | None = None
    seed: int = 0
    limit: int | None = None
    lists: Path | None = None
    work: Path | None = None
    shard_length: int = 256  # about 30 MB of BigEarthNet: long against a seek, short against a cache
    rehash: bool = False
    statistics: bool = True
    on_bad: OnBad = "stop"


@bulk()
def prepare(
    pipeline: Pipeline,
    *,
    source: Path,
    out: Path,
    options: Options,
    runner: Runner,
    progress: Progress | None = None,
    tell: Say | None = None,
) -> Draft:
    """Return the draft of a raw build, its target locked; one that exists sealed is returned as such.

    `tell` is called with what a user should know of the source, such as the disk that a compressed archive needs.
    """
    container = formats.get(options.format, options.compression)
    named = [file.name for file in pipeline.spec.sources]
    tree = open_tree(source, work=options.work, named=named, progress=progress, tell=tell)
    pipeline, discovered = pipeline.fit(tree) if pipeline.fit else (pipeline, ())
    if tell:
        for line in discovered:
            tell(f"found: {line}")
    spec = pipeline.spec
    check_spec(spec)
    name, policy = parse(options.split or next(iter(pipeline.splits)), pipeline.splits)
    check_shape(spec, container)
    scanned = scan(
        pipeline,
        tree,
        runner=runner,
        on_bad=options.on_bad,
        limit=options.limit,
        rehash=options.rehash,
        progress=progress,
    )
    records = scanned.records
    assignment = policy.assign(records, seed=options.seed, lists=FoundLists.beside(source, options.lists, tree))
    misplaced = _misplaced(records, assignment, options.on_bad)
    chosen = {"policy": name, "parameters": _parameters(policy), "seed": options.seed}
    leakage = touching_share(records, assignment.split)
    facts: dict[str, Any] = {
        **_of_spec(spec),
        "format": container.name,
        "compression": options.compression,
        "storage": Storage(dtype=spec.dtype),
        "split_policy": {
            **chosen,
            "notes": dict(assignment.notes),
            "leakage": "unknown" if leakage is None else leakage,
        },
        "unused": dict(Counter(reason for reason in assignment.reason if reason is not None)),
        "discovered": list(discovered),
        "applied": [],
        "parent": None,
        "quarantine": [*scanned.quarantined, *misplaced],
        "recipe": {
            "dataset": [spec.name, spec.version, spec.revision, *([spec.variant] if spec.variant else [])],
            **({"fitted": [spec.dtype, spec.shape, spec.units]} if discovered else {}),
            "format": [container.name, container.version, options.compression],
            "shard_length": options.shard_length,
            "limit": options.limit,
            "statistics": options.statistics,
            "split": {**chosen, "outcome": _outcome(records, assignment)},
            "source": fingerprint(records),
        },
    }
    table = scanned.table
    reasons = pa.array(assignment.reason, pa.string())
    return open_draft(
        out,
        facts,
        Raw(pipeline, tree),
        table.set_column(table.column_names.index("reason"), table.schema.field("reason"), reasons),
        list(assignment.split),
        _shares(records, assignment, spec),
        shard_length=options.shard_length,
        statistics=options.statistics,
        on_bad=options.on_bad,
    )


def check_shape(spec: DatasetSpec, container: Format) -> None:
    """Raise UsageError where images of several sizes meet a container that has one."""
    if spec.shape is None and container.one_shape:
        raise UsageError(
            f"{spec.name} has images of several sizes, {container.name} needs one: use --format webdataset or lmdb, or "
            "make them one size with --crop N or --pad N"
        )


def _misplaced(records: Sequence[Record], assignment: Assignment, on_bad: OnBad) -> list[Quarantined]:
    """Return the records that the policy could not place; under `stop` the first of them is an error."""
    paths = {record.key: record.files[0].path for record in records if record.key in assignment.bad}
    bad = [Quarantined(key=key, path=paths[key], reason=assignment.bad[key]) for key in sorted(assignment.bad)]
    if bad and on_bad == "stop":
        raise BadRecord(bad[0].path, f"{bad[0].key}: {bad[0].reason}")
    return bad


def _parameters(policy: SplitPolicy) -> dict[str, Any]:
    if not dataclasses.is_dataclass(policy):
        return {}
    return {field.name: _plain(getattr(policy, field.name)) for field in dataclasses.fields(policy)}


def _plain(value: Any) -> Any:
    """Return a parameter as JSON has it."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _outcome(records: Sequence[Record], assignment: Assignment) -> str:
    """Return the digest of who is where: lists and policies may change, the same outcome is the same recipe."""
    digest = xxhash.xxh3_128()
    for record, split in zip(records, assignment.split, strict=True):
        digest.update(f"{record.key}\t{split}\n".encode())
    return digest.hexdigest()


def _shares(records: Sequence[Record], assignment: Assignment, spec: DatasetSpec) -> dict[str, dict[str, float]]:
    classes = spec.tasks[0].classes if spec.tasks else ()
    shares = class_shares(records, assignment.split, classes)
    return {split: dict(zip(classes, shares.get(split, [0.0] * len(classes)), strict=True)) for split in SPLITS}


def _of_spec(spec: DatasetSpec) -> dict[str, Any]:
    """Return the manifest's fields that the declaration alone decides."""
    same = (
        *("version", "variant", "title", "licence", "citation", "evidence", "shape", "frames", "pixel_size_m"),
        *("calibration", "terrain_corrected", "range_axis", "symmetries"),
    )
    return {
        "dataset": spec.name,
        **{name: _plain(getattr(spec, name)) for name in same},
        "bands": [
            BandDocument(name=b.name, polarization=b.polarization, unit=b.unit, description=b.description)
            for b in spec.bands
        ],
        "tasks": [TaskDocument(name=t.name, kind=t.kind, classes=list(t.classes)) for t in spec.tasks],
    }
