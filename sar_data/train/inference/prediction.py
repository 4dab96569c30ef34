"""What a finished run's model says of images: maps, tables and boxes, beside a sheet to look at.

DIR/config.json      the run and its weights, the source, what was asked for
    prediction.json  what was said, counted; written last
    sheet.png        some of the images with what was said (or .pdf, .svg)
and the files of documents.py. `.parts/` holds what is finished while the prediction is at work.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sar_data import __version__
from sar_data.errors import UsageError
from sar_data.progress import Say
from sar_data.spec import MASKED
from sar_data.system import durable
from sar_data.train.documents import CONFIG, counts_said, read
from sar_data.train.inference import boxes, documents, overview
from sar_data.train.inference.answers import Answering, tile_of
from sar_data.train.inference.documents import Answers
from sar_data.train.inference.finished import Finished, opened
from sar_data.train.inference.images import Image, Images, Stored, images_of
from sar_data.train.inference.model import Model
from sar_data.train.inference.parts import FOLDER, Part, Parts, locked, parts_of
from sar_data.train.ranks import started
from sar_data.train.request import PredictRequest
from sar_data.train.run.countdown import Countdown
from sar_data.train.run.folder import write
from sar_data.train.run.halt import Halt, delay_signals
from sar_data.train.run.precision import settle
from sar_data.train.run.threads import share_cores
from sar_data.train.settings import Detect, Segment

RESULT = "prediction.json"


def carry_out(request: PredictRequest, *, say: Say) -> dict[str, Any]:
    """Predict what is asked for and return the counts: class → pixels, boxes or images.

    A prediction that was stopped goes on; a finished one is left as it is. Raises RunError for a run without a network
    and a folder at work, SourceError for images that cannot be read, UsageError for images that are not the model's.
    """
    with started(request.device) as ranks:
        if ranks.world > 1:
            raise UsageError(f"predict: expected one process, found {ranks.world} ranks: start it without torchrun")
        settle(ranks.device)
        with share_cores(None, ranks, say), delay_signals() as halt:
            finished = opened(request.run)
            images = images_of(str(request.source), finished, request, say)
            try:
                model = Model(finished).to(ranks.device)
                answering = _answering(model, finished, request, images, ranks.device)
                return _predicted(finished, request, images, answering, halt, say)
            finally:
                images.close()


def _answering(model: Model, finished: Finished, request: PredictRequest, images: Images, device: Any) -> Answering:
    """Return how the images come to the model; raise UsageError for large ones where the window is not known."""
    settings = finished.settings
    overlap = settings.overlap if isinstance(settings, Segment | Detect) else 0.0
    tile = tile_of(finished, request.tile)
    if isinstance(images, Stored):
        return Answering(model, None, images.pad, overlap, device)
    if tile is None and model.kind in (*MASKED, "detection"):
        raise UsageError(
            f"{request.run}: resizes images of a size that it does not say: `tile=…` is their side in pixels"
        )
    whole = model.kind in ("multiclass", "multilabel") and len(images.images) > 1
    return Answering(model, None if whole else tile, settings.pad if whole else tile, overlap, device)


def _predicted(
    finished: Finished, request: PredictRequest, images: Images, answering: Answering, halt: Halt, say: Say
) -> dict[str, Any]:
    out = Path(request.out)
    parts = list(
        parts_of(images.images, answering.model.kind, answering.tile, answering.overlap, finished.settings.batch_size)
    )
    with durable.explain_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    if finished.caution:
        say(finished.caution)
    lock = locked(out, out)
    try:
        limits = _limits(finished, request)
        _begin(out, _config(finished, request, images.images, answering) | {"thresholds": limits})
        if (out / RESULT).is_file():
            say(f"{out} is finished: its counts are read from {RESULT}; to predict anew take another `out=…`")
            return counts_said(out / RESULT)
        kept = Parts(out / FOLDER)
        _answer(parts, kept, images, answering, halt, say)
        answers = Answers(images.images, parts, kept, answering.model.classes, limits, answering.model.rotated)
        said = _write(out, finished, answers, answering.model.kind)
        sheet = out / f"sheet.{request.picture_format}"
        overview.draw(sheet, images, answers, answering.model, title=f"{finished.path.name}: {out.name}")
        write(out / RESULT, {"said": said, "images": len(images.images), "kind": answering.model.kind})
        shutil.rmtree(out / FOLDER, ignore_errors=True)
        say(f"{out} has what {finished.path} says of {len(images.images):,} images")
        return said
    finally:
        os.close(lock)


def _answer(parts: list[Part], kept: Parts, images: Images, answering: Answering, halt: Halt, say: Say) -> None:
    """Let the model answer the parts that are not there yet."""
    missing = [number for number in range(len(parts)) if not kept.has(number, mask=answering.masks)]
    if len(missing) < len(parts):
        say(f"{len(parts) - len(missing):,} of {len(parts):,} parts are there already")
    countdown = Countdown(len(missing), "parts", say)
    for done, number in enumerate(missing):
        if halt.asked:
            halt.stop(f"{done + len(parts) - len(missing):,} of {len(parts):,} parts are kept")
        countdown.report(done)
        kept.keep(number, answering.answer(parts[number], images))


def _write(out: Path, finished: Finished, answers: Answers, kind: str) -> dict[str, int]:
    if kind in MASKED:
        return documents.write_masks(out, answers)
    if kind == "detection":
        return boxes.write(out, answers, str(finished.path))
    return documents.write_classes(out, answers)


def _limits(finished: Finished, request: PredictRequest) -> dict[str, float] | None:
    """Return the threshold of each label, None of a model that says one class; UsageError where the run has none."""
    classes, own = finished.input.classes, request.thresholds == "run"
    if finished.input.kind != "multilabel":
        if own:
            raise UsageError(f"{request.run}: expected a model of several labels for `thresholds=run`, found none")
        return None
    if not own:
        return dict.fromkeys(classes, 0.5)
    if (found := finished.thresholds()) is None:
        raise UsageError(
            f"{request.run}: has chosen no thresholds, for want of a val split, or by an earlier version: leave "
            "`thresholds=run` out"
        )
    return found.by_class(classes)


def _config(
    finished: Finished, request: PredictRequest, images: list[Image] | Any, answering: Answering
) -> dict[str, Any]:
    """Return what decides the answers, for config.json."""
    return {
        "sar-data": __version__,
        "run": str(finished.path),
        "weights": finished.sha256(),
        "source": str(request.source),
        "images": [[image.key, image.height, image.width] for image in images],
        "asked": {"split": request.split, "bands": request.bands and list(request.bands), "unit": request.unit},
        "tile": answering.tile,
        "overlap": answering.overlap,
    }


def _begin(out: Path, config: Mapping[str, Any]) -> None:
    """Write config.json, or check that the prediction that is there is the same one; raise UsageError otherwise."""
    there = {entry.name for entry in out.iterdir() if not entry.name.endswith(durable.PARTIAL)}
    if not there:
        write(out / CONFIG, config)
        return
    if CONFIG not in there:
        raise UsageError(f"`out={out}`: expected a prediction or an empty folder, found other files")
    before = read(out / CONFIG)
    other = [name for name in config if name != "sar-data" and before.get(name) != config[name]]
    if other:
        raise UsageError(f"`out={out}` holds another prediction: {', '.join(other)} differ. Take another `out=…`")
    durable.sweep(out / FOLDER)
