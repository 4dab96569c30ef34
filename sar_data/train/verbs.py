"""What trains, and what a finished run is asked for, in Python: the command line's names and defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from sar_data.progress import Say
from sar_data.train import early
from sar_data.train.request import (
    BenchmarkRequest,
    CompareRequest,
    EmbedRequest,
    EvaluateRequest,
    ExplainRequest,
    ExportRequest,
    PredictRequest,
    TrainRequest,
)

Request = (
    TrainRequest | BenchmarkRequest | EvaluateRequest | PredictRequest | EmbedRequest | ExplainRequest | ExportRequest
)
_ROOMS: Mapping[type[Request], str] = {
    TrainRequest: "training",
    BenchmarkRequest: "benchmarked",
    EvaluateRequest: "inference.evaluation",
    PredictRequest: "inference.prediction",
    EmbedRequest: "inference.embedding",
    ExplainRequest: "knowledge",
    ExportRequest: "inference.export",
}


def carry_out(request: Request, say: Say | None = None) -> Any:
    """Carry out a request and return what its verb returns: command line, flows and Python come here.

    What is wrong is said before torch is imported, as far as a manifest tells it.
    """
    if isinstance(request, TrainRequest) and len(request.builds) == 1:  # several are looked at together
        early.check(request.builds[0], request.options)
    return import_module(f"sar_data.train.{_ROOMS[type(request)]}").carry_out(request, say=say or _silent)


def train(
    job: str,
    build: str | Path | Sequence[str | Path],
    *,
    out: str | Path,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    mix: Sequence[float] | None = None,
    statistics: str | None = None,
    drop_duplicates: bool | None = None,
    say: Say | None = None,
) -> dict[str, Any]:
    """Train on a sealed build, or several as one set, and return the metrics: split → metric → value.

    `job` is probe, finetune, segment, change, detect or pretrain. An unfinished run in `out` goes on, a finished one is
    left as it is. What the parameters mean stands in TrainRequest (sar_data/train/request.py). Raises UsageError for
    names, options and builds that do not fit, RunError for a loss that is no number.
    """
    metrics: dict[str, Any] = carry_out(
        TrainRequest(
            job=job,
            build=build,
            out=out,
            preset=preset,
            settings=settings,
            mix=mix,
            statistics=statistics,
            drop_duplicates=drop_duplicates,
        ),
        say,
    )
    return metrics


def benchmark(
    suite: str,
    builds: str | Path,
    *,
    out: str | Path,
    weights: str | None = None,
    settings: Mapping[str, Any] | None = None,
    say: Say | None = None,
) -> str:
    """Run the presets of a published suite one after another and return one table beside the published figures.

    What the parameters mean stands in BenchmarkRequest (sar_data/train/request.py). What is finished is left as it is.
    Raises UsageError for a suite that does not exist, a folder without its builds and options that do not fit.
    """
    table: str = carry_out(
        BenchmarkRequest(suite=suite, builds=builds, out=out, weights=weights, settings=settings), say
    )
    return table


def evaluate(
    run: str | Path,
    build: str | Path,
    *,
    split: str = "test",
    out: str | Path | None = None,
    normalize_by: str = "run",
    picture_format: str = "png",
    device: str | None = None,
    say: Say | None = None,
) -> dict[str, Any]:
    """Judge a finished run on one split of a build and return its metrics: split → metric → value, and leakage.

    What the parameters mean stands in EvaluateRequest (sar_data/train/request.py). Raises RunError for a folder that
    is no finished run with a network, UsageError for a build of other bands, units, sizes or another task.
    """
    request = EvaluateRequest(
        run=run,
        build=build,
        split=split,
        out=out,
        normalize_by=normalize_by,
        picture_format=picture_format,
        device=device,
    )
    metrics: dict[str, Any] = carry_out(request, say)
    return metrics


def embed(
    source: str | Path,
    build: str | Path,
    *,
    out: str | Path,
    split: str | None = None,
    pooling: str | None = None,
    dtype: str = "float16",
    like: str | None = None,
    picture_format: str = "png",
    device: str | None = None,
    settings: Mapping[str, Any] | None = None,
    say: Say | None = None,
) -> Path:
    """Write the features of a build's images to a Parquet file, one row a key, and return its path.

    What the parameters mean stands in EmbedRequest (sar_data/train/request.py). Raises UsageError for weights and
    builds that do not fit and a file of other features, RunError for a folder that is no finished run with a network.
    """
    request = EmbedRequest(
        source=source,
        build=build,
        out=out,
        split=split,
        pooling=pooling,
        dtype=dtype,
        like=like,
        picture_format=picture_format,
        device=device,
        settings=settings,
    )
    path: Path = carry_out(request, say)
    return path


def explain(
    source: str | Path,
    build: str | Path,
    *,
    out: str | Path,
    split: str = "test",
    count: int = 16,
    cells: int = 16,
    draws: int = 8,
    steps: int = 60,
    threshold: float = 0.3,
    seed: int = 0,
    picture_format: str = "png",
    device: str | None = None,
    settings: Mapping[str, Any] | None = None,
    say: Say | None = None,
) -> dict[str, Any]:
    """Write the knowledge points of chips to a folder, and return their shares in target, shadow and background.

    What the parameters mean stands in ExplainRequest (sar_data/train/request.py), the files in
    sar_data/train/knowledge. Raises UsageError for weights and builds that do not fit and a folder of other files,
    RunError for a folder that is no finished run with a network.
    """
    request = ExplainRequest(
        source=source,
        build=build,
        out=out,
        split=split,
        count=count,
        cells=cells,
        draws=draws,
        steps=steps,
        threshold=threshold,
        seed=seed,
        picture_format=picture_format,
        device=device,
        settings=settings,
    )
    sums: dict[str, Any] = carry_out(request, say)
    return sums


def predict(
    run: str | Path,
    source: str | Path,
    *,
    out: str | Path,
    split: str | None = None,
    bands: Sequence[str] | None = None,
    unit: str | None = None,
    tile: int | None = None,
    thresholds: str = "fixed",
    picture_format: str = "png",
    device: str | None = None,
    say: Say | None = None,
) -> dict[str, Any]:
    """Write what a finished run's model says of images to a folder, and return the counts of each class.

    What the parameters mean stands in PredictRequest (sar_data/train/request.py), the files in
    sar_data/train/inference/documents.py. Raises RunError for a folder that is no finished run with a network,
    SourceError for images that cannot be read, UsageError for images of other bands or units.
    """
    request = PredictRequest(
        run=run,
        source=source,
        out=out,
        split=split,
        bands=bands,
        unit=unit,
        tile=tile,
        thresholds=thresholds,
        picture_format=picture_format,
        device=device,
    )
    counts: dict[str, Any] = carry_out(request, say)
    return counts


def export(run: str | Path, *, to: str, out: str | Path, say: Say | None = None) -> Path:
    """Write a finished run's model to a folder as one file (`to` onnx, torchscript or fgmae), and return its path.

    The file takes images in physical units and is checked against the run on 32 samples; model.json and a card in
    Markdown lie beside it. Of a pretraining it has the tensors by FG-MAE's names, without a card. Raises RunError for a
    folder that is no finished run with a network, UsageError for a form that does not exist or cannot express the
    model.
    """
    request = ExportRequest(run=run, to=to, out=out)
    path: Path = carry_out(request, say)
    return path


def compare(
    runs: str | Path | Sequence[str | Path],
    *,
    split: str = "test",
    over: str | None = None,
    csv: bool = False,
    latex: bool = False,
) -> str:
    """Return a table of finished runs: what they were asked for where that differs, and what came out.

    What the parameters mean stands in CompareRequest (sar_data/train/request.py). Raises RunError for a folder that is
    no finished run, UsageError for choices that exclude each other.
    """
    from sar_data.train.comparison import compared

    return compared(CompareRequest(runs=runs, split=split, over=over, csv=csv, latex=latex))


def _silent(line: str) -> None:
    return None
