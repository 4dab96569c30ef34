"""The flow that verifies a sealed build."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from flows import report
from flows.names import run_name
from flows.requests import check_absolute, crew_of
from flows.sentence import explain
from flows.tasks import once, progress
from flows.types import Absolute, Positive
from sar_data.errors import BuildError
from sar_data.runners import Crew, Kind, Serial
from sar_data.sealed.opened import Build
from sar_data.sealed.verify import verify as find_problems

VERIFICATION_PAGE = "-verification"  # end of the key of its page
LINES = 100  # of a damaged build; `sar-data verify` lists everything


def compare(path: Path, full: bool, crew: Crew) -> int:
    """Log all problems of a build and raise BuildError; return the number of samples of a sound build."""
    with crew.open_chosen() if full else nullcontext(Serial()) as runner:
        problems = find_problems(path, full=full, runner=runner, progress=progress())
    for problem in problems[:LINES]:
        get_run_logger().error("%s", problem)
    if problems:
        more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
        raise BuildError(f"{path}: {problems[0]}{more}. Move it away and build it again")
    return sum(split.count for split in Build.open(path).manifest.splits.values())


@flow(
    name="verify",
    description="Check a sealed build against its manifest.",
    flow_run_name=run_name,
    persist_result=False,
)
def verify(
    path: Absolute,
    full: bool = False,
    workers: Positive | None = None,
    runner: Kind | None = None,
    dask_address: str | None = None,
) -> dict[str, Any]:
    """Check a sealed build against its manifest; return its path, its two digests and those of its parent.

    The flow logs each problem in one line, and fails where there is one.

    Args:
        path: Folder of the sealed build, absolute.
        full: Read every byte; without it documents, names and sizes.
        workers: Worker processes that read the bytes; none for one a core.
        runner: serial, processes or dask; none for processes, or dask with an address.
        dask_address: Scheduler of a running Dask cluster; none for a local cluster.
    """
    parameters = locals()
    explain()
    check(parameters)
    once(name="verify")(compare)(path, full, crew_of(parameters))
    build = Build.open(path)
    create_markdown_artifact(
        report.verification_page(build, full), key=f"{build.manifest.dataset}{VERIFICATION_PAGE}", description=str(path)
    )
    return report.digests(build)


def check(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that `verify` would refuse before it opens a file."""
    check_absolute(path=parameters["path"])
    crew_of(parameters)


CHECKS = {"verify": check}
