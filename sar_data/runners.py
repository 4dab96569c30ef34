"""Who computes: this process, processes of this machine, or a Dask cluster. The result is the same.

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
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from itertools import islice
from multiprocessing.connection import wait as wait_for
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar, get_args

from sar_data.errors import SarDataError, UsageError, WorkerDied, missing_extra, unknown
from sar_data.naming import MOST, few
from sar_data.system import main_module

Kind = Literal["serial", "processes", "dask"]
T = TypeVar("T")
R = TypeVar("R")

UNGUARDED = (
    "worker processes cannot import what this script, prompt or notebook defines: move that into a module of its own, "
    'or, in a script, start the work below `if __name__ == "__main__":`, or take `runner=serial`'
)
AHEAD = 3  # items under way or waiting, a worker: enough to keep all busy, few enough to keep memory flat


class Runner(Protocol):
    workers: int

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
        """Yield function(item) for every item, in order; once closed, nothing is under way any more."""


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
    """Keep `window` items submitted and yield their results in order; name the item a dead worker held."""
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
                    f"a worker process died while it worked on {_named(item)} (killed by the system, perhaps out of "
                    "memory). What is finished is kept: run the same command again, with fewer `workers=…` if memory "
                    "was short."
                ) from error
            yield result
    finally:
        cancel([future for _, future in waiting])


def _named(item: object) -> str:
    """Return an item in words: its name, or the first names of a list."""
    if isinstance(item, (list, tuple)):
        return few([_named(part) for part in item[: MOST + 1]] + [""] * (len(item) - MOST - 1))
    return str(getattr(item, "name", None) or getattr(item, "key", None) or item)


def _end_with_parent() -> None:
    """End this worker when its builder is gone: a killed builder must not leave workers behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def watch() -> None:
            wait_for([sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


class Processes:
    """A pool of worker processes on this machine; use as a context manager.

    One single-process pool a worker, so that a worker's death is known by the very item it held.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["sar_data.builder.pack", "sar_data.builder.scan", "sar_data.statistics.kernel"])
        self._pools = [ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent) for _ in range(workers)]
        self._alone = not main_module.importable()
        with main_module.hidden() if self._alone else nullcontext():
            self._warm = [pool.submit(os.getpid) for pool in self._pools]  # which starts the processes

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Generator[R, None, None]:
        if self._alone and main_module.needed(function):
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
        made: Any = distributed  # its classes are not annotated
        self._cluster: Any = None
        if address is None:
            with nullcontext() if main_module.importable() else main_module.hidden():
                self._cluster = made.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
        self._client: Any = made.Client(address or self._cluster)
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


@contextmanager
def chosen(
    workers: int | None = None,
    runner: Kind | Runner | None = None,
    dask_address: str | None = None,
    *,
    starting: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Iterator[Runner]:
    """Open the runner that is asked for: processes, one a core, unless told otherwise; one that is open stays so.

    An address asks for Dask. Processes start within `starting`. Raises UsageError for choices that contradict each
    other, SarDataError where no scheduler answers.
    """
    if runner is not None and not isinstance(runner, str):
        yield runner
        return
    kind = runner or ("dask" if dask_address else "processes")
    if kind not in get_args(Kind):
        raise unknown("runner", kind, get_args(Kind))
    if workers is not None and workers < 1:
        raise UsageError(f"`workers={workers}`: expected at least 1 worker")
    if kind == "serial" and (workers or 1) > 1:
        raise UsageError(f"`runner=serial` works alone: expected no `workers=…` with it, found `workers={workers}`")
    count = workers or len(os.sched_getaffinity(0))
    if kind == "dask":
        try:
            cluster = Dask(count, dask_address)
        except (OSError, ValueError) as error:
            where = f"`dask_address={dask_address}`" if dask_address else "`runner=dask`"
            raise SarDataError(f"{where}: expected a Dask scheduler, found none that answers: {error}") from error
        with cluster:
            yield cluster
    elif kind == "serial" or count == 1:
        yield Serial()
    else:
        with ExitStack() as stack:
            with starting():
                pool = stack.enter_context(Processes(count))
            yield pool
