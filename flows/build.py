"""The flows that build datasets: one line a dataset, one signature for all."""

from __future__ import annotations

import functools
import inspect
from pathlib import Path
from typing import Any

from prefect import Flow, flow, get_run_logger
from prefect.utilities.annotations import quote

from flows import report
from flows.crew import Crew, Kind
from flows.tasks import carry_out, publish
from flows.tasks import fetch as fetching
from sar_data.builder.request import BadRecords, BuildRequest, Compression, Dtype, Format, Normalize
from sar_data.errors import UsageError

Built = dict[str, Any] | list[dict[str, Any]]


def build(
    dataset: str,
    source: Path,
    out: Path,
    variant: str | None = None,
    format: Format | list[Format] | None = None,
    compression: Compression = "none",
    split: str | None = None,
    seed: int = 0,
    limit: int | None = None,
    lists: Path | None = None,
    work: Path | None = None,
    shard_length: int = 256,
    rehash: bool = False,
    bad_records: BadRecords = "stop",
    crop: int | None = None,
    pad: int | None = None,
    resize: int | None = None,
    normalize: Normalize | None = None,
    dtype: Dtype | None = None,
    drop_parent: bool = False,
    workers: int = 0,
    runner: Kind = "processes",
    dask_address: str | None = None,
    fetch: bool = False,
    mirror: str | None = None,
    accept_licence: bool = False,
) -> Built:
    """Build a dataset from its raw files; return the sealed build's path, its two digests and those of its parent.

    With `crop`, `pad`, `resize`, `normalize` or `dtype` the build is baked from a lossless one, its parent. Where
    `format` is a list, so is what is returned.

    Args:
        dataset: Its name, as `sar-data datasets` lists it.
        source: Folder of the raw files or their archive, absolute.
        out: Folder below which the sealed build is placed, absolute.
        variant: Another form of the dataset, as `sar-data info` lists it; none for the usual one.
        format: zarr, webdataset or lmdb, or a list of them; none for what suits the dataset.
        compression: none, or zstd (zarr only).
        split: NAME or NAME:FIELD=VALUE,…; none for the dataset's default.
        seed: Seed of split policies that draw.
        limit: Take that many records, in hash order; none for all.
        lists: Folder of the official lists, absolute; none to look beside the source.
        work: Folder for what reading an archive needs, absolute; none to keep it beside the archive.
        shard_length: Samples a shard, at most.
        rehash: Let the recipe cover the files' contents, not only names and sizes.
        bad_records: stop, or quarantine to go on without bad records.
        crop: Bake N×N pixels, the centre of each image.
        pad: Bake N×N pixels, padded below and on the right.
        resize: Bake N×N pixels, cubic.
        normalize: Bake zscore or minmax, by the train split.
        dtype: Bake float16, or int16 (steps of 0.002 dB).
        drop_parent: Remove the lossless build once the baked one is sealed.
        workers: Worker processes; 0 for one a core.
        runner: processes, dask or serial.
        dask_address: Scheduler of a running Dask cluster; none for a local one.
        fetch: Download into source first what it lacks.
        mirror: Address of a folder that has the files, to be asked instead of their publishers.
        accept_licence: Agree to the dataset's licence, where fetching needs that.
    """
    check_absolute(source=source, out=out, lists=lists, work=work)
    request = BuildRequest(
        dataset=dataset,
        variant=variant,
        source=source,
        out=out,
        work=work,
        lists=lists,
        format=format,
        compression=compression,
        split=split,
        seed=seed,
        limit=limit,
        shard_length=shard_length,
        rehash=rehash,
        bad_records=bad_records,
        crop=crop,
        pad=pad,
        resize=resize,
        normalize=normalize,
        dtype=dtype,
        drop_parent=drop_parent,
    )
    crew = Crew(kind=runner, workers=workers, dask_address=dask_address)
    if fetch:
        fetching(dataset, source, mirror, accept_licence)
    built = []
    for outcome in carry_out(request, crew):
        unseen: Any = quote(outcome.build)
        publish(unseen)
        built.append(report.digests(outcome.build))
        for name, value in report.lines(outcome.build):
            get_run_logger().info("%s: %s", name, value)
    return built if isinstance(format, list) else built[0]


build_dataset = flow(name="build-dataset", description="Build any dataset that sar-data knows.", persist_result=False)(
    build
)


def build_flow(name: str, dataset: str, description: str) -> Flow[..., Built]:
    """Return the flow `build-NAME`, which builds `dataset`; its parameters are the others of `build`."""

    @functools.wraps(build)
    def of_one(**parameters: Any) -> Built:
        return build(dataset=dataset, **parameters)

    signature = inspect.signature(build, eval_str=True)
    others = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in signature.parameters.values()
        if parameter.name != "dataset"
    ]
    vars(of_one)["__signature__"] = signature.replace(parameters=others)
    return flow(name=f"build-{name}", description=description, persist_result=False)(of_one)


def check_absolute(**paths: Path | None) -> None:
    """Raise UsageError for a relative path: a worker runs where it likes, and would silently take another folder."""
    for name, path in paths.items():
        if path is not None and not path.is_absolute():
            raise UsageError(f"`{name}={path}`: expected an absolute path, since a worker has a folder of its own")


build_bigearthnet = build_flow(
    "bigearthnet", "bigearthnet-s1", "Build BigEarthNet-S1: Sentinel-1 patches over Europe with CORINE labels."
)
build_eurosat_sar = build_flow(
    "eurosat-sar", "eurosat-sar", "Build EuroSAT-SAR: Sentinel-1 patches of ten land-cover classes."
)
build_dfc2020 = build_flow("dfc2020", "dfc2020", "Build DFC2020: Sentinel-1 patches with masks of eight classes.")
build_opensarurban = build_flow("opensarurban", "opensarurban", "Build OpenSARUrban: ten classes of 21 cities.")
build_ssdd = build_flow("ssdd", "ssdd", "Build SSDD: ships as boxes, rotated boxes and outlines.")
