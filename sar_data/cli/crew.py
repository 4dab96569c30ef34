"""Who computes, as chosen on the command line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from sar_data.cli.choices import OneOf
from sar_data.cli.stop import sheltered

if TYPE_CHECKING:
    from sar_data.runners import Runner

F = TypeVar("F", bound=Callable[..., Any])


def _kinds() -> tuple[str, ...]:
    from sar_data.runners import Kind

    return get_args(Kind)


def workers_option(function: F) -> F:
    """Add --workers."""
    text = "Worker processes; without it one a core."
    return click.option("--workers", type=click.IntRange(min=1), metavar="N", help=text)(function)


def runner_options(function: F) -> F:
    """Add --workers, --runner and --dask-address."""
    kind = click.option(
        "--runner",
        "kind",
        type=OneOf("runner", _kinds),
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


def crew(workers: int | None, kind: Any = None, dask_address: str | None = None) -> AbstractContextManager[Runner]:
    """Return the runner that was asked for, whose processes no stop signal of a terminal reaches."""
    from sar_data.runners import chosen

    return chosen(workers, kind, dask_address, starting=sheltered)
