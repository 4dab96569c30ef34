"""The flow that compares two sealed builds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger

from flows.names import run_name
from flows.requests import check_absolute, crew_of
from flows.sentence import explain
from flows.tasks import once, progress
from flows.types import Absolute, Positive
from flows.verify import LINES
from sar_data.builder.diff import diff as find_differences
from sar_data.errors import BuildError
from sar_data.runners import Crew, Kind


def compare_builds(path: Path, other: Path, full: bool, crew: Crew) -> dict[str, Any]:
    """Log the differences and the notes and return them; raise BuildError where there is a difference."""
    with crew.open_chosen() as runner:
        comparison = find_differences(path, other, full=full, runner=runner, progress=progress())
    for note in comparison.notes:
        get_run_logger().info("%s", note)
    for difference in comparison.differences[:LINES]:
        get_run_logger().error("%s", difference)
    if comparison.differences:
        count = len(comparison.differences)
        raise BuildError(f"{path} and {other}: expected equal builds, found {count:,} differences")
    return comparison.document()


@flow(
    name="diff",
    description="List what differs between two sealed builds.",
    flow_run_name=run_name,
    persist_result=False,
)
def diff(
    path: Absolute,
    other: Absolute,
    full: bool = False,
    workers: Positive | None = None,
    runner: Kind | None = None,
    dask_address: str | None = None,
) -> dict[str, Any]:
    """Compare two sealed builds; the flow logs each difference in one line, and fails where there is one.

    Args:
        path: Folder of a sealed build, absolute.
        other: Folder of another one, absolute.
        full: Read all pixels; without it those whose recorded hashes differ.
        workers: Worker processes that read pixels; none for one a core.
        runner: serial, processes or dask; none for processes, or dask with an address.
        dask_address: Scheduler of a running Dask cluster; none for a local cluster.
    """
    parameters = locals()
    explain()
    check(parameters)
    return once(name="diff")(compare_builds)(path, other, full, crew_of(parameters))


def check(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that `diff` would refuse before it opens a file."""
    check_absolute(path=parameters["path"], other=parameters["other"])
    crew_of(parameters)


CHECKS = {"diff": check}
