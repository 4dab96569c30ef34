"""The flows that train on a sealed build (probe, finetune, segment, change or detect), and use finished runs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prefect import flow, get_run_logger
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from flows import report
from flows.names import run_name
from flows.reports import check as check_report
from flows.requests import check_absolute, request_of
from flows.sentence import explain
from flows.tasks import OVER_DISK, once, progress
from flows.types import Absolute, Place
from sar_data.errors import SarDataError
from sar_data.reports.words import Language
from sar_data.system.cores import limit_spinning

if TYPE_CHECKING:
    from sar_data.train.verbs import Request

Job = Literal["probe", "finetune", "segment", "change", "detect", "pretrain"]
EPOCH = re.compile(r"epoch (?P<done>\d+) of (?P<epochs>\d+): ")  # the line of a run at the end of an epoch
RUN_PAGE, RUN_REPORT = "-run", "-run-report"  # ends of the keys of a run's page and of its report's link


def answer(request: Request) -> Any:
    """Carry out a request and return what its verb in Python returns."""
    limit_spinning(os.environ)
    from sar_data.train.verbs import carry_out

    info: Callable[..., None] = get_run_logger().info
    tell = progress()

    def say(line: str) -> None:
        info("%s", line)
        if epoch := EPOCH.match(line):
            tell("train", int(epoch["done"]), int(epoch["epochs"]))

    return carry_out(request, say=say)


carry_out = once(name="train", **OVER_DISK)(answer)
"""Train, or continue from the last checkpoint; a finished run stays as it is."""


@once()
def publish_run(run: Path, metrics: dict[str, Any]) -> None:
    """Show a run's metrics as artifacts; the page's description is the run's folder."""
    config, dataset = report.configuration(run), _dataset(run)
    create_table_artifact(report.metric_rows(metrics), key=f"{dataset}-metrics", description=f"Metrics of `{run}`")
    create_markdown_artifact(report.run_page(run, config, metrics), key=f"{dataset}{RUN_PAGE}", description=str(run))
    try:
        link_report(run)
    except SarDataError as error:  # the run is finished, and its report can be written later
        get_run_logger().warning("no report was written: %s", error)


def link_report(runs: Path | Sequence[Path], out: Path | None = None, language: Language = "en") -> Path:
    """Write the report of runs, beside the first by default, link it as an artifact and return its path."""
    from sar_data.train import report as write

    first = runs if isinstance(runs, Path) else runs[0]
    path, text = write(runs, out=out, language=language).absolute(), f"Report of {runs}"
    create_link_artifact(path.as_uri(), link_text=path.name, key=f"{_dataset(first)}{RUN_REPORT}", description=text)
    return path


