"""A class for every pixel: the job of `segment`, and of `change`, which reads several dates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor, nn

from sar_data.errors import UsageError
from sar_data.record import IGNORE
from sar_data.system import durable, private
from sar_data.train.data import Data
from sar_data.train.jobs import Batch, Forward
from sar_data.train.losses import loss
from sar_data.train.metrics import calibration, figures, headline
from sar_data.train.metrics.areas import count_confusions
from sar_data.train.metrics.events import by_event
from sar_data.train.models.encoder import Backbone
from sar_data.train.pictures import confusion, masks, reliability
from sar_data.train.pictures.drawing import Drawing
from sar_data.train.pictures.sheets import Segments, segments, spread
from sar_data.train.predictions import changing, confusions, loss_sums, lost, pixels
from sar_data.train.segment.decoders import DILATED, segmenter
from sar_data.train.segment.fusion import Fusion
from sar_data.train.segment.windows import blend_windows
from sar_data.train.settings import Change, Segment

POOLED = ("upernet", "upernet-diary", "upernet-smp", *DILATED)  # they average the whole image to a single pixel
FOLDER, SHOWN = "masks", 12


class Segmentation:
    """Train and evaluate a segmentation model; see sar_data.train.jobs.Job.

    Predictions are the confusion counts of each image's pixels, which add up, and its mask as PNG. With the
    auxiliary head the sums of the main logits are followed by those of the auxiliary logits.
    """

    chosen_by = "miou"
    _changed: Sequence[bool] | None = None  # whether each class is a change between dates

    def __init__(self, encoder: Backbone, data: Data, settings: Segment) -> None:
        _check(encoder, data, settings)
        self.encoder, self._classes, self._settings = encoder, data.classes, settings
        self._resized = _is_resized(data, settings)
        self.model: nn.Module = network(encoder, len(data.classes), settings, data.dates)
        self.resolved: dict[str, Any] = {"loss": settings.loss or "ce", "tile": settings.tiles}
        self._loss = loss(self.resolved["loss"], len(data.classes), data.task.kind)
        self.linear = self._loss.linear
        self._weights = (1.0, settings.auxiliary)[: 2 if settings.auxiliary else 1]

    def sums(self, model: Forward, batch: Batch) -> Tensor:
        return torch.cat([self._loss.sums(logits, batch["target"]) for logits in model(batch["image"])])

    def known(self, batch: Batch) -> Tensor:
        return self._loss.known(batch["target"]).repeat(len(self._weights))

    def value(self, sums: Tensor) -> Tensor:
        values = [self._loss.value(part) for part in sums.chunk(len(self._weights))]
        return torch.stack([weight * value for weight, value in zip(self._weights, values, strict=True)]).sum()

    def loss(self, predictions: pa.Table) -> float | None:
        """Return the loss of the main logits: evaluation has no auxiliary ones."""
        sums = loss_sums(predictions)
        return None if sums is None else float(self._loss.value(torch.tensor(sums)))

    def predict(self, model: Forward, batch: Batch) -> dict[str, Any]:
        """Return confusion counts [target, predicted], confidence, mask and the sums of the loss of each sample."""
        logits, target = self._logits(model, batch["image"]), batch["target"]
        predicted = logits.argmax(dim=1).to(torch.uint8).cpu().numpy()
        count, shape = len(self._classes), predicted.shape[1:]
        counts = count_confusions(target.cpu().numpy(), predicted, count)
        padded = "window" in batch and not self._resized
        sizes = batch["window"][:, 2:].tolist() if padded else [shape] * len(predicted)
        pictures = [masks.encode(mask[:h, :w], count) for mask, (h, w) in zip(predicted, sizes, strict=True)]
        sums = torch.stack(
            [self._loss.sums(sample[None], true[None]) for sample, true in zip(logits, target, strict=True)]
        )
        columns = pixels(counts, confidence(logits, target)) | lost(sums.cpu().numpy())
        if self._changed is not None:
            columns |= changing(self._changed, len(counts))
        return {**columns, "mask": pa.array(pictures, pa.binary())}

    def score(self, predictions: pa.Table) -> dict[str, Any]:
        metrics = figures(predictions, self._classes)
        metrics["calibration"] = calibration.figures(predictions, self._classes)
        return metrics | ({"by_event": events} if (events := by_event(predictions)) else {})

    def draw(self, drawing: Drawing, predictions: pa.Table, metrics: dict[str, Any]) -> None:
        """Write each mask to masks/SPLIT/KEY.png, and draw a sheet of SHOWN of them and the confusion matrix."""
        where = drawing.folder / FOLDER / drawing.split
        private.make_folders(drawing.folder, where)
        for key, png in zip(predictions["key"].to_pylist(), predictions["mask"].to_pylist(), strict=True):
            durable.write(where / f"{quote(key, safe='')}.png", png, sync=False)
        title = drawing.title(headline(drawing.split, self.chosen_by, metrics))
        confusion(drawing.file("confusion"), confusions(predictions).sum(axis=0), self._classes, title)
        about = drawing.title(drawing.split)
        reliability.draw(drawing.file("reliability"), predictions, self._classes, metrics, about)
        part = predictions.take(pa.array(spread(len(predictions), SHOWN), pa.int64()))
        keys, rows = part["key"].to_pylist(), list[tuple[Any, Any, Any]]()
        for (image, true), png in zip(drawing.images(keys), part["mask"].to_pylist(), strict=True):
            truth, mask = np.asarray(true), masks.decode(png)
            if self._resized:
                mask = masks.resize(mask, (truth.shape[0], truth.shape[1]))
            height, width = mask.shape
            rows.append((image[..., :height, :width], truth[:height, :width], mask))
        shown = Segments(keys, *zip(*rows, strict=True))
        segments(drawing.file("predictions"), shown, self._classes, self._changed, units=drawing.units, title=title)

    def _logits(self, model: Forward, images: Tensor) -> Tensor:
        tile = self._settings.tiles
        if tile is None:
            logits: Tensor = model(images)[0]
            return logits
        return blend_windows(lambda part: model(part)[0], images, tile, self._settings.overlap)


def confidence(logits: Tensor, target: Tensor) -> npt.NDArray[np.float64]:
    """Return the calibration tally of each image's pixels whose class is known; see metrics.calibration."""
    shares, known = logits.float().softmax(dim=1), target != IGNORE
    sure, predicted = shares.max(dim=1)
    truth = shares.gather(1, target.masked_fill(~known, 0).unsqueeze(1)).squeeze(1)
    error = shares.square().sum(dim=1) - 2 * truth + 1
    row = known.nonzero()[:, 0]
    answers = (values[known].cpu().numpy() for values in (sure, predicted == target, error))
    return calibration.tally(row.cpu().numpy(), len(target), *answers)


