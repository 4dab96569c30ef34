"""The whole mission as one flow: fetch, build, verify, train, report. Run again, it does what is missing."""

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

if TYPE_CHECKING:
    from sar_data.train.request import TrainRequest

JOBS: dict[str, Job] = {
    "multiclass": "finetune",
    "multilabel": "finetune",
    "segmentation": "segment",
    "detection": "detect",
}
"""Kind of a dataset's first task → the job that learns it."""


def _as_sealed(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    """Return the key of what was found of a build: where it is, and its manifest, which covers all of it."""
    path = parameters["path"]
    told = f"{path}\n".encode() + (path / NAME).read_bytes()
    return f"verified-{hashlib.sha256(told).hexdigest()}"


verify_once = task(name="verify", cache_key_fn=_as_sealed, persist_result=True, result_serializer="json")(compare)


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
    request = _requested(run, preset, job, settings, parameters)
    sealed = build(**parameters)
    if isinstance(sealed, list):  # of one, which was asked for as a list
        (sealed,) = sealed
    verify_once(Path(sealed["path"]), True, crew_of(parameters))
    metrics = training.carry_out(dataclasses.replace(request, build=sealed["path"]))
    publish_run(run, metrics)
    return {"build": sealed, "run": str(run), "metrics": metrics}


def _requested(
    run: Path, preset: str | None, job: Job | None, settings: Mapping[str, Any] | None, parameters: Mapping[str, Any]
) -> TrainRequest:
    """Return the training that is asked for; raise UsageError for what contradicts itself, before anything starts.

    Its build is not there yet: what stands for it is the folder of all builds.
    """
    from sar_data.train.preset import find  # which needs the extra `train`

    check_absolute(run=run, out=parameters["out"], preset=preset_file(preset))
    format = parameters.get("format")
    if isinstance(format, list) and len(format) != 1:
        raise UsageError(f"`format={','.join(format)}`: expected one container to train on, found {len(format)}")
    named: str | None = job or (find(preset).job if preset else None)
    if named is None:
        tasks = catalog.pipeline(parameters["dataset"], parameters.get("variant")).spec.tasks
        if not tasks:
            raise UsageError(f"{parameters['dataset']} has no task to learn: expected `job=…` or `preset=…`")
        named = JOBS[tasks[0].kind]
    asked = {"job": named, "build": str(parameters["out"]), "out": run, "preset": preset, "settings": settings}
    request: TrainRequest = training.requested(asked)
    return request


def check(parameters: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that `mission` would refuse before it opens a file."""
    names = set(inspect.signature(build).parameters)
    building.check({name: value for name, value in parameters.items() if name in names})
    _requested(parameters["run"], parameters["preset"], parameters["job"], parameters["settings"], parameters)


CHECKS = {"build-and-train": check}
build_and_train = flow(
    name="build-and-train",
    description="Fetch, build, verify, train and report, in one run.",
    flow_run_name=run_name,
    persist_result=False,
)(mission)