@flow(name="train", description="Train on a sealed build.", flow_run_name=run_name, persist_result=False)
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

    An unfinished run continues, a finished one stays as it is.

    Args:
        job: probe, finetune, segment, change, detect or pretrain.
        build: Folder of the sealed build, absolute, or its URL; or a list of them.
        out: Folder of the training run, absolute.
        preset: Published options under a name, or an absolute path of a .toml file; none for the job's defaults.
        settings: Options of the job that differ from the preset, such as {"epochs": 5}.
        mix: Of several builds, each one's share of what an epoch draws; by default each sample comes once.
        statistics: Of several builds, whose figures normalize the images: own or joint; by default each build's own.
        drop_duplicates: Leave out train samples that a val or test split has, or train has twice.
    """
    parameters = locals()
    explain()
    metrics = carry_out(make_request(parameters))
    publish_run(out, metrics)
    return {"run": str(out), "metrics": metrics}


@flow(name="benchmark", description="Run a published suite of tasks.", flow_run_name=run_name, persist_result=False)
def benchmark(
    suite: str, builds: Absolute, out: Absolute, weights: str | None = None, settings: dict[str, Any] | None = None
) -> str:
    """Run the presets of a published suite one after another; return one table beside the published figures.

    Args:
        suite: copernicus-bench-s1.
        builds: Folder of the sealed builds of its tasks, absolute.
        out: Folder of the runs, absolute; an unfinished benchmark continues, a finished one stays as it is.
        weights: Of the frozen encoder: absolute path of a file; or hf:, torchgeo: or timm: and a name.
        settings: Of all rows: model, stem, normalize, image_size, batch_size, epochs, seed, amp, threads or device.
    """
    parameters = locals()
    explain()
    table: str = once(name="benchmark", **OVER_DISK)(answer)(make_request(parameters, "BenchmarkRequest"))
    create_markdown_artifact(table, key=f"{suite}-benchmark", description=str(out))
    return table


@flow(
    name="evaluate",
    description="Judge a finished run on a split of a sealed build.",
    flow_run_name=run_name,
    persist_result=False,
)
def evaluate(
    run: Absolute,
    build: Place,
    split: str = "test",
    out: Absolute | None = None,
    normalize_by: str = "run",
    picture_format: str = "png",
    device: str | None = None,
) -> dict[str, Any]:
    """Judge a finished run on one split of any build of its task; return the run's folder and the metrics.

    Args:
        run: Folder of the finished run, absolute.
        build: Folder of the sealed build, absolute, or its URL.
        split: train, val or test.
        out: Folder of the figures, absolute; by default one in the run's.
        normalize_by: Whose train split normalizes the images, the run's or the build's.
        picture_format: png, pdf or svg; a finished evaluation is drawn again in another one.
        device: cpu or cuda; by default a GPU where there is one.
    """
    parameters = locals()
    explain()
    metrics = once(name="evaluate")(answer)(make_request(parameters, "EvaluateRequest"))
    text = f"`{run}` on {split} of `{build}`"
    create_table_artifact(report.metric_rows(metrics), key=f"{_dataset(run)}-evaluation", description=text)
    return {"run": str(run), "metrics": metrics}


@flow(
    name="predict",
    description="Write a finished run's predictions for images.",
    flow_run_name=run_name,
    persist_result=False,
)
def predict(
    run: Absolute,
    source: Place,
    out: Absolute,
    split: str | None = None,
    bands: list[str] | None = None,
    unit: str | None = None,
    tile: int | None = None,
    thresholds: str = "fixed",
    picture_format: str = "png",
    device: str | None = None,
) -> dict[str, Any]:
    """Write a finished run's predictions for images; return the folder and the counts of each class.

    Args:
        run: Folder of the finished run, absolute.
        source: Sealed build, folder of images or one image, absolute, or its URL.
        out: Folder of the answers, absolute; an unfinished prediction continues.
        split: Of a build, one of its splits; by default all.
        bands: Of images, the bands of a file in their order; by default as the files describe them.
        unit: Of images, dB, power or amplitude; by default the model's unit.
        tile: Of images, the side of windows in pixels; by default as in training.
        thresholds: Of several labels, predict those above 0.5 (fixed), or above thresholds chosen on val (run).
        picture_format: Of the sheet: png, pdf or svg.
        device: cpu or cuda; by default a GPU where there is one.
    """
    parameters = locals()
    explain()
    counts = once(name="predict")(answer)(make_request(parameters, "PredictRequest"))
    rows = [{"class": name, "count": count} for name, count in counts.items()]
    create_table_artifact(rows, key="prediction", description=f"What `{run}` says of `{source}`")
    return {"out": str(out), "said": counts}


@flow(name="embed", description="Write the features of a build's images.", flow_run_name=run_name, persist_result=False)
def embed(
    source: str,
    build: Place,
    out: Absolute,
    split: str | None = None,
    pooling: str | None = None,
    dtype: str = "float16",
    like: str | None = None,
    picture_format: str = "png",
    device: str | None = None,
    settings: dict[str, Any] | None = None,
) -> str:
    """Write the features of a build's images, one vector a key; return the path of the Parquet file.

    Args:
        source: Folder of the finished run or file of weights, absolute; or hf:, torchgeo: or timm: and a name.
        build: Folder of the sealed build, absolute, or its URL.
        out: Parquet file, absolute; one of the same features is left as it is.
        split: train, val or test; by default all.
        pooling: cls, mean or last4; by default the run's, or the encoder's first.
        dtype: float16 or float32.
        like: A key, whose nearest neighbours are drawn beside the file.
        picture_format: Of the neighbours: png, pdf or svg.
        device: cpu or cuda; by default a GPU where there is one.
        settings: Of weights: model, stem, bands, unit, normalize, image_size, crop, pad or batch_size.
    """
    parameters = locals()
    explain()
    return str(once(name="embed")(answer)(make_request(parameters, "EmbedRequest")))


@flow(
    name="explain",
    description="Show what an encoder leans on in the images of a build.",
    flow_run_name=run_name,
    persist_result=False,
)
def explain_points(
    source: str,
    build: Place,
    out: Absolute,
    split: str = "test",
    count: int = 16,
    cells: int = 16,
    draws: int = 8,
    steps: int = 60,
    threshold: float = 0.3,
    seed: int = 0,
    picture_format: str = "png",
    device: str | None = None,
    settings: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the knowledge points of chips, tables and pictures; return the folder and the points' shares.

    Args:
        source: Folder of the finished run or file of weights, absolute; or hf:, torchgeo: or timm: and a name.
        build: Folder of the sealed build, absolute, or its URL.
        out: Folder of tables and pictures, absolute.
        split: train, val or test.
        count: Chips, the first of the split.
        cells: Cells along each side of a chip.
        draws: Draws of noise a step.
        steps: Steps of the optimisation.
        threshold: Nats below the background's mean at which a cell is a point.
        seed: Of the noise.
        picture_format: png, pdf or svg.
        device: cpu or cuda; by default a GPU where there is one.
        settings: Of weights: model, stem, bands, unit, normalize, image_size, crop, pad or batch_size.
    """
    parameters = locals()
    explain()
    sums = once(name="explain")(answer)(make_request(parameters, "ExplainRequest"))
    rows = [{"figure": name, "value": value} for name, value in sums.items()]
    create_table_artifact(rows, key="knowledge-points", description=f"Knowledge points of `{source}` in `{build}`")
    return {"out": str(out), "shares": sums}


