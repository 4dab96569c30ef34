"""The flows that train on a sealed build (probe, finetune, segment or detect), and judge a finished run on another."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from flows import report
from flows.build import check_absolute
from flows.sentence import explain
from flows.tasks import RETRY_AFTER_S, transient
from flows.types import Absolute, Place
from sar_data.errors import SarDataError
from sar_data.system.cores import limit_spinning

if TYPE_CHECKING:
    from sar_data.train.request import EvaluateRequest, PredictRequest, TrainRequest

Job = Literal["probe", "finetune", "segment", "detect"]
RUN_PAGE, RUN_REPORT = "-run", "-run-report"  # how the keys of a run's page and of its report's link end


@task(
    name="train",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_AFTER_S),
    retry_delay_seconds=RETRY_AFTER_S,
    retry_condition_fn=transient,
)
def carry_out(request: TrainRequest) -> dict[str, Any]:
    """Train, or go on from the last checkpoint; return the metrics, which a finished run has already."""
    limit_spinning(os.environ)
    from sar_data.train.run.training import train

    say: Callable[..., None] = get_run_logger().info
    return train(request, say=lambda line: say("%s", line))


@task(cache_policy=NO_CACHE, persist_result=False)
def publish_run(run: Path, metrics: dict[str, Any]) -> None:
    """Show a run's metrics as artifacts; the page's description is the run's folder."""
    config = report.configuration(run)
    dataset = config["build"]["dataset"].replace("+", "-")  # of several builds; a key has no other signs
    create_table_artifact(report.metric_rows(metrics), key=f"{dataset}-metrics", description=f"Metrics of `{run}`")
    create_markdown_artifact(report.run_page(run, config, metrics), key=f"{dataset}{RUN_PAGE}", description=str(run))
    try:
        link_report(run, dataset)
    except SarDataError as error:  # the run is finished, and its report can be written later
        get_run_logger().warning("no report was written: %s", error)


def link_report(run: Path, dataset: str) -> None:
    """Write the report of a run beside it, and link it as an artifact."""
    from sar_data.train import report as write

    path, text = write(run).absolute(), f"Report of {run}"
    create_link_artifact(path.as_uri(), link_text=path.name, key=f"{dataset}{RUN_REPORT}", description=text)


@flow(name="train", description="Train on a sealed build.", persist_result=False)
def train(
    job: Job,
    build: Place | list[Place],
    out: Absolute,
    preset: str | None = None,
    settings: dict[str, Any] | None = None,
    mix: list[float] | None = None,
    statistics: str | None = None,
    drop_duplicates: bool | None = None,
) -> dict[str, Any]:
    """Train on a sealed build, or on several as one set; return the run's folder and its metrics.

    An unfinished run goes on, a finished one is left as it is.

    Args:
        job: probe, finetune, segment or detect.
        build: Folder of the sealed build, absolute, or its URL; or a list of them.
        out: Folder of the training run, absolute.
        preset: Published options under a name, or an absolute path of a .toml file; none for the job's defaults.
        settings: Options of the job that differ from the preset, such as {"epochs": 5}.
        mix: Of several builds, each one's share of what an epoch draws; by default each sample comes once.
        statistics: Of several builds, whose figures normalize the images: own or joint; by default each build's own.
        drop_duplicates: Leave out train samples that a val or test split has, or train has twice.
    """
    explain()
    request = requested(
        job=job,
        build=build,
        out=out,
        preset=preset,
        settings=settings,
        mix=mix,
        statistics=statistics,
        drop_duplicates=drop_duplicates,
    )
    metrics = carry_out(request)
    publish_run(out, metrics)
    return {"run": str(out), "metrics": metrics}


@task(name="evaluate", cache_policy=NO_CACHE, persist_result=False)
def judge(request: EvaluateRequest) -> dict[str, Any]:
    """Judge a finished run; return the metrics."""
    limit_spinning(os.environ)
    from sar_data.train.inference.evaluation import carry_out

    say: Callable[..., None] = get_run_logger().info
    return carry_out(request, say=lambda line: say("%s", line))


