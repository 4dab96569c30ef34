"""Prepare: scan, split and plan a raw dataset, and open its draft; nothing here reads a pixel."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

import sar_data
from sar_data import formats
from sar_data.builder import published
from sar_data.builder.dates import describe_mixed_dates
from sar_data.builder.draft import Draft
from sar_data.builder.fit import Fitted, fit_source
from sar_data.builder.gate import with_absence
from sar_data.builder.imported import imported_from
from sar_data.builder.kept import kept
from sar_data.builder.newer import newer_than
from sar_data.builder.open import open_draft, open_each
from sar_data.builder.origin import Raw
from sar_data.builder.plan import Plan
from sar_data.builder.request import BadRecords, BuildRequest
from sar_data.builder.scan import Scanned, count_dropped, describe_dropped, offering_quarantine, scan
from sar_data.builder.sizes import largest
from sar_data.errors import BadRecord, UsageError
from sar_data.formats.container import Format
from sar_data.progress import WARNING, Progress, Say
from sar_data.record import Record
from sar_data.runners import Runner
from sar_data.sealed.documents import (
    Applied,
    BandDocument,
    ProcessingDocument,
    Quarantined,
    SplitPolicyDocument,
    Storage,
    TaskDocument,
)
from sar_data.sealed.leakage import COLUMNS, Card, card, records_share
from sar_data.sealed.manifest import NAME, Decisions, Identity, recipe_digest
from sar_data.sealed.names import check_spec
from sar_data.sealed.records import fingerprint
from sar_data.sources.archives.open import open_tree
from sar_data.sources.filter import pop_read_paths
from sar_data.sources.lists import ListFinder
from sar_data.sources.unclaimed import count_in_error, find_unclaimed
from sar_data.spec import DatasetSpec, Pipeline
from sar_data.split import missing_classes
from sar_data.split.parse import parse
from sar_data.split.policy import SPLITS, Assignment, ByLists, SplitPolicy, parameters_of
from sar_data.split.shares import class_shares
from sar_data.system.bulk import bulk
from sar_data.system.store import absolute, is_url


def prepare(request: BuildRequest, runner: Runner, progress: Progress | None = None, say: Say | None = None) -> Draft:
    """Return the draft of a request for one container, as `prepare_each` does."""
    (draft,) = prepare_each(request, runner, progress, say)
    return draft


@bulk()
def prepare_each(
    request: BuildRequest, runner: Runner, progress: Progress | None = None, say: Say | None = None
) -> list[Draft]:
    """Return the draft of the lossless build of each container that is asked for, their targets locked; one scan.

    Of containers with the same lossless build the draft is the same. A build that stands sealed is returned as such.
    What is to be baked from it is checked against the sizes of images. `say` is called with what a user should know of
    the source, such as the disk that a compressed archive needs.
    """
    fit, lists = open_source(request, progress, say)
    pipeline, spec = fit.pipeline, fit.pipeline.spec
    check_spec(spec)
    request.check_bands({band.name: band.unit for band in spec.bands})
    containers = containers_of(request, spec)
    name, policy = _policy(request, pipeline)
    if isinstance(policy, ByLists):
        policy.check_lists(lists)  # before half a million records are scanned
    before = kept(request.keep, spec.name, name, policy) if request.keep else None
    scanned, fit = scan_source(request, fit, runner, progress, say)
    records, spec = scanned.records, fit.pipeline.spec
    request.check_sizes(largest(scanned.table, spec.shape))
    assignment = (
        before.assign(records, request.seed) if before else policy.assign(records, seed=request.seed, lists=lists)
    )
    _report(request, fit, scanned, published.counts_of(spec, records, assignment.split, name), say)
    if say and request.limit is None and (left := _left_out(request, fit.pipeline, records, assignment)):
        say(f"{WARNING}{left}")
    chosen = {"policy": name, "parameters": _parameters(policy), "seed": request.seed}
    return open_drafts(request, fit, plan_of(request, fit, scanned, assignment, chosen, containers[0], progress), say)


def open_drafts(request: BuildRequest, fit: Fitted, plan: Plan, say: Say | None = None) -> list[Draft]:
    """Return the draft of a plan in the container of the lossless build of each that is asked for."""
    plans = [plan.packed_in(container) for container in containers_of(request, fit.pipeline.spec)]
    recipes = {plan.decisions.recipe_digest: plan for plan in plans}
    drafts = open_each(partial(_open, request, fit, plan, say) for plan in recipes.values())
    by_recipe = dict(zip(recipes, drafts, strict=True))
    return [by_recipe[plan.decisions.recipe_digest] for plan in plans]


def containers_of(request: BuildRequest, spec: DatasetSpec) -> list[Format]:
    """Return the container of the lossless build of each container that is asked for."""
    lossless = [request.of(format).lossless for format in request.formats]
    containers = [formats.get(single.formats[0] or spec.container, single.packing) for single in lossless]
    for container in containers:
        check_shape(spec, container)
    return containers


def plan_of(
    request: BuildRequest,
    fit: Fitted,
    scanned: Scanned,
    assignment: Assignment,
    chosen: dict[str, Any],
    container: Format,
    progress: Progress | None = None,
) -> Plan:
    """Return the plan of what was scanned, in the splits of an assignment, of which the recipe says `chosen`."""
    spec, records, table = fit.pipeline.spec, scanned.records, scanned.table
    source_container = imported_from(request.source, fit, progress)
    recipe = {
        "dataset": [spec.name, spec.version, spec.revision, *([spec.variant] if spec.variant else [])],
        **_describe_discovery(request.pipeline, fit),
        "format": [container.name, container.version, container.compression],
        "shard_length": request.shard_length,
        "limit": request.limit,
        "statistics": request.statistics,
        "split": {**chosen, "outcome": _outcome(records, assignment)},
        "source": fingerprint(table, whole=request.pipeline.declare is not None),
        **({"imported": [source_container.sha256, dict(fit.pipeline.asked)]} if source_container else {}),
    }
    reasons = pa.array(assignment.reason, pa.string())
    return Plan(
        identity=_identity(spec, fit),
        decisions=_decisions(spec, container, assignment, chosen, recipe, leakage_of(table, assignment)).model_copy(
            update={"imported_from": source_container}
        ),
        origin=Raw(fit.pipeline, fit.tree),
        scanned=table.set_column(table.column_names.index("reason"), table.schema.field("reason"), reasons),
        split=list(assignment.split),
        shares=shares_of(records, assignment, spec),
        shard_length=request.shard_length,
        statistics=request.statistics,
        bad_records=request.bad_records,
        suspect_limit=request.suspect_limit,
        quarantine=[*scanned.quarantined, *_list_misplaced(records, assignment, request.bad_records)],
    )


def _open(request: BuildRequest, fit: Fitted, plan: Plan, say: Say | None) -> Draft:
    """Return the draft of a plan; warn where files of the source are newer than the build that stands sealed."""
    draft = open_draft(request.out, plan, say)
    place, source = draft.target.place, request.source
    hashed = request.rehash or fit.pipeline.rehash
    if draft.sealed and isinstance(place, Path) and isinstance(source, Path) and say and not hashed:
        warning = newer_than(place / NAME, source, fit.tree, draft.plan.scanned)
        if warning:
            say(f"warning: {warning}")
    return draft


def open_source(request: BuildRequest, progress: Progress | None, say: Say | None) -> tuple[Fitted, ListFinder]:
    """Return what fits a request's source, which `say` is told, and where its lists are."""
    named = [file.name for file in request.pipeline.spec.sources]
    tree = open_tree(request.source, work=request.work, named=named, progress=progress, tell=say)
    fit = fit_source(request.pipeline, tree, request.source, request.complex_as)
    _say_all((_describe_target(request), fit.layout, *fit.discovered), say)
    return fit, ListFinder.beside(request.source, request.lists, fit.tree, tree)


