"""The flow that says what a split, or a set of samples, shares with another."""

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
from sar_data.builder.leakage import leakage as leaking
from sar_data.runners import Crew, Kind


def judge(request: LeakageRequest, crew: Crew) -> dict[str, Any]:
    """Log what the figures say, draw where that is asked for, and return them; raise LeakageError above a limit."""
    with crew.open_chosen() as runner:
        report = leaking(request, runner, progress())
    for line in report.lines():
        get_run_logger().info("%s", line)
    if request.plot:
        from sar_data.views.pairs import draw

        draw(report.builds, report.pairs, report.title, request.plot)
    report.check(request.limits)
    return report.document()


@flow(
    name="leakage",
    description="Say what a split, or a set of samples, shares with another.",
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
    """Return the figures of leakage, the pairs that leak most, and what was not looked at; docs/leakage.md explains.

    Args:
        path: Sealed build, raw files or their archive, or a list of names, absolute.
        against: Another one, all samples of which those of `path` are judged against; none for the splits of `path`.
        dataset: Of raw files and lists, where it cannot be told.
        variant: Another form of the dataset.
        split: Of raw files: how they are placed, as in a build; none for the dataset's default.
        seed: Of the split.
        lists: Folder of official lists, absolute.
        full: Read all pixels, of raw files and of builds without thumbnails.
        fail_above: Limits such as touching=0,duplicate=0; above one of them the run fails.
        plot: PNG of the pairs that leak most, absolute.
        workers: Worker processes; none for one a core.
        runner: serial, processes or dask; none for processes, or dask with an address.
        dask_address: Scheduler of a running Dask cluster; none for a local one.
    """
    asked = locals()
    explain()
    return once(name="leakage")(judge)(request_of(LeakageRequest, asked), crew_of(asked))


CHECKS = {"leakage": partial(check_request, LeakageRequest)}
