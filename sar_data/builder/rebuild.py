"""Rebuild: the content of a sealed build again, from its manifest, its index and the sources alone.

Nothing of the shards is read. A baked build needs its parent, which is built first: of the records in the index, each
in its split. The content digest is compared before anything is sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc

import sar_data
from sar_data import catalog, formats
from sar_data.builder import prepare as preparing
from sar_data.builder.draft import Draft
from sar_data.builder.fit import Fitted
from sar_data.builder.gate import with_absence
from sar_data.builder.open import begin, open_draft
from sar_data.builder.origin import Baked, Origin, Raw
from sar_data.builder.raw_statistics import recognise
from sar_data.builder.rebake import bakes_of
from sar_data.builder.recorded import Slots, recorded_plan
from sar_data.builder.request import BuildRequest
from sar_data.errors import BuildError, SourceError, UsageError
from sar_data.formats.container import Format
from sar_data.naming import few
from sar_data.progress import Progress, Say
from sar_data.record import Record
from sar_data.runners import Runner
from sar_data.sealed.index import SCAN
from sar_data.sealed.manifest import NAME, Manifest
from sar_data.sealed.opened import Build
from sar_data.sealed.places import place_column
from sar_data.sealed.records import Records, to_records
from sar_data.spec import ComplexAs, Pipeline
from sar_data.split.policy import Assignment
from sar_data.system.store import Place, place_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildRequest:
    """The content of the build at `path` again, below `out`; of that build, manifest and index are read alone.

    `source` has the raw files, a folder or their archive, or is another sealed build: of the same content, or the
    parent. `dataset` says what raw files are, where the manifest's name is no dataset that is known and they are not
    recognised. `work` is for work files of an archive. Raises UsageError for a dataset that does not exist.
    """

    path: Path
    source: Path
    out: Place
    dataset: str | Pipeline | None = None
    work: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "out", place_of(self.out))
        if isinstance(self.dataset, str):
            catalog.pipeline(self.dataset)


def needs_parent(request: RebuildRequest) -> bool:
    """Say whether the parent is to be built first, from raw files."""
    return open_build(request.source) is None and Manifest.load(request.path).parent is not None


def open_build(source: Path) -> Build | None:
    """Return the sealed build that a source is, None for raw files; raise BuildError for a damaged one."""
    return Build.open(source) if (source / NAME).is_file() else None


def prepare_rebuild(
    request: RebuildRequest, parent: Build | None, progress: Progress | None = None, say: Say | None = None
) -> Draft:
    """Return the draft of the build; `parent` was built before, where the build needs one."""
    build = Build.open(request.path)
    manifest, index = build.manifest, build.index()
    origin, index, counts = sources_of(request, manifest, index, parent, progress, say)
    plan = recorded_plan(manifest, index, origin, before=counts)
    decisions = plan.decisions.model_copy(update={"sar_data_version": sar_data.__version__})
    slots = Slots.of(manifest, index)
    return begin(request.out, replace(plan, decisions=decisions), slots.splits, slots.shards, slots.parts(), say)


def sources_of(
    request: RebuildRequest,
    manifest: Manifest,
    index: pa.Table,
    parent: Build | None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> tuple[Origin, pa.Table, dict[str, dict[str, int]]]:
    """Return where the pixels of a build come from, its index with their places there, and what was clipped before.

    `parent` was built before, where the build needs one.
    """
    if (other := parent or open_build(request.source)) is not None:
        origin, places = origin_in(other, manifest, index)
        counts = {name: getattr(other.manifest, name) for name in ("clipped", "unvalued")}
        return origin, index.append_column("parent", places), counts
    packed = index.filter(pc.is_valid(index["shard"]))
    return raw_origin(request, manifest, to_records(packed.select(SCAN.names)), progress, say), index, {}


def origin_in(other: Build, manifest: Manifest, index: pa.Table) -> tuple[Baked, pa.StructArray]:
    """Return the pixels of a build in another one, and where they lie there, a row of the index each.

    The other one has the same content, or fewer steps of baking. Raises BuildError where it is another dataset, or
    lacks records.
    """
    shared = len(other.manifest.applied)
    if other.manifest.dataset != manifest.dataset or other.manifest.applied != manifest.applied[:shared]:
        raise BuildError(
            f"{other.path}: expected a build of {manifest.dataset} with the same steps or fewer, found another one"
        )
    table = other.index()
    rows = pc.index_in(index["key"], value_set=table["key"])
    if missing := index["key"].filter(pc.is_null(rows)).to_pylist():
        raise BuildError(f"{other.path}: expected all records of the build, found none of the key {missing[0]}")
    bands = [band.name for band in other.manifest.bands]
    return Baked(other, bakes_of(other.manifest, manifest.applied[shared:])), place_column(table.take(rows), bands)


def pipeline_of(request: RebuildRequest, manifest: Manifest) -> Pipeline:
    """Return the pipeline of the raw files; raise SourceError or UsageError where none is known."""
    if isinstance(request.dataset, Pipeline):
        return request.dataset
    if request.dataset is not None:
        return catalog.pipeline(request.dataset, manifest.variant or None)
    with suppress(UsageError):
        return catalog.pipeline(manifest.dataset, manifest.variant or None)
    return recognise(request.source)


def raw_origin(
    request: RebuildRequest,
    manifest: Manifest,
    records: Sequence[Record],
    progress: Progress | None = None,
    say: Say | None = None,
) -> Raw:
    """Return the raw files of a lossless build, read by what fits them; raise SourceError where nothing does."""
    fit = _fit(lossless_request(request, manifest), manifest, progress, say)
    pipeline, _ = with_absence(fit.pipeline, fit.tree, records)
    if pipeline.spec.dtype != manifest.storage.dtype:
        raise SourceError(f"{request.source}: expected {manifest.storage.dtype}, found {pipeline.spec.dtype}")
    return Raw(pipeline, fit.tree)


def lossless_request(request: RebuildRequest, manifest: Manifest) -> BuildRequest:
    """Return the request of a lossless build, as far as a manifest tells it."""
    return BuildRequest(
        dataset=pipeline_of(request, manifest),
        source=request.source,
        out=request.out,
        work=request.work,
        declare=manifest.recipe["imported"][1] or None if "imported" in manifest.recipe else None,
        bad_records="quarantine",
    )


def _fit(asked: BuildRequest, manifest: Manifest, progress: Progress | None, say: Say | None) -> Fitted:
    """Return what fits the raw files; complex numbers become what gives the manifest's bands."""
    bands = [band.name for band in manifest.bands]
    for how in (None, *get_args(ComplexAs)):
        with suppress(UsageError, *((SourceError,) if how is None else ())):
            fit, _ = preparing.open_source(replace(asked, complex_as=how), progress, say)
            if [band.name for band in fit.pipeline.spec.bands] == bands:
                return fit
    preparing.open_source(asked, progress, None)  # which says what is wrong with the source
    raise SourceError(f"{asked.source}: expected files with the bands {few(bands)}, found others")