def _describe_target(request: BuildRequest) -> str:
    """Return a warning where builds would lie among the files that they are made of; "" elsewhere."""
    if is_url(request.out) or absolute(request.out) != absolute(request.source):
        return ""
    return (
        f"{WARNING}`out={request.out}`: expected a folder beside the source, found the source itself: builds and raw "
        "files will lie in one folder. Choose another `out=…`"
    )


def scan_source(
    request: BuildRequest, fit: Fitted, runner: Runner, progress: Progress | None, say: Say | None
) -> tuple[Scanned, Fitted]:
    """Return what a scan finds, and what fits it: NaN has a place where the files of some record need it."""
    with count_in_error(fit.tree), offering_quarantine(request.bad_records):
        scanned = scan(
            fit.pipeline,
            fit.tree,
            runner=runner,
            bad_records=request.bad_records,
            bad_objects=request.bad_objects,
            limit=request.limit,
            rehash=request.rehash or fit.pipeline.rehash,
            progress=progress,
        )
    pipeline, declared = with_absence(fit.pipeline, fit.tree, scanned.records)
    discovered = (*declared, *describe_mixed_dates(scanned.table))
    _say_all(discovered, say)
    return scanned, dataclasses.replace(fit, pipeline=pipeline, discovered=(*fit.discovered, *discovered))


