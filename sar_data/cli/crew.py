"""The runner that the command line chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from sar_data.cli.choices import OneOf
from sar_data.cli.stop import shield_children

if TYPE_CHECKING:
    from sar_data.runners import Kind, Runner


F = TypeVar("F", bound=Callable[..., Any])


def _runners() -> tuple[str, ...]:
    from sar_data.runners import Kind

    return get_args(Kind)


def workers_option(function: F) -> F:
    """Add --workers."""
    text = "Worker processes; by default one a core."
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
    """Open the chosen runner; one worker needs no pool, and without `needed` nothing is opened."""
    from sar_data.runners import Crew, Serial

    chosen = Crew(workers=workers, runner=runner, dask_address=dask_address)
    if not needed:
        yield Serial()
        return
    with ExitStack() as stack:
        with shield_children() if chosen.kind == "processes" else nullcontext():
            open_runner = stack.enter_context(chosen.open_chosen())
        yield open_runner
