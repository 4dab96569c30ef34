"""Who computes in a flow: this process, processes of this machine, or a Dask cluster."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Literal

from sar_data.errors import UsageError
from sar_data.runners import Dask, Processes, Runner, Serial

Kind = Literal["processes", "dask", "serial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """A choice of workers, from which every task, and every attempt at it, opens a runner of its own.

    A runner whose worker died is not used again, so an attempt never inherits one. Raises UsageError for a choice
    that contradicts itself.
    """

    kind: Kind = "processes"
    workers: int = 0
    dask_address: str | None = None

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise UsageError(f"`workers={self.workers}`: expected 0 for all cores, or a number of workers")
        if self.dask_address is not None and self.kind != "dask":
            raise UsageError(f"`dask_address={self.dask_address}`: expected `runner=dask`, found `runner={self.kind}`")

    @property
    def count(self) -> int:
        return self.workers or len(os.sched_getaffinity(0))

    def near(self) -> AbstractContextManager[Runner]:
        """Open a runner on this machine, for what is short: scanning names and summing finished files."""
        if self.kind == "serial" or self.count == 1:
            return nullcontext(Serial())
        return Processes(self.count)

    def whole(self) -> AbstractContextManager[Runner]:
        """Open the runner that was chosen, for what is long: packing pixels."""
        if self.kind != "dask":
            return self.near()
        _hush()
        return Dask(self.count, self.dask_address)


def _hush() -> None:
    """Keep a cluster's chatter about connections out of the log, which Prefect's root handler would print."""
    with suppress(ImportError):  # which the runner explains
        import distributed  # noqa: F401  # sets its loggers' levels when it is imported

        logging.getLogger("distributed").setLevel(logging.WARNING)
