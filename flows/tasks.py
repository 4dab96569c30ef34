"""The coarse tasks of a build: each step of its itinerary, and publish; few, for any number of records.

A draft has its target's lock, so tasks pass it on within one process: nothing here is cached or persisted.
The evidence beside the shards lets a second attempt continue where the first one stopped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

import httpx
from prefect import get_run_logger, task
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.events import emit_event
from prefect.tasks import Task
from prefect.utilities.annotations import quote

from flows import report
from sar_data.builder.itinerary import BuildResult, Itinerary, Request, Step
from sar_data.errors import SarDataError, TargetError, Unreachable, WorkerDied
from sar_data.progress import Progress
from sar_data.reports.build import report as write_report
from sar_data.runners import Crew, Runner, Serial
from sar_data.sealed.opened import Build

F = TypeVar("F", bound=Callable[..., Any])
RETRY_AFTER_S = [
    10.0,
    60.0,
]  # the memory of a killed worker is free at once, scratch files of other jobs a little later
SERVERS_AFTER_S = [60.0, 600.0, 3600.0]  # a transfer itself retries for minutes
PAGE, LINK = "-build", "-report"  # ends of the keys of a build's page and of its report's link
EVERY_S = 2.0  # between two updates of a stage's artifact
STEPS = 10  # log lines a stage, for a build of 590,000 records as for one of six


def may_be_retried(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    """Return whether a second attempt may succeed: the disk or a worker failed, not the data.

    A missing source is an OSError too, but waiting does not help there.
    """
    error = state.result(raise_on_failure=False)
    if isinstance(error, SarDataError):
        return isinstance(error, (TargetError, Unreachable, WorkerDied))
    return isinstance(error, OSError)


def run_step(step: Step[Any], crew: Crew) -> None:
    """Run one step of an itinerary: steps that read pixels on the chosen workers, others on this machine.

    Credentials for the web are those of the worker's user, never a parameter.
    """
    say: Callable[..., None] = get_run_logger().info
    if crew.kind == "dask":
        _silence_dask()
    # A step without such work starts no cluster.
    runners: dict[str, Callable[[], AbstractContextManager[Runner]]]
    runners = {"files": crew.open_local, "pixels": crew.open_chosen}
    with runners.get(step.reads, lambda: nullcontext(Serial()))() as runner:
        result = step.run(runner, progress(), say)
    if step.name != "prepare":
        return
    for draft in result:
        if draft.sealed:
            say("%s is sealed already: nothing to do", draft.target.place)
        else:
            counts = ", ".join(f"{name} {split.count:,}" for name, split in draft.splits.items())
            say("planned %s: %s, in %d shards", draft.target.place, counts, len(draft.shards))


def once(**options: Any) -> Callable[[F], F]:
    """Return a decorator that makes a task of a function; the result stays in this process."""

    def decorate(function: F) -> F:
        decorated: Any = task(cache_policy=NO_CACHE, persist_result=False, **options)(function)
        return cast(F, decorated)

    return decorate


def _retry_options(after_s: list[float]) -> dict[str, Any]:
    return {
        "retries": len(after_s),
        "retry_delay_seconds": after_s,
        "retry_jitter_factor": 0.5,
        "retry_condition_fn": may_be_retried,
    }


OVER_DISK, OVER_WEB = _retry_options(RETRY_AFTER_S), _retry_options(SERVERS_AFTER_S)
"""Options of a task that is retried after a wait."""


def carry_out(request: Request, crew: Crew) -> list[BuildResult]:
    """Run each step of a request as a task; return the result of each of its containers."""
    itinerary = Itinerary(request)
    with closing(itinerary.steps()) as steps:
        for step in steps:
            quoted: Any = quote(step)  # else Prefect looks for futures in every planned record: 9 s for 590,000
            retries = {"pixels": OVER_DISK, "web": OVER_WEB}.get(step.reads, {})
            once(name=step.title, **retries)(run_step)(quoted, crew)
    return itinerary.results


@once()
def publish(build: Build) -> None:
    """Show the build's statistics, facts and report as artifacts, and its digests and its parent's as events.

    The page's description is the build's path. `prefect deployment run --watch` prints the events' names.
    """
    name = build.manifest.dataset
    for what, document in report.build_documents(build):
        digests = f"content digest {document['content_digest']}, recipe digest {document['recipe_digest']}"
        resource = {
            "prefect.resource.id": f"sar-data.build.{document['recipe_digest']}",
            "prefect.resource.name": f"{document['path']}: {digests}",
        }
        emit_event(f"sar-data.build.{what}", resource, payload=document)
    if rows := report.statistics_rows(build.manifest.statistics or {}):
        create_table_artifact(rows, key=f"{name}-statistics", description=f"Band statistics of `{build.place}`")
    create_markdown_artifact(report.page(build), key=f"{name}{PAGE}", description=str(build.place))
    if build.files is not None:  # a store gets no report
        return
    try:
        link_report(build)
    except SarDataError as error:  # the build is sealed, and its report can be written later
        get_run_logger().warning("no report was written: %s", error)


def link_report(build: Build, out: Path | None = None, language: str = "en") -> Path:
    """Write the report of a build, beside it by default, link it as an artifact and return its path."""
    path = write_report(build, out, language).absolute()
    key, text = f"{build.manifest.dataset}{LINK}", f"Report of {build.place}"
    create_link_artifact(path.as_uri(), link_text=path.name, key=key, description=text)
    return path


def _silence_dask() -> None:
    """Keep a cluster's messages about connections out of the log; Prefect's root handler would print them."""
    with suppress(ImportError):  # the runner raises an error with the remedy
        import distributed  # noqa: F401  # sets its loggers' levels when it is imported

        logging.getLogger("distributed").setLevel(logging.WARNING)


def progress() -> Progress:
    """Return a progress that logs every tenth of a stage, and shows each stage as a progress artifact."""
    info: Callable[..., None] = get_run_logger().info
    reached: dict[str, int] = {}
    shown: dict[str, tuple[UUID, float]] = {}

    def tell(stage: str, done: int, total: int) -> None:
        share, text = done / max(total, 1), f"{stage}: {done:,} of {total:,}"
        step = int(STEPS * share)
        if step > reached.get(stage, 0):
            reached[stage] = step
            info("%s (%d %%)", text, int(100 * share))
        with suppress(httpx.HTTPError):  # the work continues where a server does not answer
            _show_progress(shown, stage, share, text)

    return tell


def _show_progress(shown: dict[str, tuple[UUID, float]], stage: str, share: float, text: str) -> None:
    """Show the progress of a stage: at its beginning, at its end, and every few seconds between them."""
    now = time.monotonic()
    if stage not in shown:
        shown[stage] = cast(UUID, create_progress_artifact(100 * share, description=text)), now
        return
    artifact, shown_at = shown[stage]
    if share >= 1 or now - shown_at >= EVERY_S:
        update_progress_artifact(artifact, 100 * share, description=text)
        shown[stage] = artifact, now