@flow(
    name="export",
    description="Write a finished run's model as one file, with a card.",
    flow_run_name=run_name,
    persist_result=False,
)
def export(run: Absolute, to: str, out: Absolute) -> str:
    """Write a finished run's model as one file for other programs; return its path.

    Args:
        run: Folder of the finished run, absolute.
        to: onnx or torchscript; of a pretraining fgmae.
        out: Folder of the file, its description and its card, absolute.
    """
    parameters = locals()
    explain()
    return str(once(name="export")(answer)(make_request(parameters, "ExportRequest")))


@flow(name="compare", description="Compare finished runs.", flow_run_name=run_name, persist_result=False)
def compare(
    runs: Absolute | list[Absolute],
    split: str = "test",
    over: str | None = None,
    csv: bool = False,
    latex: bool = False,
) -> str:
    """Return a table of finished runs: the options that differ, and the results.

    Args:
        runs: Folder of a run, absolute, or a list of them; the others are tested against the first.
        split: train, val or test.
        over: seed, for mean and deviation of the runs that differ only in this.
        csv: CSV instead of Markdown.
        latex: LaTeX (booktabs) instead of Markdown.
    """
    parameters = locals()
    explain()
    request = make_request(parameters, "CompareRequest")
    from sar_data.train.comparison import compared

    table = once(name="compare")(compared)(request)
    shown = f"```\n{table}```" if csv or latex else table
    create_markdown_artifact(shown, key=f"{_dataset(request.folders[0])}-comparison", description=f"Of `{runs}`")
    return table


@flow(
    name="train-report",
    description="Write finished runs as one HTML page.",
    flow_run_name=run_name,
    persist_result=False,
)
def train_report(runs: Absolute | list[Absolute], out: Absolute | None = None, language: Language = "en") -> str:
    """Write the options and the results of finished runs as one HTML page; return its path.

    Args:
        runs: Folder of a run, absolute, or a list of them.
        out: File that ends in .html, absolute; none for RUN.report.html beside the first run.
        language: en or zh.
    """
    parameters = locals()
    explain()
    check_report(parameters)
    return str(once(name="train-report")(link_report)(runs, out, language))


def make_request(parameters: Mapping[str, Any], kind: str = "TrainRequest") -> Any:
    """Return the request; raise UsageError for a relative path and for contradictory parameters."""
    from sar_data.train import request  # which needs the extra `train`

    check_absolute(preset=preset_file(parameters.get("preset")))
    return request_of(getattr(request, kind), parameters)


def preset_file(preset: str | None) -> Path | None:
    """Return the path of a preset that is a user's own file."""
    return Path(preset) if preset and preset.endswith(".toml") else None


def _dataset(run: Path) -> str:
    """Return the dataset of a run, in the characters that keys of artifacts allow."""
    return str(report.configuration(run)["build"]["dataset"]).replace("+", "-")  # of several builds


CHECKS: dict[str, Callable[[Mapping[str, Any]], object]] = {
    "train": make_request,
    "benchmark": partial(make_request, kind="BenchmarkRequest"),
    "evaluate": partial(make_request, kind="EvaluateRequest"),
    "predict": partial(make_request, kind="PredictRequest"),
    "embed": partial(make_request, kind="EmbedRequest"),
    "explain": partial(make_request, kind="ExplainRequest"),
    "export": partial(make_request, kind="ExportRequest"),
    "compare": partial(make_request, kind="CompareRequest"),
    "train-report": check_report,
}