@flow(name="evaluate", description="Judge a finished run on a split of a sealed build.", persist_result=False)
def evaluate(
    run: Absolute,
    build: Place,
    split: str = "test",
    out: Absolute | None = None,
    normalize_by: str = "run",
    device: str | None = None,
) -> dict[str, Any]:
    """Judge a finished run on one split of any build of its task; return the run's folder and the metrics.

    Args:
        run: Folder of the finished run, absolute.
        build: Folder of the sealed build, absolute, or its URL.
        split: train, val or test.
        out: Folder of the figures, absolute; by default one in the run's.
        normalize_by: Whose train split normalizes the images, the run's or the build's.
        device: cpu or cuda; by default a GPU where there is one.
    """
    explain()
    request = judging(run=run, build=build, split=split, out=out, normalize_by=normalize_by, device=device)
    metrics = judge(request)
    dataset = report.configuration(run)["build"]["dataset"]
    told = f"`{run}` on {split} of `{build}`"
    create_table_artifact(report.metric_rows(metrics), key=f"{dataset}-evaluation", description=told)
    return {"run": str(run), "metrics": metrics}


@task(name="predict", cache_policy=NO_CACHE, persist_result=False)
def say_of(request: PredictRequest) -> dict[str, Any]:
    """Predict, or go on with the parts that are missing; return the counts."""
    limit_spinning(os.environ)
    from sar_data.train.inference.prediction import carry_out

    say: Callable[..., None] = get_run_logger().info
    return carry_out(request, say=lambda line: say("%s", line))


@flow(name="predict", description="Write what a finished run says of images.", persist_result=False)
def predict(
    run: Absolute,
    source: Place,
    out: Absolute,
    split: str | None = None,
    bands: list[str] | None = None,
    unit: str | None = None,
    tile: int | None = None,
    thresholds: str = "fixed",
    device: str | None = None,
) -> dict[str, Any]:
    """Write what a finished run's model says of images; return the folder and the counts of each class.

    Args:
        run: Folder of the finished run, absolute.
        source: Sealed build, folder of images or one image, absolute, or its URL.
        out: Folder of the answers, absolute; an unfinished prediction goes on.
        split: Of a build, one of its splits; by default all.
        bands: Of images, the bands of a file in their order; by default as the files describe them.
        unit: Of images, dB, power or amplitude; by default the model's unit.
        tile: Of images, the side of windows in pixels; by default as in training.
        thresholds: Of several labels, say those above 0.5 (fixed), or above what the run has chosen on val (run).
        device: cpu or cuda; by default a GPU where there is one.
    """
    explain()
    request = predicting(
        run=run,
        source=source,
        out=out,
        split=split,
        bands=bands,
        unit=unit,
        tile=tile,
        thresholds=thresholds,
        device=device,
    )
    said = say_of(request)
    rows = [{"class": name, "count": count} for name, count in said.items()]
    create_table_artifact(rows, key="prediction", description=f"What `{run}` says of `{source}`")
    return {"out": str(out), "said": said}


def predicting(**parameters: Any) -> PredictRequest:
    """Return what is asked of a finished run; raise UsageError for a path of another folder and a wrong name."""
    from sar_data.train.request import PredictRequest  # which needs the extra `train`

    source = parameters["source"]
    check_absolute(source=None if "://" in source else Path(source), run=parameters["run"], out=parameters["out"])
    return PredictRequest(**parameters)


def judging(**parameters: Any) -> EvaluateRequest:
    """Return what is asked of a finished run; raise UsageError for a path of another folder and a wrong name."""
    from sar_data.train.request import EvaluateRequest  # which needs the extra `train`

    build = parameters["build"]
    check_absolute(build=None if "://" in build else Path(build), run=parameters["run"], out=parameters["out"])
    return EvaluateRequest(**parameters)


def requested(**parameters: Any) -> TrainRequest:
    """Return what is asked for; raise UsageError for a path of another folder and for what contradicts itself."""
    from sar_data.train.request import TrainRequest  # which needs the extra `train`

    given = parameters["build"]
    for build in [given] if isinstance(given, str) else given:
        check_absolute(build=None if "://" in build else Path(build))
    check_absolute(out=parameters["out"], preset=preset_file(parameters["preset"]))
    return TrainRequest(**parameters)


def preset_file(preset: str | None) -> Path | None:
    """Return the path of a preset that is a file of one's own."""
    return Path(preset) if preset and preset.endswith(".toml") else None


CHECKS: dict[str, Callable[[Mapping[str, Any]], object]] = {
    "train": lambda parameters: requested(**parameters),
    "evaluate": lambda parameters: judging(**parameters),
    "predict": lambda parameters: predicting(**parameters),
}
