"""The flow that makes the content of a sealed build again."""

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
from flows.types import Absolute, Dataset, Place, Positive
from sar_data.builder.rebuild import RebuildRequest
from sar_data.runners import Kind


@flow(
    name="rebuild",
    description="Make the content of a sealed build again.",
    flow_run_name=run_name,
    persist_result=False,
)
def rebuild(
    path: Absolute,
    source: Absolute,
    out: Place,
    dataset: Dataset | None = None,
    work: Absolute | None = None,
    workers: Positive | None = None,
    runner: Kind | None = None,
    dask_address: str | None = None,
) -> dict[str, Any]:
    """Make the content of a sealed build again; return the new build's path, its two digests and those of its parent.

    Args:
        path: Folder with the manifest and the index of that build, absolute.
        source: Folder of the raw files or their archive, or a build of the same content or its parent, absolute.
        out: Folder for the new build, absolute, or its URL in an object store.
        dataset: Of raw files, where the manifest names none that is known.
        work: Folder for the work files of an archive, absolute; none for beside the archive.
        workers: Worker processes; none for one a core.
        runner: serial, processes or dask; none for processes, or dask with an address.
        dask_address: Scheduler of a running Dask cluster; none for a local cluster.
    """
    parameters = locals()
    explain()
    (result,) = carry_out(request_of(RebuildRequest, parameters), crew_of(parameters))
    quoted: Any = quote(result.build)
    publish(quoted)
    return report.digests(result.build)


CHECKS = {"rebuild": partial(check_request, RebuildRequest)}
