"""The flows that build datasets: one line a dataset, the same parameters for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from prefect import Flow, flow
from prefect.utilities.annotations import quote

from flows import report
from flows.names import run_name
from flows.requests import check_request, crew_of, request_of
from flows.sentence import explain
from flows.signature import like
from flows.tasks import carry_out, publish
from flows.types import Absolute, Compression, Container, Dataset, Normalization, Place, Positive
from sar_data.builder.request import BadObjects, BadRecords, BuildRequest, Domain, Dtype
from sar_data.runners import Kind
from sar_data.spec import ComplexAs, Unit

BuildDigests = dict[str, Any] | list[dict[str, Any]]


def build(
    dataset: Dataset,
    source: Place,
    out: Place,
    variant: str | None = None,
    declare: dict[str, Any] | None = None,
    format: Container | list[Container] | None = None,
    compression: Compression = "none",
    split: str | None = None,
    seed: int = 0,
    keep: Absolute | None = None,
    limit: Positive | None = None,
    lists: Absolute | None = None,
    work: Absolute | None = None,
    shard_length: Positive = 256,
    rehash: bool = False,
    bad_records: BadRecords = "stop",
    speckle: str | None = None,
    unit: Unit | None = None,
    bad_objects: BadObjects | None = None,
    complete: bool = False,
    complex_as: ComplexAs | None = None,
    suspect_limit: float = 0.5,
    crop: Positive | None = None,
    pad: Positive | None = None,
    resize: Positive | None = None,
    resample: Domain | None = None,
    normalize: Normalization | None = None,
    dtype: Dtype | None = None,
    drop_parent: bool = False,
    workers: Positive | None = None,
    runner: Kind | None = None,
    dask_address: str | None = None,
    fetch: bool = False,
    mirror: str | None = None,
    accept_licence: bool = False,
) -> BuildDigests:
    """Build a dataset from its raw files; return the sealed build's path, its two digests and those of its parent.

    With `crop`, `pad`, `resize`, `normalize` or `dtype` the build is baked from a lossless one, its parent. Where
    `format` is a list, so is the result.

    Args:
        dataset: Its name, as `sar-data datasets` lists it.
        source: Folder of the raw files or their archive, absolute, or the URL of a folder in an object store.
        out: Folder for the sealed build, absolute, or its URL in an object store.
        variant: Another form of the dataset, as `sar-data info` lists it; none for the default.
        declare: Fields of dataset.toml for your own data, such as {"unit": "power"}; none for those of the file.
        format: zarr, webdataset or lmdb, or a list of them, which one read of the images serves; none for the default
            of the dataset.
        compression: none, or zstd (zarr only).
        split: NAME or NAME:FIELD=VALUE,…; none for the dataset's default.
        seed: Seed of random split policies.
        keep: A sealed build of the dataset, absolute, whose records stay in their splits; none to draw all again.
        limit: Number of records to take, in hash order; none for all.
        lists: Folder of the official lists, absolute; none to look beside the source.
        work: Folder for the work files of an archive, absolute; none for beside the archive.
        shard_length: Samples a shard, at most.
        rehash: Let the recipe cover the files' contents, not only names and sizes.
        bad_records: stop, or quarantine to continue without bad records.
        speckle: Filter speckle on power, such as lee:looks=4.4 or refined-lee:looks=4.4; none to apply no filter.
        unit: Bake dB, power or amplitude, from another of the three; for your own data, the unit of its values.
        bad_objects: drop impossible objects, stop, or quarantine their records. None drops them where the dataset is
            published with such objects, else stops.
        complete: Stop where published records are missing.
        complex_as: iq or amplitude-phase, the two bands made of a band of complex numbers.
        suspect_limit: The build stops where a larger share of a band's pixels looks like undeclared no data.
        crop: Bake N×N pixels, the centre of each image.
        pad: Bake N×N pixels, padded below and on the right.
        resize: Bake N×N pixels, cubic.
        resample: Resizing averages dB or power; dB by default.
        normalize: Bake zscore, minmax, percentile or robust, by the train split; or a published one, such as ssl4eo.
        dtype: Bake float16, or int16 (steps of 0.002 dB).
        drop_parent: Remove the lossless build once the baked one is sealed.
        workers: Worker processes; none for one a core.
        runner: serial, processes or dask; none for processes, or dask with an address.
        dask_address: Scheduler of a running Dask cluster; none for a local cluster.
        fetch: Download missing files into source first.
        mirror: Address of a folder that has the files, in place of the publishers.
        accept_licence: Accept the dataset's licence, where a download requires it.
    """
    parameters = locals()
    explain()
    request, crew = request_of(BuildRequest, parameters), crew_of(parameters)
    results = []
    for result in carry_out(request, crew):
        quoted: Any = quote(result.build)
        publish(quoted)
        results.append(report.digests(result.build))
    return results if len(results) > 1 or isinstance(format, list) else results[0]


check = partial(check_request, BuildRequest)
CHECKS: dict[str, Callable[[Mapping[str, Any]], None]] = {"build-dataset": check}
build_dataset = flow(
    name="build-dataset",
    description="Build any dataset that sar-data knows.",
    flow_run_name=run_name,
    persist_result=False,
)(build)


def build_flow(name: str, dataset: str, description: str) -> Flow[..., BuildDigests]:
    """Return the flow `build-NAME`, which builds `dataset`; its parameters are the others of `build`."""

    @like(build, but={"dataset"})
    def build_one_dataset(**parameters: Any) -> BuildDigests:
        return build(dataset=dataset, **parameters)

    CHECKS[f"build-{name}"] = lambda parameters: check({"dataset": dataset, **parameters})
    return flow(
        name=f"build-{name}",
        description=description,
        flow_run_name=partial(run_name, dataset=dataset),
        persist_result=False,
    )(build_one_dataset)


build_bigearthnet = build_flow("bigearthnet", "bigearthnet-s1", "Build BigEarthNet-S1: patches with CORINE labels.")
build_bigearthnet_v2 = build_flow("bigearthnet-v2", "bigearthnet-s1-v2", "Build BigEarthNet v2.0: patches and maps.")
build_eurosat_sar = build_flow("eurosat-sar", "eurosat-sar", "Build EuroSAT-SAR: patches of ten land-cover classes.")
build_dfc2020 = build_flow("dfc2020", "dfc2020", "Build DFC2020: patches with masks of eight classes.")
build_opensarurban = build_flow("opensarurban", "opensarurban", "Build OpenSARUrban: ten classes of 21 cities.")
build_ssdd = build_flow("ssdd", "ssdd", "Build SSDD: ships as boxes, rotated boxes and outlines.")
build_rsdd_sar = build_flow("rsdd-sar", "rsdd-sar", "Build RSDD-SAR: ships as rotated boxes.")
build_hrsid = build_flow("hrsid", "hrsid", "Build HRSID: ships as boxes and outlines.")
build_ls_ssdd = build_flow("ls-ssdd", "ls-ssdd", "Build LS-SSDD: small ships in tiles of large scenes.")
build_sar_ship_dataset = build_flow("sar-ship-dataset", "sar-ship-dataset", "Build SAR-Ship-Dataset: ships as boxes.")
build_air_sarship = build_flow("air-sarship", "air-sarship", "Build AIR-SARShip: ships as boxes in large images.")
build_opensarship_1 = build_flow("opensarship-1", "opensarship-1", "Build OpenSARShip 1.0: chips of ships by type.")
build_opensarship_2 = build_flow("opensarship-2", "opensarship-2", "Build OpenSARShip 2.0: chips of ships by type.")
build_fusar_ship = build_flow("fusar-ship", "fusar-ship", "Build FUSAR-Ship: chips of ships by type.")
build_ombria = build_flow("ombria", "ombria", "Build OMBRIA: places before and after floods, with masks.")
build_kuro_siwo = build_flow("kuro-siwo", "kuro-siwo", "Build Kuro Siwo: dates before and after floods, with masks.")
build_sen1floods11 = build_flow("sen1floods11", "sen1floods11", "Build Sen1Floods11: chips with masks of water.")
build_mstar = build_flow("mstar", "mstar", "Build MSTAR: chips of vehicles by type.")
