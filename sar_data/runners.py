"""Runners: this process, processes of this machine, or a Dask cluster. The result is the same.

A runner maps a picklable function over items and yields the results in the items' order, with a bounded number
of items under way. A failure in an item is raised when its turn comes; items before it have been yielded.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import wait as wait_for
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar, get_args

from sar_data.errors import SarDataError, UsageError, WorkerDied, missing_extra, unknown
from sar_data.naming import MAX_NAMES, few
from sar_data.system import main_module
from sar_data.system.cores import available_cores

Kind = Literal["serial", "processes", "dask"]
T = TypeVar("T")
R = TypeVar("R")

UNGUARDED = (
    "worker processes cannot import what this script, prompt or notebook defines: move that into a module of its own, "
    'or, in a script, start the work below `if __name__ == "__main__":`, or take `runner=serial`'
)
PRELOADED = ("builder.pack", "builder.scan", "statistics.kernel", "statistics.cells")  # which workers inherit
AHEAD = 3  # items under way or waiting, a worker: enough to keep all busy, few enough to keep memory flat


class Runner(Protocol):
    """Maps a function over items, in `workers` processes."""

    workers: int

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
        """Yield function(item) for every item, in order; once closed, nothing is under way any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """The choice of a runner: one process, processes of this machine, or a Dask cluster.

    `workers` is the number of processes, one a core without it. Without `runner` it is processes, and dask with an
    address. Every opening gives a runner of its own: one whose worker died is not used again. Raises UsageError for a
    choice that contradicts itself.
    """

    runner: Kind | None = None
    workers: int | None = None
    dask_address: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise unknown("runner", self.kind, get_args(Kind))
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"`workers={self.workers}`: expected at least 1, or none for one a core")
        if self.dask_address is not None and self.kind != "dask":
            raise UsageError(f"`dask_address={self.dask_address}`: expected `runner=dask`, found `runner={self.kind}`")
        if self.kind == "serial" and (self.workers or 1) > 1:
            raise UsageError(f"`runner=serial` is one process: expected no `workers=…`, found `workers={self.workers}`")

    @property
    def kind(self) -> Kind:
        """The runner, or its default."""
        return self.runner or ("dask" if self.dask_address else "processes")

    @property
    def count(self) -> int:
        """The number of processes."""
        return self.workers or available_cores()

    def open_local(self) -> AbstractContextManager[Runner]:
        """Open a runner on this machine, for short work: scanning names and hashing finished files."""
        return nullcontext(Serial()) if self.kind == "serial" or self.count == 1 else Processes(self.count)

    def open_chosen(self) -> AbstractContextManager[Runner]:
        """Open the chosen runner, for long work: packing pixels."""
        return Dask(self.count, self.dask_address) if self.kind == "dask" else self.open_local()


class Serial:
    """Everything in this process."""

    workers = 1

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
        yield from map(function, items)


def _in_order(
    submit: Callable[[T], Any],
    cancel: Callable[[list[Any]], object],
    items: Iterable[T],
    window: int,
    death: type[Exception],
) -> Iterator[Any]:
    """Keep `window` items submitted and yield their results in order; name the item of a dead worker."""
    todo = iter(items)
    waiting: deque[tuple[T, Any]] = deque()
    try:
        while True:
            for item in islice(todo, window - len(waiting)):
                waiting.append((item, submit(item)))
            if not waiting:
                return
            item, future = waiting.popleft()
            try:
                result = future.result()
            except death as error:
                raise WorkerDied(
                    f"a worker process died while it worked on {_describe(item)} (killed by the system, perhaps out of "
                    "memory). Finished parts are kept: run the same command again, with fewer `workers=…` if memory "
                    "was short."
                ) from error
            yield result
    finally:
        cancel([future for _, future in waiting])


def _describe(item: object) -> str:
    """Return an item in words: its name, or the first names of a list."""
    if isinstance(item, (list, tuple)):
        return few([_describe(part) for part in item[: MAX_NAMES + 1]] + [""] * (len(item) - MAX_NAMES - 1))
    return str(getattr(item, "name", None) or getattr(item, "key", None) or item)


def _end_with_parent() -> None:
    """End this worker when its parent ends: a killed builder must not leave workers behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def watch() -> None:
            wait_for([sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


class Processes:
    """A pool of worker processes on this machine; use as a context manager.

    One single-process pool a worker, so that a dead worker is identified by its item.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([f"sar_data.{name}" for name in PRELOADED])
        self._alone = not main_module.is_importable()
        with main_module.safe_path(), main_module.hide_main() if self._alone else nullcontext():
            pools = (ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent) for _ in range(workers))
            self._pools = list(pools)
            self._warm = [pool.submit(os.getpid) for pool in self._pools]  # which starts the processes

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
        if self._alone and main_module.needs_main(function):
            raise UsageError(UNGUARDED)
        queues: list[list[Future[R]]] = [[] for _ in self._pools]

        def submit(item: T) -> Future[R]:
            for queue in queues:
                queue[:] = [future for future in queue if not future.done()]
            shortest = min(range(self.workers), key=lambda worker: len(queues[worker]))
            try:
                future = self._pools[shortest].submit(function, item)
            except BrokenProcessPool as error:  # its worker died a moment ago: said when an item's turn comes
                future = Future()
                future.set_exception(error)
            queues[shortest].append(future)
            return future

        def cancel(futures: list[Future[R]]) -> None:
            wait([future for future in futures if not future.cancel()])

        yield from _in_order(submit, cancel, items, AHEAD * self.workers, BrokenProcessPool)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)


class Dask:
    """A Dask cluster: a local one of `workers` processes, or the scheduler at `address`; use as a context manager.

    Workers read the source and write the building folder, so both must be on a file system that all share.
    """

    def __init__(self, workers: int, address: str | None = None) -> None:
        try:
            import distributed
        except ImportError as error:
            raise missing_extra("dask[distributed]", "dask") from error
        module: Any = distributed  # its classes are not annotated
        self._cluster: Any = None
        try:
            if address is None:
                hidden = nullcontext() if main_module.is_importable() else main_module.hide_main()
                with main_module.safe_path(), hidden:
                    # A page on a free port: the usual one may be another cluster's.
                    self._cluster = module.LocalCluster(
                        n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0"
                    )
            self._client: Any = module.Client(address or self._cluster)
        except (OSError, ValueError) as error:
            where = f"`dask_address={address}`" if address else "`runner=dask`"
            raise SarDataError(f"{where}: expected a Dask scheduler, found none that answers: {error}") from error
        self.workers = max(len(self._client.scheduler_info(n_workers=-1)["workers"]), 1)

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
        from distributed import KilledWorker

        def submit(item: T) -> Any:
            return self._client.submit(function, item, pure=False)

        yield from _in_order(submit, self._client.cancel, items, AHEAD * self.workers, KilledWorker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