def _report(request: BuildRequest, fit: Fitted, scanned: Scanned, counts: Mapping[str, int], say: Say | None) -> None:
    """Say how much of the dataset is here and what was left out of it; raise SourceError where all was asked for."""
    spec, tree = fit.pipeline.spec, fit.tree
    if request.complete:
        published.check(spec, len(scanned.records), counts)
    dropped = count_dropped(scanned.table)
    lines = [f"dropped: {describe_dropped(dropped)}"] if dropped else []
    if request.limit is None:
        files = pc.list_flatten(scanned.table["files"])
        claimed = {*pc.struct_field(files, "path").to_pylist()}
        claimed |= scanned.read | pop_read_paths(tree) | {quarantined.path for quarantined in scanned.quarantined}
        lines += find_unclaimed(tree, claimed, spec.lists).sentences() if say else []
        lines.append(published.describe_counts(spec, len(scanned.records), counts))
    if say:
        for line in filter(None, lines):
            say(line)


def _policy(request: BuildRequest, pipeline: Pipeline) -> tuple[str, SplitPolicy]:
    """Return the split that is asked for, or the first; raise UsageError where the source does not admit it."""
    name = (request.split or "").partition(":")[0].strip()
    if name in pipeline.withheld:
        raise UsageError(f"`split={name}`: expected {pipeline.withheld[name]}, found none")
    return parse(request.split or next(iter(pipeline.splits)), pipeline.all_splits)


def _left_out(request: BuildRequest, pipeline: Pipeline, records: Sequence[Record], assignment: Assignment) -> str:
    """Return what the split leaves out, with a remedy; nothing where it leaves nothing out."""
    name, policy = _policy(request, pipeline)
    classes = pipeline.spec.tasks[0].classes if pipeline.spec.tasks else ()
    return missing_classes.warning((name, policy), pipeline.all_splits, records, assignment, request.seed, classes)


def _say_all(sentences: Sequence[str], say: Say | None) -> None:
    """Tell what was found of a source."""
    if say:
        for line in filter(None, sentences):
            say(line if line.startswith(WARNING) else f"found: {line}")


def _decisions(
    spec: DatasetSpec,
    container: Format,
    assignment: Assignment,
    chosen: dict[str, Any],
    recipe: dict[str, Any],
    leakage: Card,
) -> Decisions:
    scaling = {"scale": list(spec.scale), "offset": list(spec.offset)}
    return Decisions(
        sar_data_version=sar_data.__version__,
        format=container.name,
        compression=container.compression,
        split_policy=SplitPolicyDocument(**chosen, notes=dict(assignment.notes)),
        leakage=leakage,
        unused=dict(Counter(reason for reason in assignment.reason if reason is not None)),
        applied=[Applied(step="scale", parameters=scaling)] if spec.scale else [],
        parent=None,
        recipe=recipe,
        recipe_digest=recipe_digest(recipe),
    )


