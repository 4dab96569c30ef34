"""The flow that bakes a sealed build into another container, size, dtype or normalization."""

from __future__ import annotations

from functools import partial
from typing import Any

from prefect import flow
from prefect.utilities.annotations import quote

from flows import report
from flows.names import run_name
from flows.requests import check_request, crew_of, request_of
from flows.sentence import explain
from flows.tasks import carry_out, publish
from flows.types import Compression, Container, Normalization, Place, Positive
from sar_data.builder.request import ConvertRequest, Domain, Dtype
from sar_data.runners import Kind
from sar_data.spec import Unit


@flow(name="convert", description="Bake a sealed build into another one.", flow_run_name=run_name, persist_result=False)
def convert(
    parent: Place,
    out: Place | None = None,
    format: Container | None = None,
    compression: Compression | None = None,
    speckle: str | None = None,
    unit: Unit | None = None,
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
) -> dict[str, Any]:
    """Bake a sealed build into another one; return the new build's path, its two digests and those of its parent.

    Args:
        parent: Folder of the sealed build, absolute, or its URL.
        out: Folder for the new build, absolute, or its URL in an object store; none for the parent's.
        format: zarr, webdataset or lmdb; none for the parent's.
        compression: none, or zstd (zarr only); none for the parent's where the container stays.
        speckle: Filter speckle on power, such as lee:looks=4.4 or refined-lee:looks=4.4; none for no change.
        unit: dB, power or amplitude, from another of the three; none for no change.
        crop: Bake N×N pixels, the centre of each image.
        pad: Bake N×N pixels, padded below and on the right.
        resize: Bake N×N pixels, cubic.
        resample: Resizing averages dB or power; dB by default.
        normalize: Bake zscore, minmax, percentile or robust, by the train split; or a published one, such as ssl4eo.
        dtype: Bake float16, or int16 (steps of 0.002 dB).
        drop_parent: Remove the parent once the new build is sealed.
        workers: Worker processes; none for one a core.
        runner: serial, processes or dask; none for processes, or dask with an address.
        dask_address: Scheduler of a running Dask cluster; none for a local cluster.
    """
    parameters = locals()
    explain()
    (result,) = carry_out(request_of(ConvertRequest, parameters), crew_of(parameters))
    quoted: Any = quote(result.build)
    publish(quoted)
    return report.digests(result.build)


CHECKS = {"convert": partial(check_request, ConvertRequest)}
