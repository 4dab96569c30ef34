"""A finished run's model as one file that other programs run, with its card; checked against the run.

DIR/model.onnx or model.pt   images in physical units go in, as `Model` takes them; normalization and size are inside
    model.json               bands, units, classes, the shape of an image, how well the file agrees with the run
    README.md                the model's card
"""

from __future__ import annotations

import importlib.util
import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sar_data import __version__
from sar_data.errors import BuildError, RunError, UsageError, missing_extra
from sar_data.progress import Say
from sar_data.system import durable
from sar_data.train import documents
from sar_data.train.inference import card, fgmae
from sar_data.train.inference.answers import extended, tile_of
from sar_data.train.inference.finished import Finished, opened
from sar_data.train.inference.images import Stored
from sar_data.train.inference.leakage import check_local
from sar_data.train.inference.model import Model
from sar_data.train.request import SPLITS, ExportRequest

Floats = npt.NDArray[np.float32]
SAMPLES = 32  # that the file is checked on
TOLERANCE = 1e-4  # between the file's answers and the run's
FILES = {"onnx": "model.onnx", "torchscript": "model.pt"}
OUTPUTS = {"detection": ("boxes", "scores", "labels")}  # else logits


class Exported(nn.Module):
    """A run's model whose answers are tensors: logits, or boxes, scores and labels of one image."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Any:
        answers = self.model(images)
        if self.model.kind != "detection":
            return answers
        return tuple(answers[0][name] for name in OUTPUTS["detection"])


def carry_out(request: ExportRequest, *, say: Say) -> Path:
    """Write the file, its description and the card to a folder, and return the file's path.

    Raises RunError for a folder that is no finished run with a network and a file that answers otherwise, UsageError
    for what a form cannot express.
    """
    if request.to == "fgmae":
        return fgmae.write(opened(request.run, answers=False), Path(request.out), say)
    finished = opened(request.run)
    if request.to == "onnx":
        _check_onnx(finished)
    model = Exported(Model(finished)).eval()
    if model.model.rotated:
        raise UsageError(
            f"{finished.path}: a detector of rotated boxes has no form for other programs: which boxes are left is "
            "decided one after the other, which tracing cannot follow. `sar_data.train.load` gives it in Python"
        )
    images, source = _samples(finished)
    height, width = images.shape[-2:]
    say(f"{request.to}: images of {height} × {width} pixels, checked on {source}")
    batch = 1 if finished.input.kind == "detection" else 2
    with torch.no_grad():
        model(torch.from_numpy(images[:batch]))  # what it keeps from its first call must not be the exporter's
    data, run = _FORMS[request.to](model, torch.from_numpy(images[:batch]), finished.input.kind)
    furthest = _compared(model, run, images, batch)
    if furthest > TOLERANCE:
        raise RunError(f"{request.to}: expected the run's answers within {TOLERANCE:g}, found {furthest:.2g} apart")
    out = Path(request.out)
    with durable.explain_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    path = out / FILES[request.to]
    durable.write(path, data)
    limits = finished.thresholds()
    described = {
        "sar-data": __version__,
        "file": path.name,
        "run": str(finished.path),
        "input": {
            "name": "images",
            "shape": [1 if batch == 1 else "batch", *images.shape[1:]],
            "units": finished.input.units,
            "no data": "NaN",
        },
        "output": list(OUTPUTS.get(finished.input.kind, ("logits",))),
        "kind": finished.input.kind,
        "classes": list(finished.input.classes),
        "thresholds": limits and limits.by_class(finished.input.classes),
        "checked": {"samples": source, "furthest": furthest, "tolerance": TOLERANCE},
    }
    durable.write(out / "model.json", (json.dumps(described, indent=1, ensure_ascii=False) + "\n").encode())
    durable.write(out / "README.md", card.text(finished, described).encode())
    say(f"{path}: the run's answers within {furthest:.1g}")
    return path


def _check_onnx(finished: Finished) -> None:
    if finished.input.kind == "detection":
        raise UsageError(
            f"{finished.path}: a detector has no form in ONNX: how many boxes are left depends on their values, which "
            "torch's exporter cannot follow. Take `to=torchscript`"
        )
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise missing_extra(package, "onnx")


def _samples(finished: Finished) -> tuple[Floats, str]:
    """Return images [sample, C, y, x] in physical units, of the size that the model was trained on, and what they are.

    They are of the run's build; where that is not there any more they are drawn from the figures that it recorded.
    """
    channels, tile = finished.input.channels, tile_of(finished, None)
    try:
        return _stored(finished, tile)
    except (BuildError, RunError, UsageError):
        side = tile or finished.side
        figures = finished.input.figures or dict.fromkeys(channels, (0.0, 1.0))
        mean, std = (np.array([figures[name][i] for name in channels])[:, None, None] for i in (0, 1))
        dates = [finished.input.dates] if finished.input.dates > 1 else []
        drawn = np.random.default_rng(0).normal(size=(SAMPLES, *dates, len(channels), side, side))
        return (drawn * std + mean).astype(np.float32), f"{SAMPLES} images of noise, for the run's build is not there"


def _stored(finished: Finished, tile: int | None) -> tuple[Floats, str]:
    """Return images of the run's build, of the first of several, cut or extended to a tile.

    Raises BuildError where it is not there, RunError where it is behind a URL, which a run alone names, and UsageError
    where it is not what the model takes.
    """
    build = documents.builds(finished.config)[0]
    check_local(build["path"])
    split = next((name for name in reversed(SPLITS) if build.get("samples", {}).get(name)), None)
    images = Stored(build["path"], finished, split, _silent)
    try:
        if images.content_digest != build["content_digest"]:
            raise BuildError(f"{build['path']}: expected the run's build, found another one")
        found = []
        for number, image in enumerate(images.images[:SAMPLES]):
            height, width = (min(side, tile or side) for side in (image.height, image.width))
            pixels = images.read(number, 0, 0, height, width)
            found.append(pixels if tile is None else extended(pixels, tile))
        stacked = np.resize(np.stack(found), (SAMPLES, *found[0].shape))
        return stacked, f"{len(found)} images of {split or 'all splits'} of the run's build"
    finally:
        images.close()


def _silent(line: str) -> None:
    return None


Run = Callable[[Floats], list[npt.NDArray[Any]]]


def _onnx(model: Exported, example: Tensor, kind: str) -> tuple[bytes, Run]:
    import onnxruntime

    with warnings.catch_warnings(), torch.inference_mode(False):
        warnings.simplefilter("ignore")  # what torch deprecates inside its own exporter
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=list(OUTPUTS.get(kind, ("logits",))),
            dynamic_shapes={"images": {0: torch.export.Dim.DYNAMIC}},
            verbose=False,
        )
    assert program is not None  # which is only for files that torch writes itself
    data: bytes = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return data, lambda images: session.run(None, {"images": images})


def _torchscript(model: Exported, example: Tensor, kind: str) -> tuple[bytes, Run]:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of shapes that become constants: the side of the images is one
        traced = torch.jit.trace(model, example, check_trace=False)  # type: ignore[no-untyped-call]
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer)

    def run(images: Floats) -> list[npt.NDArray[Any]]:
        with torch.no_grad():
            found = traced(torch.from_numpy(images))
        return [value.numpy() for value in (found if isinstance(found, tuple) else (found,))]

    return buffer.getvalue(), run


_FORMS: dict[str, Callable[[Exported, Tensor, str], tuple[bytes, Run]]] = {"onnx": _onnx, "torchscript": _torchscript}


def _compared(model: Exported, run: Run, images: Floats, batch: int) -> float:
    """Return how far a file's answers are from the model's at most, infinity where they are of other shapes."""
    furthest = 0.0
    step = 1 if batch == 1 else 8  # another batch than it was made with
    for first in range(0, len(images), step):
        part = np.ascontiguousarray(images[first : first + step])
        with torch.no_grad():
            said = model(torch.from_numpy(part))
        for found, value in zip(run(part), said if isinstance(said, tuple) else (said,), strict=True):
            if found.shape != tuple(value.shape):
                return float("inf")
            if found.size:
                furthest = max(furthest, float(np.abs(found - value.numpy()).max()))
    return furthest
