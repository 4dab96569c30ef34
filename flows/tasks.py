"""The coarse tasks of a build: each step of its itinerary, publish; a few runs however many records there are.

A draft holds its target's lock, so tasks hand it on within one process: nothing here is cached or persisted.
What makes a second attempt go on where the first one stopped is the evidence beside the shards.
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
from sar_data.builder.itinerary import BuildResult, Itinerary, Step
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.errors import SarDataError, TargetError, Unreachable, WorkerDied
from sar_data.progress import Progress
from sar_data.reports.build import report as written
from sar_data.runners import Crew, Runner, Serial
from sar_data.sealed.opened import Build

F = TypeVar("F", bound=Callable[..., Any])
RETRY_AFTER_S = [10.0, 60.0]  # a killed worker's memory is back at once, a neighbour's scratch files a little later
SERVERS_AFTER_S = [60.0, 600.0, 3600.0]  # a transfer has been patient for minutes itself
PAGE, LINK = "-build", "-report"  # how the keys of a build's page and of its report's link end
EVERY_S = 2.0  # between two looks at a stage's artifact
STEPS = 10  # log lines a stage: a build of 590,000 records says no more than one of six


def transient(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    """Say whether a failed attempt may go better the next time: the disk or a worker failed, not the data.

    A missing source is an OSError too, but one that waiting does not mend.
    """
    error = state.result(raise_on_failure=False)
    if isinstance(error, SarDataError):
        return isinstance(error, (TargetError, Unreachable, WorkerDied))
    return isinstance(error, OSError)


def run_step(step: Step[Any], crew: Crew) -> None:
    """Run one step of an itinerary: over pixels on the workers that were chosen, others on this machine.

    Credentials for the web are those of the worker's user, and no parameter.
    """
    say: Callable[..., None] = get_run_logger().info
    if crew.kind == "dask":
        _hush()
    # Nothing to do is no reason to start a cluster.
    opened: dict[str, Callable[[], AbstractContextManager[Runner]]]
    opened = {"files": crew.open_local, "pixels": crew.open_chosen}
    with opened.get(step.reads, lambda: nullcontext(Serial()))() as runner:
        result = step.run(runner, progress(), say)
    if step.name != "prepare":
        return
    if result.sealed:
        say("%s is sealed already: nothing to do", result.target.place)
    else:
        counts = ", ".join(f"{name} {split.count}" for name, split in result.splits.items())
        say("planned %s: %s, in %d shards", result.target.place, counts, len(result.shards))


def once(**options: Any) -> Callable[[F], F]:
    """Return what makes a task of a function, whose result stays in this process."""

    def decorate(function: F) -> F:
        made: Any = task(cache_policy=NO_CACHE, persist_result=False, **options)(function)
        return cast(F, made)

    return decorate


def _again(after_s: list[float]) -> dict[str, Any]:
    return {
        "retries": len(after_s),
        "retry_delay_seconds": after_s,
        "retry_jitter_factor": 0.5,
        "retry_condition_fn": transient,
    }


OVER_DISK, OVER_WEB = _again(RETRY_AFTER_S), _again(SERVERS_AFTER_S)
"""Options of a task that is tried again, where waiting may help."""


def carry_out(request: BuildRequest | ConvertRequest, crew: Crew) -> list[BuildResult]:
    """Run each step of a request as a task; return what became of each container that it asks for."""
    itinerary = Itinerary(request)
    with closing(itinerary.steps()) as steps:
        for step in steps:
            unseen: Any = quote(step)  # else Prefect looks for futures in every planned record: 9 s for 590,000
            retries = {"pixels": OVER_DISK, "web": OVER_WEB}.get(step.reads, {})
            once(name=step.title, **retries)(run_step)(unseen, crew)
    return itinerary.results


@once()
def publish(build: Build) -> None:
    """Show the build's statistics, facts and report as artifacts, and its digests and its parent's as events.

    The page's description is the build's path. `prefect deployment run --watch` prints the events' names.
    """
    name = build.manifest.dataset
    for what, document in report.sealed(build):
        digests = f"content digest {document['content_digest']}, recipe digest {document['recipe_digest']}"
        resource = {
            "prefect.resource.id": f"sar-data.build.{document['recipe_digest']}",
            "prefect.resource.name": f"{document['path']}: {digests}",
        }
        emit_event(f"sar-data.build.{what}", resource, payload=document)
    if rows := report.statistics_rows(build.manifest.statistics or {}):
        create_table_artifact(rows, key=f"{name}-statistics", description=f"Band statistics of `{build.path}`")
    create_markdown_artifact(report.page(build), key=f"{name}{PAGE}", description=str(build.path))
    try:
        link_report(build)
    except SarDataError as error:  # the build is sealed, and its report can be written later
        get_run_logger().warning("no report was written: %s", error)


def link_report(build: Build, out: Path | None = None, language: str = "en") -> Path:
    """Write the report of a build, beside it by default, link it as an artifact and return its path."""
    path = written(build, out, language).absolute()
    key, text = f"{build.manifest.dataset}{LINK}", f"Report of {build.path}"
    create_link_artifact(path.as_uri(), link_text=path.name, key=key, description=text)
    return path


def _hush() -> None:
    """Keep a cluster's chatter about connections out of the log, which Prefect's root handler would print."""
    with suppress(ImportError):  # which the runner explains
        import distributed  # noqa: F401  # sets its loggers' levels when it is imported

        logging.getLogger("distributed").setLevel(logging.WARNING)


def progress() -> Progress:
    """Return a progress that logs every tenth of a stage, and shows each stage as an artifact that moves."""
    info: Callable[..., None] = get_run_logger().info
    reached: dict[str, int] = {}
    shown: dict[str, tuple[UUID, float]] = {}

    def tell(stage: str, done: int, total: int) -> None:
        share = done / max(total, 1)
        step = int(STEPS * share)
        if step > reached.get(stage, 0):
            reached[stage] = step
            info("%s: %d of %d (%d %%)", stage, done, total, int(100 * share))
        with suppress(httpx.HTTPError):  # the work goes on where a server does not answer
            _move(shown, stage, share, f"{stage}: {done:,} of {total:,}")

    return tell


def _move(shown: dict[str, tuple[UUID, float]], stage: str, share: float, text: str) -> None:
    """Show how far a stage is: at its beginning, at its end, and every few seconds between them."""
    now = time.monotonic()
    if stage not in shown:
        shown[stage] = cast(UUID, create_progress_artifact(100 * share, description=text)), now
        return
    artifact, told = shown[stage]
    if share >= 1 or now - told >= EVERY_S:
        update_progress_artifact(artifact, 100 * share, description=text)
        shown[stage] = artifact, now
