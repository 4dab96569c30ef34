"""The whole mission as one flow: fetch, build, verify, train, report. Run again, it does what is missing."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext

from flows import build as building
from flows import report
from flows.build import build, check_absolute
from flows.signature import like
from flows.tasks import RETRY_AFTER_S, progress, transient
from flows.types import Absolute
from sar_data import catalog
from sar_data.errors import BuildError, UsageError
from sar_data.runners import Crew
from sar_data.sealed.manifest import NAME
from sar_data.sealed.verify import verify as verified
from sar_data.system.cores import yield_early

if TYPE_CHECKING:
    from sar_data.train.preset import Preset
    from sar_data.train.settings import Settings

Job = Literal["probe", "finetune", "segment", "detect"]
JOBS: dict[str, Job] = {
    "multiclass": "finetune",
    "multilabel": "finetune",
    "segmentation": "segment",
    "detection": "detect",
}
"""Kind of a dataset's first task → the job that learns it."""
RUN_PAGE = "-run"  # how the key of a run's page ends


def _as_sealed(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    """Return the key of what was found of a build: where it is, and its manifest, which covers all of it."""
    path = parameters["path"]
    told = f"{path}\n".encode() + (Path(path) / NAME).read_bytes()
    return f"verified-{hashlib.sha256(told).hexdigest()}"


@task(cache_key_fn=_as_sealed, persist_result=True, result_serializer="json")
def verify(path: str, workers: int | None) -> int:
    """Read every byte of a build, once; return the number of its samples. Raises BuildError for what is wrong."""
    with Crew(workers=workers).near() as runner:
        problems = verified(Path(path), full=True, runner=runner, progress=progress())
    if problems:
        more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
        raise BuildError(f"{path}: {problems[0]}{more}. Move it away and run again")
    return sum(split["count"] for split in json.loads((Path(path) / NAME).read_bytes())["splits"].values())


@task(
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_AFTER_S),
    retry_delay_seconds=RETRY_AFTER_S,
    retry_condition_fn=transient,
)
def train(path: str, run: Path, job: str, settings: Settings, preset: str | None) -> dict[str, Any]:
    """Train, or go on from the last checkpoint; return the metrics, which a finished run has already."""
    yield_early(os.environ)
    from sar_data.train.run.training import run as running

    say: Callable[..., None] = get_run_logger().info
    return running(job, path, run, settings, say=lambda line: say("%s", line), preset=preset)


@task(cache_policy=NO_CACHE, persist_result=False)
def publish_run(run: Path, metrics: dict[str, Any], dataset: str) -> None:
    """Show a run's metrics as artifacts; the page's description is the run's folder."""
    create_table_artifact(report.metric_rows(metrics), key=f"{dataset}-metrics", description=f"Metrics of `{run}`")
    create_markdown_artifact(report.run_page(run, metrics), key=f"{dataset}{RUN_PAGE}", description=str(run))


@like(build)
def mission(
    run: Absolute,
    preset: str | None = None,
    job: Job | None = None,
    settings: dict[str, Any] | None = None,
    **parameters: Any,
) -> dict[str, Any]:
    """Fetch what is missing, build a dataset, verify it, train on it and show what came out.

    Returns the build's path and digests, the run's folder and its metrics. Run again with the same parameters, it takes
    up what was stopped, and what is done stays: downloads, shards, the verification, epochs.

    Args:
        run: Folder of the training run, absolute; an unfinished one goes on.
        preset: Published options under a name, or an absolute path of a .toml file; none for the job's defaults.
        job: probe, finetune, segment or detect; none for the preset's, or for what the dataset's first task asks for.
        settings: Options of the job that differ from the preset, such as {"epochs": 5}.
    """
    doing, chosen, asked = _asked(run, preset, job, settings, parameters)
    sealed = build(**parameters)
    if isinstance(sealed, list):  # of one, which was asked for as a list
        (sealed,) = sealed
    verify(sealed["path"], parameters.get("workers"))
    metrics = train(sealed["path"], run, doing, asked, chosen.name if chosen else None)
    publish_run(run, metrics, catalog.pipeline(parameters["dataset"]).spec.name)
    return {"build": sealed, "run": str(run), "metrics": metrics}


def _asked(
    run: Path, preset: str | None, job: Job | None, settings: Mapping[str, Any] | None, parameters: Mapping[str, Any]
) -> tuple[str, Preset | None, Settings]:
    """Return job, preset and settings; raise UsageError for what contradicts itself, before anything starts."""
    from sar_data.train.preset import find, resolved  # which need the extra `train`

    check_absolute(run=run, preset=Path(preset) if preset and preset.endswith(".toml") else None)
    format = parameters.get("format")
    if isinstance(format, list) and len(format) != 1:
        raise UsageError(f"`format={','.join(format)}`: expected one container to train on, found {len(format)}")
    chosen = None if preset is None else find(preset)
    named: str | None = job or (chosen.job if chosen else None)
    if named is None:
        tasks = catalog.pipeline(parameters["dataset"], parameters.get("variant")).spec.tasks
        if not tasks:
            raise UsageError(f"{parameters['dataset']} has no task to learn: expected `job=…` or `preset=…`")
        named = JOBS[tasks[0].kind]
    return named, chosen, resolved(named, chosen, dict(settings or {}))


def check(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that `mission` would refuse before it opens a file."""
    names = set(inspect.signature(build).parameters)
    building.check({name: value for name, value in parameters.items() if name in names})
    _asked(parameters["run"], parameters["preset"], parameters["job"], parameters["settings"], parameters)


CHECKS = {"build-and-train": check}
build_and_train = flow(
    name="build-and-train", description="Fetch, build, verify, train and report, in one run.", persist_result=False
)(mission)
