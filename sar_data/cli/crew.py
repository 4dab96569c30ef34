"""Who computes, as chosen on the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sar_data.cli.choices import OneOf
from sar_data.cli.stop import sheltered
from sar_data.errors import SarDataError, UsageError

if TYPE_CHECKING:
    from sar_data.runners import Runner

F = TypeVar("F", bound=Callable[..., Any])
RUNNERS = ("serial", "processes", "dask")


def workers_option(function: F) -> F:
    """Add --workers."""
    text = "Worker processes; without it one a core."
    return click.option("--workers", type=click.IntRange(min=1), metavar="N", help=text)(function)


def runner_options(function: F) -> F:
    """Add --workers, --runner and --dask-address."""
    kind = click.option(
        "--runner",
        "kind",
        type=OneOf("runner", lambda: RUNNERS),
        help="serial, processes (the default) or dask (the default with an address).",
    )
    address = click.option(
        "--dask-address",
        envvar="SAR_DATA_DASK_ADDRESS",
        show_envvar=True,
        metavar="URL",
        help="Scheduler of a running Dask cluster; --runner dask without one starts a local cluster.",
    )
    return workers_option(kind(address(function)))


@contextmanager
def crew(workers: int | None, kind: str | None = None, dask_address: str | None = None) -> Iterator[Runner]:
    """Open the runner that was asked for; one worker needs no pool."""
    from sar_data.runners import Dask, Processes, Serial

    kind = kind or ("dask" if dask_address else "processes")
    if kind == "serial" and (workers or 1) > 1:
        raise UsageError(f"--runner serial works alone: expected no --workers with it, found --workers {workers}")
    count = workers or len(os.sched_getaffinity(0))
    if kind == "dask":
        try:
            cluster = Dask(count, dask_address)
        except (OSError, ValueError) as error:
            where = f"--dask-address {dask_address}" if dask_address else "--runner dask"
            raise SarDataError(f"{where}: expected a Dask scheduler, found none that answers: {error}") from error
        with cluster:
            yield cluster
    elif kind == "serial" or count == 1:
        yield Serial()
    else:
        with ExitStack() as stack:
            with sheltered():
                pool = stack.enter_context(Processes(count))
            yield pool
