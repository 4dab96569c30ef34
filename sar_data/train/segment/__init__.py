"""A class for every pixel: the job behind `segment`, and behind `change`, which sees several dates."""

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
from sar_data.train.metrics.areas import counted
from sar_data.train.metrics.events import by_event
from sar_data.train.models.encoder import Backbone
from sar_data.train.pictures import confusion, masks, reliability
from sar_data.train.pictures.drawing import Drawing
from sar_data.train.pictures.sheets import Segments, segments, spread
from sar_data.train.predictions import changing, confusions, loss_sums, lost, pixels
from sar_data.train.segment.decoders import DILATED, segmenter
from sar_data.train.segment.fusion import Fusion
from sar_data.train.segment.windows import blended
from sar_data.train.settings import Change, Segment

POOLED = ("upernet", "upernet-diary", "upernet-smp", *DILATED)  # they see the whole image as one pixel
FOLDER, SHOWN = "masks", 12


class Segmentation:
    """Train and evaluate a segmentation model; see sar_data.train.jobs.Job.

    Predictions are confusion counts of each image's pixels, which add up, and its predicted mask as PNG. With the
    auxiliary head there are twice as many sums: those of the main logits, then those of the auxiliary ones.
    """

    chosen_by = "miou"
    _changed: Sequence[bool] | None = None  # whether each class is a change between dates

    def __init__(self, encoder: Backbone, data: Data, settings: Segment) -> None:
        _check(encoder, data, settings)
        self.encoder, self._classes, self._settings = encoder, data.classes, settings
        self._resized = _resized(data, settings)
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
        """Return the loss of the main logits: in evaluation there are no auxiliary ones."""
        sums = loss_sums(predictions)
        return None if sums is None else float(self._loss.value(torch.tensor(sums)))

    def predict(self, model: Forward, batch: Batch) -> dict[str, Any]:
        """Return confusion counts [target, predicted], confidence, mask and the sums of the loss of each sample."""
        logits, target = self._logits(model, batch["image"]), batch["target"]
        predicted = logits.argmax(dim=1).to(torch.uint8).cpu().numpy()
        count, shape = len(self._classes), predicted.shape[1:]
        counts = counted(target.cpu().numpy(), predicted, count)
        padded = "window" in batch and not self._resized
        sizes = batch["window"][:, 2:].tolist() if padded else [shape] * len(predicted)
        pictures = [masks.encoded(mask[:h, :w], count) for mask, (h, w) in zip(predicted, sizes, strict=True)]
        sums = torch.stack([self._loss.sums(one[None], true[None]) for one, true in zip(logits, target, strict=True)])
        columns = pixels(counts, confidence(logits, target)) | lost(sums.cpu().numpy())
        if self._changed is not None:
            columns |= changing(self._changed, len(counts))
        return {**columns, "mask": pa.array(pictures, pa.binary())}

    def score(self, predictions: pa.Table) -> dict[str, Any]:
        found = figures(predictions, self._classes)
        found["calibration"] = calibration.figures(predictions, self._classes)
        return found | ({"by_event": events} if (events := by_event(predictions)) else {})

    def draw(self, drawing: Drawing, predictions: pa.Table, metrics: dict[str, Any]) -> None:
        """Write every mask to masks/SPLIT/KEY.png, a sheet of some of them with image and truth, and the confusions."""
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
            truth, mask = np.asarray(true), masks.decoded(png)
            if self._resized:
                mask = masks.resized(mask, (truth.shape[0], truth.shape[1]))
            height, width = mask.shape
            rows.append((image[..., :height, :width], truth[:height, :width], mask))
        shown = Segments(keys, *zip(*rows, strict=True))
        segments(drawing.file("predictions"), shown, self._classes, self._changed, units=drawing.units, title=title)

    def _logits(self, model: Forward, images: Tensor) -> Tensor:
        tile = self._settings.tiles
        if tile is None:
            found: Tensor = model(images)[0]
            return found
        return blended(lambda part: model(part)[0], images, tile, self._settings.overlap)


def confidence(logits: Tensor, target: Tensor) -> npt.NDArray[np.float64]:
    """Return what `tallied` says of the pixels of each image whose class is known."""
    shares, known = logits.float().softmax(dim=1), target != IGNORE
    sure, said = shares.max(dim=1)
    truth = shares.gather(1, target.masked_fill(~known, 0).unsqueeze(1)).squeeze(1)
    error = shares.square().sum(dim=1) - 2 * truth + 1
    row = known.nonzero()[:, 0]
    answers = (values[known].cpu().numpy() for values in (sure, said == target, error))
    return calibration.tallied(row.cpu().numpy(), len(target), *answers)


def network(encoder: Backbone, classes: int, settings: Segment, dates: int) -> nn.Module:
    """Return a fresh decoder on an encoder, for samples of so many dates."""
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
    """Raise UsageError where build, encoder and settings do not go together."""
    if settings.head in POOLED and settings.batch_size == 1:
        raise UsageError(
            f"head {settings.head}: expected at least 2 samples a batch, for it normalizes the means of images, found "
            "`batch_size=1`. Take more, or `head=fpn`"
        )
    if settings.centre != 1:
        raise UsageError(f"centre {settings.centre}: segment evaluates whole images, and takes 1")
    height, width = data.samples.shape[-2:]
    if settings.image_size is not None and height != width:
        raise UsageError(f"image_size: expected square images, found {height} × {width}: `crop=…` makes them so")
    if settings.tiles is None:
        return
    if _resized(data, settings):
        raise UsageError(
            f"image_size {data.side}: evaluation slides windows of {settings.tiles} pixels over images as stored; omit "
            "`image_size=…`, which resizes them, or `crop=…` and `tile=…`"
        )
    if encoder.kind != "cnn" and settings.tiles != data.side:
        raise UsageError(
            f"tile: {encoder.name} takes images of the size it is trained on only: expected `tile={data.side}`, "
            f"found {settings.tiles}"
        )


def _resized(data: Data, settings: Segment) -> bool:
    """Say whether the model sees images at another size than they are stored at."""
    return settings.image_size is not None and data.samples.shape[-1] != settings.image_size
