"""What a finished run is asked for in Python: the command line's names and defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sar_data.progress import Say
from sar_data.train.request import EmbedRequest, EvaluateRequest, ExportRequest, PredictRequest


def evaluate(
    run: str | Path,
    build: str | Path,
    *,
    split: str = "test",
    out: str | Path | None = None,
    normalize_by: str = "run",
    device: str | None = None,
    say: Say | None = None,
) -> dict[str, Any]:
    """Judge a finished run on one split of a build and return its metrics: split → metric → value, and leakage.

    What the parameters mean stands in EvaluateRequest (sar_data/train/request.py). Raises RunError for a folder that
    is no finished run with a network, UsageError for a build of other bands, units, sizes or another task.
    """
    request = EvaluateRequest(run=run, build=build, split=split, out=out, normalize_by=normalize_by, device=device)
    from sar_data.train.inference.evaluation import carry_out

    return carry_out(request, say=say or _silent)


def embed(
    source: str | Path,
    build: str | Path,
    *,
    out: str | Path,
    split: str | None = None,
    pooling: str | None = None,
    dtype: str = "float16",
    like: str | None = None,
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
        device=device,
        settings=settings,
    )
    from sar_data.train.inference.embedding import carry_out

    return carry_out(request, say=say or _silent)


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
        device=device,
    )
    from sar_data.train.inference.prediction import carry_out

    return carry_out(request, say=say or _silent)


def export(run: str | Path, *, to: str, out: str | Path, say: Say | None = None) -> Path:
    """Write a finished run's model to a folder as one file (`to` onnx or torchscript), and return its path.

    The file takes images in physical units and is checked against the run on 32 samples; model.json and a card in
    Markdown lie beside it. Raises RunError for a folder that is no finished run with a network, UsageError for a form
    that does not exist or cannot express the model.
    """
    request = ExportRequest(run=run, to=to, out=out)
    from sar_data.train.inference.export import carry_out

    return carry_out(request, say=say or _silent)


def _silent(line: str) -> None:
    return None