def network(encoder: Backbone, classes: int, settings: Segment, dates: int) -> nn.Module:
    """Return a new decoder on an encoder, for samples of `dates` dates."""
    fusion = Fusion(settings.fusion, dates) if isinstance(settings, Change) else None
    return segmenter(
        encoder,
        classes,
        head=settings.head,
        channels=settings.channels,
        auxiliary=settings.auxiliary > 0,
        fusion=fusion,
    )


def _check(encoder: Backbone, data: Data, settings: Segment) -> None:
    """Raise UsageError where build, encoder and settings do not fit each other."""
    if settings.head in POOLED and settings.batch_size == 1:
        raise UsageError(
            f"head {settings.head}: expected 2 samples a batch or more, as it normalizes means of images, found "
            "`batch_size=1`: take a larger one, or `head=fpn`"
        )
    if settings.centre != 1:
        raise UsageError(f"centre {settings.centre}: segment evaluates whole images: expected 1")
    height, width = data.samples.shape[-2:]
    if settings.image_size is not None and height != width:
        raise UsageError(f"image_size: expected square images, found {height} × {width}: `crop=…` makes them square")
    if settings.tiles is None:
        return
    if _is_resized(data, settings):
        raise UsageError(
            f"image_size {data.side}: evaluation slides windows of {settings.tiles} pixels over images as stored; omit "
            "`image_size=…`, which resizes them, or `crop=…` and `tile=…`"
        )
    if encoder.kind != "cnn" and settings.tiles != data.side:
        raise UsageError(
            f"tile: {encoder.name} takes only images of the size that it is trained on: expected `tile={data.side}`, "
            f"found {settings.tiles}"
        )


def _is_resized(data: Data, settings: Segment) -> bool:
    """Say whether images are resized before the model, from the size at which they are stored."""
    return settings.image_size is not None and data.samples.shape[-1] != settings.image_size