def prepare_parent(
    request: RebuildRequest, runner: Runner, progress: Progress | None = None, say: Say | None = None
) -> Draft:
    """Return the draft of the lossless build that a baked one is made of: its records, each in its split."""
    build = Build.open(request.path)
    manifest, index = build.manifest, build.index()
    asked = lossless_request(request, manifest)
    scanned, fit = preparing.scan_source(asked, _fit(asked, manifest, progress, say), runner, progress, say)
    keys, *columns = (index[name].to_pylist() for name in ("key", "split", "reason"))
    places = dict(zip(keys, zip(*columns, strict=True), strict=True))
    records = Records(scanned.table.filter(pc.is_in(scanned.table["key"], index["key"])))
    if missing := places.keys() - set(records.values("key")):
        raise SourceError(f"{request.source}: expected all records of the build, found none of the key {min(missing)}")
    splits, reasons = zip(*(places[record.key] for record in records), strict=True)
    policy = manifest.split_policy
    plan = preparing.plan_of(
        asked,
        fit,
        replace(scanned, records=records, quarantined=[]),
        Assignment(splits, reasons, notes=policy.notes),
        {"policy": policy.policy, "parameters": policy.parameters, "seed": policy.seed},
        _container(manifest, fit),
        progress,
    )
    return open_draft(request.out, plan, say)


def _container(manifest: Manifest, fit: Fitted) -> Format:
    """Return the container of the parent, by the name of its folder, or the one that suits the dataset."""
    name = manifest.parent.path.partition("-")[0] if manifest.parent else ""
    container = formats.get(name if name in formats.names() else fit.pipeline.spec.container)
    return (
        formats.get(fit.pipeline.spec.container) if container.one_shape and not fit.pipeline.spec.shape else container
    )
