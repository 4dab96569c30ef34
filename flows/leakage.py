"""The flow that measures what a split, or a set of samples, shares with another."""

from __future__ import annotations

from functools import partial
from typing import Any

from prefect import flow, get_run_logger

from flows.names import run_name
from flows.requests import check_request, crew_of, request_of
from flows.sentence import explain
from flows.tasks import once, progress
from flows.types import Absolute, Dataset, Positive
from sar_data.builder.leakage import LeakageRequest
from sar_data.builder.leakage import leakage as measure_leakage
from sar_data.runners import Crew, Kind


def judge(request: LeakageRequest, crew: Crew) -> dict[str, Any]:
    """Log the figures, draw them where the request asks for it, and return them; raise LeakageError above a limit."""
    with crew.open_chosen() as runner:
        report = measure_leakage(request, runner, progress())
    for line in report.lines():
        get_run_logger().info("%s", line)
    if request.plot:
        from sar_data.views.pairs import draw

        draw(report.builds, report.pairs, report.title, request.plot)
    report.check(request.limits)
    return report.document()


@flow(
    name="leakage",
    description="Measure what a split, or a set of samples, shares with another.",
    flow_run_name=run_name,
    persist_result=False,
)
def leakage(
    path: Absolute,
    against: Absolute | None = None,
    dataset: Dataset | None = None,
    variant: str | None = None,
    split: str | None = None,
    seed: int = 0,
    lists: Absolute | None = None,
    full: bool = False,
    fail_above: str | None = None,
    plot: Absolute | None = None,
    workers: Positive | None = None,
    runner: Kind | None = None,
    dask_address: str | None = None,
) -> dict[str, Any]:
    """Return the figures of leakage, the pairs that leak most, and the checks not made; see docs/leakage.md.

    Args:
        path: Sealed build, raw files or their archive, or a list of names, absolute.
        against: Another one, compared with all samples of `path`; none to compare the splits of `path`.
        dataset: Of raw files and lists, where it is not recognised.
        variant: Another form of the dataset.
        split: Of raw files: their split policy, as in a build; none for the dataset's default.
        seed: Of the split.
        lists: Folder of official lists, absolute.
        full: Read all pixels, of raw files and of builds without thumbnails.
        fail_above: Limits such as touching=0,duplicate=0; above one of them the run fails.
        plot: PNG of the pairs that leak most, absolute.
        workers: Worker processes; none for one a core.
        runner: serial, processes or dask; none for processes, or dask with an address.
        dask_address: Scheduler of a running Dask cluster; none for a local cluster.
    """
    parameters = locals()
    explain()
    return once(name="leakage")(judge)(request_of(LeakageRequest, parameters), crew_of(parameters))


CHECKS = {"leakage": partial(check_request, LeakageRequest)}
