"""The whole mission as one flow: fetch, build, verify, train, report. A second run does what is missing."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow, task
from prefect.context import TaskRunContext

from flows import build as building
from flows import train as training
from flows.build import build
from flows.names import run_name
from flows.requests import check_absolute, crew_of
from flows.signature import like
from flows.train import Job, preset_file, publish_run
from flows.types import Absolute
from flows.verify import compare
from sar_data import catalog
from sar_data.errors import UsageError
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import Build

if TYPE_CHECKING:
    from sar_data.train.request import TrainRequest

JOBS: dict[str, Job] = {
    "multiclass": "finetune",
    "multilabel": "finetune",
    "segmentation": "segment",
    "change": "change",
    "detection": "detect",
}
"""Kind of a dataset's first task → the job that learns it."""


def _manifest_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    """Return the cache key of a verification: the path of the build and its manifest, which covers all its bytes."""
    path = parameters["path"]
    identity = f"{path}\n".encode() + (Build.open(path).path / NAME).read_bytes()
    return f"verified-{hashlib.sha256(identity).hexdigest()}"


verify_once = task(name="verify", cache_key_fn=_manifest_key, persist_result=True, result_serializer="json")(compare)


@like(build)
def mission(
    run: Absolute,
    preset: str | None = None,
    job: Job | None = None,
    settings: dict[str, Any] | None = None,
    **parameters: Any,
) -> dict[str, Any]:
    """Fetch what is missing, build a dataset, verify it, train on it and show the results.

    Returns the build's path and digests, the run's folder and its metrics. A second run with the
    same parameters continues where the first stopped, and keeps its downloads, shards, verification and epochs.

    Args:
        run: Folder of the training run, absolute; an unfinished one continues.
        preset: Published options under a name, or an absolute path of a .toml file; none for the job's defaults.
        job: probe, finetune, segment, change or detect; none for the preset's, or for that of the dataset's first task.
        settings: Options of the job that differ from the preset, such as {"epochs": 5}.
    """
    request = _training_request(run, preset, job, settings, parameters)
    sealed = build(**parameters)
    if isinstance(sealed, list):  # a list of one format
        (sealed,) = sealed
    verify_once(sealed["path"], True, crew_of(parameters))
    metrics = training.carry_out(dataclasses.replace(request, build=sealed["path"]))
    publish_run(run, metrics)
    return {"build": sealed, "run": str(run), "metrics": metrics}


def _training_request(
    run: Path, preset: str | None, job: Job | None, settings: Mapping[str, Any] | None, parameters: Mapping[str, Any]
) -> TrainRequest:
    """Return the request of the training; raise UsageError for contradictory parameters, before anything starts.

    The build does not exist yet, so the request has the folder of all builds in its place.
    """
    from sar_data.train.preset import find  # which needs the extra `train`

    check_absolute(run=run, out=parameters["out"], preset=preset_file(preset))
    format = parameters.get("format")
    if isinstance(format, list) and len(format) != 1:
        raise UsageError(f"`format={','.join(format)}`: expected one container to train on, found {len(format)}")
    job_name: str | None = job or (find(preset).job if preset else None)
    if job_name is None:
        tasks = catalog.pipeline(parameters["dataset"], parameters.get("variant")).spec.tasks
        if not tasks:
            raise UsageError(f"{parameters['dataset']} has no task to learn: expected `job=…` or `preset=…`")
        job_name = JOBS[tasks[0].kind]
    fields = {"job": job_name, "build": str(parameters["out"]), "out": run, "preset": preset, "settings": settings}
    request: TrainRequest = training.make_request(fields)
    return request


def check(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that `mission` would refuse before it opens a file."""
    names = set(inspect.signature(build).parameters)
    building.check({name: value for name, value in parameters.items() if name in names})
    _training_request(parameters["run"], parameters["preset"], parameters["job"], parameters["settings"], parameters)


CHECKS = {"build-and-train": check}
build_and_train = flow(
    name="build-and-train",
    description="Fetch, build, verify, train and report, in one run.",
    flow_run_name=run_name,
    persist_result=False,
)(mission)