def leakage_of(table: pa.Table, assignment: Assignment) -> Card:
    """Return what a split's samples share, as far as records tell; `seal` adds what their pixels tell."""
    split = pa.array(assignment.split, pa.string())
    return card(table.select(COLUMNS).append_column("split", split), records_share)


def check_shape(spec: DatasetSpec, container: Format) -> None:
    """Raise UsageError where images of several sizes meet a container that has one."""
    if spec.shape is None and container.one_shape:
        raise UsageError(
            f"{spec.name} has images of several sizes, {container.name} needs one: use `format=webdataset` or "
            "`format=lmdb`, or make them one size with `crop=…` or `pad=…`"
        )


def _list_misplaced(records: Sequence[Record], assignment: Assignment, bad_records: BadRecords) -> list[Quarantined]:
    """Return the records that the policy could not place; under `stop` the first of them is an error."""
    paths = {record.key: record.files[0].path for record in records if record.key in assignment.bad}
    bad = [Quarantined(key=key, path=paths[key], reason=assignment.bad[key]) for key in sorted(assignment.bad)]
    if bad and bad_records == "stop":
        with offering_quarantine(bad_records):
            raise BadRecord(bad[0].path, f"{bad[0].key}: {bad[0].reason}")
    return bad


def _parameters(policy: SplitPolicy) -> dict[str, Any]:
    return {name: _plain(value) for name, value in parameters_of(policy).items()}


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


def shares_of(records: Sequence[Record], assignment: Assignment, spec: DatasetSpec) -> dict[str, dict[str, float]]:
    """Return the share of samples with each class, by split; none of masks whose classes only pixels tell."""
    classes = spec.tasks[0].classes if spec.tasks else ()
    if spec.mask and not any(next(iter(record.labels.values()), ()) for record in records):
        classes = ()
    shares = class_shares(records, assignment.split, classes)
    return {split: dict(zip(classes, shares.get(split, [0.0] * len(classes)), strict=True)) for split in SPLITS}


def _describe_discovery(asked: Pipeline, fit: Fitted) -> dict[str, Any]:
    """Return what a recipe covers beyond the source's files: what was fitted, and what their owner declares of them."""
    spec = fit.pipeline.spec
    facts: dict[str, Any] = {"fitted": [spec.dtype, spec.shape, spec.units]} if fit.discovered else {}
    if asked.declare is None:
        return facts
    bands = [[band.name, band.polarization, band.unit] for band in spec.bands]
    tasks = [[task.name, task.kind, list(task.classes)] for task in spec.tasks]
    declared = [
        spec.title,
        spec.licence,
        spec.citation,
        spec.calibration,
        spec.terrain_corrected,
        spec.pixel_size_m,
        spec.nodata,
        *([spec.scale, spec.offset] if spec.scale else []),
    ]
    return facts | {"declared": [bands, tasks, spec.frames, declared]}


def _identity(spec: DatasetSpec, fit: Fitted) -> Identity:
    """Return what the declaration says of the data, and what the source itself told."""
    stated = None if spec.processing is None else ProcessingDocument(**dataclasses.asdict(spec.processing))
    return Identity(
        dataset=spec.name,
        version=spec.version,
        variant=spec.variant,
        title=spec.title,
        licence=spec.licence,
        citation=spec.citation,
        evidence=spec.evidence,
        bands=[
            BandDocument(
                name=band.name,
                polarization=band.polarization,
                unit=band.unit,
                description=band.description,
                calibration=band.calibration or spec.calibration,
                terrain_corrected=spec.terrain_corrected if band.terrain_corrected is None else band.terrain_corrected,
                processing=stated,
            )
            for band in spec.bands
        ],
        shape=spec.shape,
        frames=spec.frames,
        pixel_size_m=spec.pixel_size_m,
        range_axis=spec.range_axis,
        symmetries=list(spec.symmetries),
        discovered=list(fit.discovered),
        layout=fit.layout,
        storage=Storage(dtype=spec.dtype),
        tasks=[TaskDocument(name=task.name, kind=task.kind, classes=list(task.classes)) for task in spec.tasks],
        records_published=spec.samples,
    )
