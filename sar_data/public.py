"""The public verbs: thin functions over the rooms that do the work, with the command line's names and defaults.

Paths are given as text or as Path. `workers`, `runner` and `dask_address` choose who computes, as on the command line:
processes, one a core, unless told otherwise; `runner` may also be one that is open (sar_data.runners). `progress` is
called with (stage, done, total), `say` with a sentence. Errors are those of sar_data.errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from sar_data import catalog
from sar_data.builder import itinerary
from sar_data.builder.counted import StatsRequest, count
from sar_data.builder.diff import Comparison as Differences
from sar_data.builder.diff import diff as differing
from sar_data.builder.leakage import LeakageRequest
from sar_data.builder.leakage import leakage as leaking
from sar_data.builder.outlook import Outlook, outlook
from sar_data.builder.rebuild import RebuildRequest
from sar_data.builder.repair import Repair, RepairRequest
from sar_data.builder.repair import repair as repairing
from sar_data.builder.request import (
    BadObjects,
    BadRecords,
    BuildRequest,
    Compression,
    ConvertRequest,
    Domain,
    Dtype,
    Format,
)
from sar_data.download.fetch import check_licence, check_results, fetch_as_user, folder_of, select_sources
from sar_data.download.plan import FetchPlan, plan_sources
from sar_data.download.transfer import TransferProgress
from sar_data.exporters import Exported, Target
from sar_data.exporters import export as write_export
from sar_data.progress import Progress, Say
from sar_data.runners import Crew, Kind, Runner, Serial
from sar_data.sealed.against import Comparison
from sar_data.sealed.against import against as compared
from sar_data.sealed.documents import LeakageFigure, SplitStatistics
from sar_data.sealed.looks import Radiometry, radiometry
from sar_data.sealed.opened import Build
from sar_data.sealed.recorded import statistics
from sar_data.sealed.strata import Shift, shifts, strata
from sar_data.sealed.verify import Problem
from sar_data.sealed.verify import verify as verified
from sar_data.spec import ComplexAs, Pipeline, Unit
from sar_data.system.store import absolute, place_of


def build(
    dataset: str | Pipeline,
    *,
    source: str | Path,
    out: str | Path,
    variant: str | None = None,
    declare: Mapping[str, Any] | None = None,
    work: str | Path | None = None,
    lists: str | Path | None = None,
    format: Format | Sequence[Format] | None = None,
    compression: Compression = "none",
    split: str | None = None,
    seed: int = 0,
    keep: str | Path | None = None,
    limit: int | None = None,
    shard_length: int = 256,
    rehash: bool = False,
    bad_records: BadRecords = "stop",
    speckle: str | None = None,
    unit: Unit | None = None,
    bad_objects: BadObjects | None = None,
    complete: bool = False,
    complex_as: ComplexAs | None = None,
    suspect_limit: float = 0.5,
    crop: int | None = None,
    pad: int | None = None,
    resize: int | None = None,
    resample: Domain | None = None,
    normalize: str | None = None,
    dtype: Dtype | None = None,
    drop_parent: bool = False,
    fetch: bool = False,
    mirror: str | None = None,
    accept_licence: bool = False,
    workers: int | None = None,
    runner: Kind | Runner | None = None,
    dask_address: str | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> Build:
    """Build a dataset from its raw files, a folder or their archive, and return the sealed build below `out`.

    A build of the same recipe is made once: called again, this finds it, or goes on where it was stopped. The build is
    lossless; `crop`, `pad`, `resize` (pixels), `normalize` and `dtype` bake a second one from it, which is returned.
    What the parameters mean stands in BuildRequest (sar_data/builder/request.py).
    """
    request = BuildRequest(
        dataset=dataset,
        variant=variant,
        declare=declare,
        source=place_of(source),
        out=place_of(out),
        work=_path(work),
        lists=_path(lists),
        format=format,
        compression=compression,
        split=split,
        seed=seed,
        keep=_path(keep),
        limit=limit,
        shard_length=shard_length,
        rehash=rehash,
        bad_records=bad_records,
        speckle=speckle,
        unit=unit,
        bad_objects=bad_objects,
        complete=complete,
        complex_as=complex_as,
        suspect_limit=suspect_limit,
        crop=crop,
        pad=pad,
        resize=resize,
        resample=resample,
        normalize=normalize,
        dtype=dtype,
        drop_parent=drop_parent,
        fetch=fetch,
        mirror=mirror,
        accept_licence=accept_licence,
    )
    with _crew(workers, runner, dask_address) as computing:
        return itinerary.build(request, runner=computing, progress=progress, say=say)


def plan(
    dataset: str | Pipeline,
    *,
    source: str | Path,
    out: str | Path,
    split: str | Sequence[str] | None = None,
    variant: str | None = None,
    declare: Mapping[str, Any] | None = None,
    work: str | Path | None = None,
    lists: str | Path | None = None,
    format: Format | Sequence[Format] | None = None,
    compression: Compression = "none",
    seed: int = 0,
    limit: int | None = None,
    shard_length: int = 256,
    rehash: bool = False,
    bad_records: BadRecords = "stop",
    speckle: str | None = None,
    unit: Unit | None = None,
    bad_objects: BadObjects | None = None,
    complex_as: ComplexAs | None = None,
    crop: int | None = None,
    pad: int | None = None,
    resize: int | None = None,
    resample: Domain | None = None,
    normalize: str | None = None,
    dtype: Dtype | None = None,
    drop_parent: bool = False,
    workers: int | None = None,
    runner: Kind | Runner | None = None,
    dask_address: str | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> Outlook:
    """Return what a build would come to, before it begins: records, splits, shards, bytes, disk, memory, minutes.

    `split` has the policies that are compared, as a list or as a text, "A,B", or all that the dataset offers without
    it. Of each: samples and class shares by split, samples lost to buffers, the largest deviation of a class share, and
    what test shares with train by what the records say. Bytes and minutes follow from samples that are built beside
    `out` for ten seconds at most and removed. `missing` of the result says what the build lacks. The other parameters
    are those of `build`.
    """
    request = BuildRequest(
        dataset=dataset,
        variant=variant,
        declare=declare,
        source=Path(source),
        out=Path(out),
        work=_path(work),
        lists=_path(lists),
        format=format,
        compression=compression,
        seed=seed,
        limit=limit,
        shard_length=shard_length,
        rehash=rehash,
        bad_records=bad_records,
        speckle=speckle,
        unit=unit,
        bad_objects=bad_objects,
        complex_as=complex_as,
        crop=crop,
        pad=pad,
        resize=resize,
        resample=resample,
        normalize=normalize,
        dtype=dtype,
        drop_parent=drop_parent,
    )
    with _crew(workers, runner, dask_address) as computing:
        return outlook(request, split, computing, progress, say)


def rebuild(
    path: str | Path,
    *,
    source: str | Path,
    out: str | Path,
    dataset: str | Pipeline | None = None,
    work: str | Path | None = None,
    workers: int | None = None,
    runner: Kind | Runner | None = None,
    dask_address: str | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> Build:
    """Make the content of the sealed build at `path` again below `out`, and return the new build.

    Of that build, manifest and index are read alone; a baked one is made over its parent, which is built first. The
    content digest is the same, or nothing is sealed. What the parameters mean stands in RebuildRequest
    (sar_data/builder/rebuild.py). Raises SourceError where the source is another one, BuildError for another digest.
    """
    request = RebuildRequest(path=Path(path), source=Path(source), out=place_of(out), dataset=dataset, work=_path(work))
    with _crew(workers, runner, dask_address) as computing:
        return itinerary.build(request, runner=computing, progress=progress, say=say)


def convert(
    parent: str | Path,
    *,
    out: str | Path | None = None,
    format: Format | None = None,
    compression: Compression | None = None,
    speckle: str | None = None,
    unit: Unit | None = None,
    crop: int | None = None,
    pad: int | None = None,
    resize: int | None = None,
    resample: Domain | None = None,
    normalize: str | None = None,
    dtype: Dtype | None = None,
    drop_parent: bool = False,
    workers: int | None = None,
    runner: Kind | Runner | None = None,
    dask_address: str | None = None,
    progress: Progress | None = None,
) -> Build:
    """Bake a sealed build into another container, size, dtype or normalization, and return that; the parent stays.

    What the parameters mean stands in ConvertRequest (sar_data/builder/request.py).
    """
    request = ConvertRequest(
        parent=absolute(parent),
        out=None if out is None else place_of(out),
        format=format,
        compression=compression,
        speckle=speckle,
        unit=unit,
        crop=crop,
        pad=pad,
        resize=resize,
        resample=resample,
        normalize=normalize,
        dtype=dtype,
        drop_parent=drop_parent,
    )
    with _crew(workers, runner, dask_address) as computing:
        return itinerary.convert(request, runner=computing, progress=progress)


def open(path: str | Path) -> Build:
    """Return the sealed build at `path`, a folder or a URL: manifest, index, samples.

    Raises BuildError where there is none, RemoteError where a store does not answer or may not be read.
    """
    return Build.open(path)


def verify(
    path: str | Path,
    *,
    full: bool = False,
    sample: float | None = None,
    seed: int = 0,
    workers: int | None = None,
    runner: Kind | Runner | None = None,
    dask_address: str | None = None,
    progress: Progress | None = None,
) -> list[Problem]:
    """Return all that is wrong with the sealed build at `path`, a folder or a URL, an empty list if nothing is.

    Quick looks at documents, names and sizes, in this process; `sample`, such as 0.05, also reads every byte of that
    share of the shards, drawn by `seed`; `full` reads every byte. Raises UsageError for a share that is none.
    """
    with _crew(workers, runner, dask_address, needed=full or sample is not None) as computing:
        return verified(path, full=full, sample=sample, seed=seed, runner=computing, progress=progress)


def repair(
    path: str | Path,
    *,
    source: str | Path | None = None,
    dataset: str | Pipeline | None = None,
    work: str | Path | None = None,
    workers: int | None = None,
    runner: Kind | Runner | None = None,
    dask_address: str | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
) -> Repair:
    """Repair the sealed build at `path`: rebuild its broken files, and return what was wrong and what was rebuilt.

    Shards, and the index, are made of `source`: the raw files, or another build of the same content. The build is
    replaced in one step, once the whole of it is proven; where it cannot be repaired it stays as it was, and a
    BuildError, a SourceError or a UsageError says why. What the parameters mean stands in RepairRequest
    (sar_data/builder/repair.py).
    """
    request = RepairRequest(path=Path(path), source=_path(source), dataset=dataset, work=_path(work))
    with _crew(workers, runner, dask_address) as computing:
        return repairing(request, computing, progress, say)


def diff(
    path: str | Path,
    other: str | Path,
    *,
    full: bool = False,
    workers: int | None = None,
    runner: Kind | Runner | None = None,
    dask_address: str | None = None,
    progress: Progress | None = None,
) -> Differences:
    """Return what differs between two sealed builds: their recipes, statistics, keys, splits, labels, objects, pixels.

    Containers, shards and the order of samples are no difference. Pixels are compared to one ulp, those whose recorded
    hashes differ, or all with `full`; where one build was baked further than the other, after the same steps.
    `differences` of the result is empty for equal builds, `notes` say what was compared in another form or not at all.
    Raises BuildError for a build that cannot be read.
    """
    with _crew(workers, runner, dask_address) as computing:
        return differing(Path(path), Path(other), full=full, runner=computing, progress=progress)


def stats(
    path: str | Path,
    split: str | None = None,
    *,
    by: str | None = None,
    recompute: bool = False,
    dataset: str | None = None,
    variant: str | None = None,
    plot: str | Path | None = None,
    workers: int | None = None,
    runner: Kind | Runner | None = None,
    dask_address: str | None = None,
    progress: Progress | None = None,
) -> dict[str, SplitStatistics]:
    """Return the band statistics of a build's split, or of all that hold samples; of raw files those of "all".

    What the parameters mean stands in StatsRequest (sar_data/builder/counted.py). The mean of dB values is not the dB
    value of the mean power. With `by` they are merges of the build's samples.parquet, with approximate percentiles.
    """
    request = StatsRequest(
        path=place_of(path), split=split, by=by, recompute=recompute, dataset=dataset, variant=variant, plot=_path(plot)
    )
    sealed = request.open()
    if sealed is not None and by is not None:
        return {name: part.figures for name, part in strata(sealed, by, split).items()}
    if sealed is not None and not request.reads:
        return statistics(sealed, split)
    with _crew(workers, runner, dask_address) as computing:
        counts = count(request, computing, progress)
    if request.plot is not None:
        from sar_data.views.histograms import histograms

        histograms(counts.statistics, counts.bands, f"{counts.title} · {', '.join(counts.statistics)}", request.plot)
    return counts.figures()


def shift(
    path: str | Path, by: str = "split", *, split: str | None = None, reference: str | None = None
) -> dict[str, dict[str, Shift]]:
    """Return how far each part of a sealed build is from a reference, {part: {band: Shift}}.

    Parts differ in `by`, as in `stats`, within one `split` or in all. The reference is the first part (train, or the
    largest) or the part of that name: its mean, the tenths of its values. Raises UsageError for other names.
    """
    return shifts(strata(Build.open(path), by, split), reference)


def against(path: str | Path, other: str | Path, *, split: str = "train") -> Comparison:
    """Return how the figures of a build's split lie beside others, with a plain verdict.

    `other` is the name of published figures, a JSON file of means and standard deviations, or another sealed build.
    Raises UsageError for a name that is none of these.
    """
    return compared(Build.open(path), other, split)


def looks(path: str | Path, *, split: str = "train", images: int = 1000) -> dict[str, Radiometry]:
    """Return, by band, the equivalent number of looks, exact zeros, and values at the ends of a sealed build.

    The first `images` of the split are read, a fair draw of it. Raises UsageError for a split without samples.
    """
    return radiometry(Build.open(path), split, images)


def leakage(
    path: str | Path,
    against: str | Path | None = None,
    *,
    dataset: str | None = None,
    variant: str | None = None,
    split: str | None = None,
    seed: int = 0,
    lists: str | Path | None = None,
    full: bool = False,
    fail_above: str | None = None,
    plot: str | Path | None = None,
    workers: int | None = None,
    runner: Kind | Runner | None = None,
    dask_address: str | None = None,
    progress: Progress | None = None,
) -> dict[str, LeakageFigure]:
    """Return what the test and val samples at `path` share with train, or all of them with those `against`, by figure.

    What the parameters mean stands in LeakageRequest (sar_data/builder/leakage.py), what the figures mean in
    docs/leakage.md. Raises LeakageError where a figure is above its limit in `fail_above`, or not known.
    """
    request = LeakageRequest(
        path=Path(path),
        against=_path(against),
        dataset=dataset,
        variant=variant,
        split=split,
        seed=seed,
        lists=_path(lists),
        full=full,
        fail_above=fail_above,
        plot=_path(plot),
    )
    with _crew(workers, runner, dask_address) as computing:
        report = leaking(request, computing, progress)
    if request.plot:
        from sar_data.views.pairs import draw

        draw(report.builds, report.pairs, report.title, request.plot)
    report.check(request.limits)
    return report.figures


def report(path: str | Path, *, out: str | Path | None = None, language: str = "en") -> Path:
    """Write what the sealed build at `path` holds and how it was made as one HTML page, and return where that lies.

    That is `out`, or PATH.report.html beside the build, which stays as it is. `language` is en or zh. Raises UsageError
    for another language and for a name that does not end in .html, TargetError where it cannot be written.
    """
    from sar_data.reports.build import report as written

    return written(Build.open(path), _path(out), language)


def export(target: Target, path: str | Path, out: str | Path, *, progress: Progress | None = None) -> Exported:
    """Write the sealed build at `path` as another tool reads it, to the new folder `out`, and return what it lost.

    `target` is a name of sar_data.exporters.TARGETS, which docs/export.md lists. Raises UsageError for another target
    and for a build that the target does not fit, BuildError for an image that is damaged, TargetError where `out` has
    files already or cannot be written.
    """
    return write_export(target, Build.open(path), Path(out), progress)


def fetch(
    name: str,
    *,
    variant: str | None = None,
    to: str | Path | None = None,
    mirror: str | None = None,
    only: Sequence[str] = (),
    accept_licence: bool = False,
    progress: TransferProgress | None = None,
    say: Say | None = None,
) -> Path:
    """Download a dataset's sources into `to`, verify them and return the folder to build from.

    Without `to` that is raw/NAME, or raw/NAME-VARIANT for a `variant` that has sources of its own.
    A download that was cut goes on where it ended. Logins come from ~/.netrc, SAR_DATA_TOKEN_HOST and its like, or the
    keyring. Raises SourceError where files are to be got by hand, saying how; Unreachable where later may be better.
    """
    spec = catalog.pipeline(name, variant).spec
    sources = select_sources(spec, only)
    folder = Path(to or folder_of(catalog.pipeline(name).spec, spec)).absolute()
    check_licence(spec, sources, accept_licence)
    outcomes = fetch_as_user(sources, folder, mirror=mirror, progress=progress, say=say)
    check_results(outcomes)
    return folder


def plan_fetch(
    name: str, *, variant: str | None = None, to: str | Path | None = None, only: Sequence[str] = ()
) -> FetchPlan:
    """Return what `fetch` would bring: each file with its size, where one is published, and the room on the disk.

    Nothing is fetched, and no server is asked. Raises UsageError for a name that does not exist.
    """
    spec = catalog.pipeline(name, variant).spec
    folder = Path(to or folder_of(catalog.pipeline(name).spec, spec)).absolute()
    return plan_sources(select_sources(spec, only), folder)


def _crew(
    workers: int | None, runner: Kind | Runner | None, dask_address: str | None, *, needed: bool = True
) -> AbstractContextManager[Runner]:
    if runner is None or isinstance(runner, str):
        crew = Crew(workers=workers, runner=runner, dask_address=dask_address)
        return crew.open_chosen() if needed else nullcontext(Serial())
    return nullcontext(runner)


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)
