"""The flows that build datasets: one line a dataset, one itinerary for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import Flow, flow
from prefect.utilities.annotations import quote

from flows.crew import Crew, Kind
from flows.tasks import fetch as fetching
from flows.tasks import pack, prepare, publish, seal
from sar_data.builder.prepare import Options
from sar_data.builder.scan import OnBad
from sar_data.errors import UsageError


def build_flow(name: str, dataset: str, description: str) -> Flow[..., dict[str, str]]:
    """Return the flow `build-NAME`, which builds `dataset`; its parameters are those of `build_dataset`."""

    @flow(name=f"build-{name}", description=description, persist_result=False)
    def build(
        source: Path,
        out: Path,
        variant: str | None = None,
        format: str = "zarr",
        split: str | None = None,
        seed: int = 0,
        limit: int | None = None,
        lists: Path | None = None,
        work: Path | None = None,
        workers: int = 0,
        runner: Kind = "processes",
        dask_address: str | None = None,
        on_bad: OnBad = "stop",
        fetch: bool = False,
        mirror: str | None = None,
        accept_licence: bool = False,
    ) -> dict[str, str]:
        options = Options(format=format, split=split, seed=seed, limit=limit, lists=lists, work=work, on_bad=on_bad)
        crew = Crew(kind=runner, workers=workers, dask_address=dask_address)
        if fetch:
            check_absolute(source=source)
            fetching(dataset, source, mirror, accept_licence)
        return itinerary(dataset, variant, source, out, options, crew)

    return build


@flow(name="build-dataset", description="Build any dataset that sar-data knows.", persist_result=False)
def build_dataset(
    dataset: str,
    source: Path,
    out: Path,
    variant: str | None = None,
    format: str = "zarr",
    split: str | None = None,
    seed: int = 0,
    limit: int | None = None,
    lists: Path | None = None,
    work: Path | None = None,
    workers: int = 0,
    runner: Kind = "processes",
    dask_address: str | None = None,
    on_bad: OnBad = "stop",
    fetch: bool = False,
    mirror: str | None = None,
    accept_licence: bool = False,
) -> dict[str, str]:
    """Build a dataset from its raw files; return the sealed build's path and its two digests.

    Args:
        dataset: Its name, as `sar-data datasets` lists it.
        source: Folder of the raw files or their archive, absolute.
        out: Folder below which the sealed build is placed, absolute.
        variant: Another form of the dataset, as `sar-data info` lists it; none for the usual one.
        format: zarr, webdataset or lmdb.
        split: NAME or NAME:FIELD=VALUE,…; none for the dataset's default.
        seed: Seed of split policies that draw.
        limit: Take that many records, in hash order; none for all.
        lists: Folder of the official lists, absolute; none to look beside the source.
        work: Folder for what reading an archive needs, absolute; none to keep it beside the archive.
        workers: Worker processes; 0 for one a core.
        runner: processes, dask or serial.
        dask_address: Scheduler of a running Dask cluster; none for a local one.
        on_bad: stop, or quarantine to go on without bad records.
        fetch: Download into source first what it lacks.
        mirror: Address of a folder that has the files, to be asked instead of their publishers.
        accept_licence: Agree to the dataset's licence, where fetching needs that.
    """
    options = Options(format=format, split=split, seed=seed, limit=limit, lists=lists, work=work, on_bad=on_bad)
    crew = Crew(kind=runner, workers=workers, dask_address=dask_address)
    if fetch:
        check_absolute(source=source)
        fetching(dataset, source, mirror, accept_licence)
    return itinerary(dataset, variant, source, out, options, crew)


def check_absolute(**paths: Path | None) -> None:
    """Raise UsageError for a relative path: a worker runs where it likes, and would silently take another folder."""
    for name, path in paths.items():
        if path is not None and not path.is_absolute():
            raise UsageError(f"{name}={path}: expected an absolute path, since a worker has a folder of its own")


def itinerary(
    dataset: str, variant: str | None, source: Path, out: Path, options: Options, crew: Crew
) -> dict[str, str]:
    """Run the tasks of one build, its target's lock held from the plan to the seal. Raises SarDataError."""
    check_absolute(source=source, out=out, lists=options.lists, work=options.work)
    with prepare(dataset, variant, source, out, options, crew) as draft:
        unseen: Any = quote(draft)  # else Prefect looks for futures in every planned record: 9 s for 590,000
        pack(unseen, crew)
        sealed = seal(unseen, crew)
    unseen = quote(sealed)
    publish(unseen)
    manifest = sealed.manifest
    return {
        "path": str(sealed.path),
        "content_digest": manifest.content_digest,
        "recipe_digest": manifest.recipe_digest,
    }


build_bigearthnet = build_flow(
    "bigearthnet", "bigearthnet-s1", "Build BigEarthNet-S1: Sentinel-1 patches over Europe with CORINE labels."
)
build_eurosat_sar = build_flow(
    "eurosat-sar", "eurosat-sar", "Build EuroSAT-SAR: Sentinel-1 patches of ten land-cover classes."
)
build_dfc2020 = build_flow("dfc2020", "dfc2020", "Build DFC2020: Sentinel-1 patches with masks of eight classes.")
build_opensarurban = build_flow("opensarurban", "opensarurban", "Build OpenSARUrban: ten classes of 21 cities.")
build_ssdd = build_flow("ssdd", "ssdd", "Build SSDD: ships as boxes, rotated boxes and outlines.")
