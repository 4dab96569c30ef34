"""The flows that verify and repair a sealed build."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from flows import report
from flows.names import run_name
from flows.requests import check_absolute, check_request, crew_of, request_of
from flows.sentence import explain
from flows.tasks import once, progress
from flows.types import Absolute, Dataset, Place, Positive, Share
from sar_data.builder.repair import RepairRequest
from sar_data.builder.repair import repair as carry_out_repair
from sar_data.errors import BuildError
from sar_data.runners import Crew, Kind, Serial
from sar_data.sealed.opened import Build
from sar_data.sealed.verify import check_extent
from sar_data.sealed.verify import verify as find_problems

VERIFICATION_PAGE = "-verification"  # end of the key of its page
LINES = 100  # of a damaged build; `sar-data verify` lists everything


def compare(path: str, full: bool, crew: Crew, sample: float | None = None, seed: int = 0) -> int:
    """Log all problems of a build and raise BuildError; return the number of samples of a sound build."""
    with crew.open_chosen() if full or sample else nullcontext(Serial()) as runner:
        problems = find_problems(path, full=full, sample=sample, seed=seed, runner=runner, progress=progress())
    for problem in problems[:LINES]:
        get_run_logger().error("%s", problem)
    if problems:
        more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
        raise BuildError(f"{path}: {problems[0]}{more}. `repair` rebuilds what is broken")
    return sum(split.count for split in Build.open(path).manifest.splits.values())


@flow(
    name="verify",
    description="Check a sealed build against its manifest.",
    flow_run_name=run_name,
    persist_result=False,
)
def verify(
    path: Place,
    full: bool = False,
    sample: Share | None = None,
    seed: int = 0,
    workers: Positive | None = None,
    runner: Kind | None = None,
    dask_address: str | None = None,
) -> dict[str, Any]:
    """Check a sealed build against its manifest; return its path, its two digests and those of its parent.

    The flow logs each problem in one line, and fails where there is one.

    Args:
        path: Folder of the sealed build, absolute, or its URL.
        full: Read every byte; without it documents, names and sizes.
        sample: Read every byte of this share of the shards, such as 0.05.
        seed: Which shards `sample` draws.
        workers: Worker processes that read the bytes; none for one a core.
        runner: serial, processes or dask; none for processes, or dask with an address.
        dask_address: Scheduler of a running Dask cluster; none for a local cluster.
    """
    parameters = locals()
    explain()
    check(parameters)
    once(name="verify")(compare)(path, full, crew_of(parameters), sample, seed)
    build = Build.open(path)
    create_markdown_artifact(
        report.verification_page(build, full, sample),
        key=f"{build.manifest.dataset}{VERIFICATION_PAGE}",
        description=str(path),
    )
    return report.digests(build)


def check(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that `verify` would refuse before it opens a file."""
    check_absolute(path=parameters["path"])
    check_extent(parameters["full"], parameters["sample"])
    crew_of(parameters)


def repair_build(request: RepairRequest, crew: Crew) -> None:
    """Repair a build and log what was rebuilt; raise BuildError for what is left."""
    logger = get_run_logger()
    with crew.open_chosen() as runner:
        outcome = carry_out_repair(request, runner, progress(), logger.info)
    for name in outcome.files:
        logger.info("rebuilt %s", name)
    if outcome.left:
        raise BuildError(f"{request.path}: {outcome.left[0]}")


@flow(
    name="repair", description="Rebuild what is broken in a sealed build.", flow_run_name=run_name, persist_result=False
)
def repair(
    path: Absolute,
    source: Absolute | None = None,
    dataset: Dataset | None = None,
    work: Absolute | None = None,
    workers: Positive | None = None,
    runner: Kind | None = None,
    dask_address: str | None = None,
) -> dict[str, Any]:
    """Rebuild what is broken in a sealed build; return its path, its two digests and those of its parent.

    Args:
        path: Folder of the damaged build, absolute.
        source: Raw files, their archive, or a build of the same content, absolute; none where the build's own files do.
        dataset: Of raw files, where the manifest names none that is known.
        work: Folder for the work files of an archive, absolute; none for beside the archive.
        workers: Worker processes; none for one a core.
        runner: serial, processes or dask; none for processes, or dask with an address.
        dask_address: Scheduler of a running Dask cluster; none for a local cluster.
    """
    parameters = locals()
    explain()
    once(name="repair")(repair_build)(request_of(RepairRequest, parameters), crew_of(parameters))
    return report.digests(Build.open(path))


CHECKS = {"verify": check, "repair": partial(check_request, RepairRequest)}
