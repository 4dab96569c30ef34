"""Who computes, as chosen on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from sar_data.cli.choices import OneOf
from sar_data.cli.stop import sheltered

if TYPE_CHECKING:
    from sar_data.runners import Kind, Runner


F = TypeVar("F", bound=Callable[..., Any])


def _runners() -> tuple[str, ...]:
    from sar_data.runners import Kind

    return get_args(Kind)


def workers_option(function: F) -> F:
    """Add --workers."""
    text = "Worker processes; without it one a core."
    return click.option("--workers", type=int, metavar="N", help=text)(function)


def runner_options(function: F) -> F:
    """Add --workers, --runner and --dask-address."""
    kind = click.option(
        "--runner",
        type=OneOf("runner", _runners),
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
def crew(
    workers: int | None, runner: Kind | None = None, dask_address: str | None = None, *, needed: bool = True
) -> Iterator[Runner]:
    """Open the runner that was asked for; one worker needs no pool, and what is not `needed` is not opened."""
    from sar_data.runners import Crew, Serial

    chosen = Crew(workers=workers, runner=runner, dask_address=dask_address)
    if not needed:
        yield Serial()
        return
    with ExitStack() as stack:
        with sheltered() if chosen.kind == "processes" else nullcontext():
            opened = stack.enter_context(chosen.open_chosen())
        yield opened
