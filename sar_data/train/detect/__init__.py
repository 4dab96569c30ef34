"""Boxes in images, horizontal or rotated: the job behind `detect`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor, nn

from sar_data.errors import UsageError
from sar_data.train.data import Data
from sar_data.train.detect.detectors import FasterRcnn, Fcos
from sar_data.train.detect.oriented_rcnn import OrientedRcnn
from sar_data.train.detect.rotated_fcos import RotatedFcos
from sar_data.train.detect.tiles import clip, detect_in_tiles, rescale
from sar_data.train.detect.truth import BOXES, Truth, Truths
from sar_data.train.jobs import Batch, Forward
from sar_data.train.metrics import calibration, headline
from sar_data.train.metrics.boxes import figures
from sar_data.train.models.encoder import Backbone
from sar_data.train.pictures import reliability
from sar_data.train.pictures.detections import sheet
from sar_data.train.pictures.drawing import Drawing
from sar_data.train.predictions import loss_sums, lost
from sar_data.train.rotated.boxes import hulls, of_targets
from sar_data.train.settings import Detect

DETECTORS: dict[str, type[Any]] = {
    "fcos": Fcos,
    "faster-rcnn": FasterRcnn,
    "rotated-fcos": RotatedFcos,
    "oriented-rcnn": OrientedRcnn,
}


class Detection:
    """Train and evaluate a detector; see sar_data.train.jobs.Job.

    Evaluation is of whole images, at once or in tiles, and in pixels as stored: predictions and truth are comparable
    with what `sar-data export --format coco` writes. Raises UsageError for a build without boxes, and for options that
    would evaluate parts of images.
    """

    chosen_by = "ap50"

    def __init__(self, encoder: Backbone, data: Data, settings: Detect) -> None:
        self._settings, self._tile = settings, settings.tiles
        self.resolved: dict[str, Any] = {"tile": self._tile}
        self._classes = data.classes
        samples = data.samples
        self._zoom = _zoom(samples.shape[-2:], settings)
        if self._tile and encoder.kind != "cnn" and self._tile != data.side:
            raise UsageError(
                f"tile: {encoder.name} takes images of the size it is trained on only: expected `tile={data.side}`, "
                f"found {self._tile}"
            )
        self._truth, self._numbers = _truth(data, settings), data.matching.numbers
        if self._truth.rotated and settings.boxes == "horizontal":
            logging.getLogger("sar_data.train").info(
                "%d objects of %s have a rotated box: this run takes their horizontal ones, `boxes=rotated` the others",
                self._truth.rotated,
                "this build" if len(data.builds) == 1 else "these builds",
            )
        self.encoder = encoder
        self._detector = network(encoder, len(data.classes), settings)
        self.model: nn.Module = self._detector
        self.linear = self._detector.linear

    def sums(self, model: Forward, batch: Batch) -> Tensor:
        sums: Tensor = model(batch["image"], self._targets(batch))
        return sums

    def known(self, batch: Batch) -> Tensor:
        sums: Tensor = self._detector.known(batch["image"], self._targets(batch))
        return sums

    def value(self, sums: Tensor) -> Tensor:
        loss: Tensor = self._detector.value(sums)
        return loss

    def loss(self, predictions: pa.Table) -> float | None:
        sums = loss_sums(predictions)
        return None if sums is None else float(self._detector.value(torch.tensor(sums)))

    def predict(self, model: Forward, batch: Batch) -> dict[str, Any]:
        """Return each image's predicted boxes, best first, with scores and labels, and its true objects.

        Of rotated boxes "boxes" are the hulls. The sums of the loss are over an image's tiles, where there are tiles.
        """
        images, most = batch["image"], self._settings.max_detections
        sizes = [(int(images.shape[-2]), int(images.shape[-1]))] * len(images)
        if "window" in batch:
            windows = batch["window"].tolist()
            sizes = [(round(height * self._zoom), round(width * self._zoom)) for *_, height, width in windows]
        targets = [_keep_known(target, self._numbers) for target in self._targets(batch)]
        if self._tile:
            overlap, nms = self._settings.overlap, self._detector.overlap
            boxes = detect_in_tiles(model, images, sizes, targets, tile=self._tile, overlap=overlap, nms=nms, most=most)
        else:
            boxes = [clip(item, size, most) for item, size in zip(model(images, targets), sizes, strict=True)]
        boxes = [rescale(item, 1 / self._zoom) for item in boxes]
        kinds = ("boxes", "rotated") if self._settings.boxes == "rotated" else ("boxes",)
        return {
            **lost(torch.stack([item["sums"] for item in boxes]).double().cpu().numpy()),
            **{name: pa.array([item[name].tolist() for item in boxes], BOXES) for name in kinds},
            "box_scores": pa.array([item["scores"].tolist() for item in boxes], pa.list_(pa.float64())),
            "labels": pa.array([item["labels"].tolist() for item in boxes], pa.list_(pa.int64())),
            **self._truth.columns(batch["key"]),
        }

    def score(self, predictions: pa.Table) -> dict[str, Any]:
        settings = self._settings
        metrics = figures(predictions, self._classes, most=settings.max_detections, by=settings.by)
        return metrics | {"calibration": calibration.figures(predictions, self._classes)}

    def draw(self, drawing: Drawing, predictions: pa.Table, metrics: dict[str, Any]) -> None:
        """Write the reliability diagram, and a sheet of images with their true and their predicted boxes."""
        about = drawing.title(drawing.split)
        reliability.draw(drawing.file("reliability"), predictions, self._classes, metrics, about)
        title = drawing.title(f"{headline(drawing.split, self.chosen_by, metrics)}, {len(predictions):,} images")
        sheet(drawing.file("boxes"), predictions, self._classes, drawing.images, units=drawing.units, title=title)

    def _targets(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Return the boxes and labels of each image; of rotated boxes "boxes" are the hulls."""
        targets = batch["target"]
        if self._settings.boxes == "horizontal":
            return [{"boxes": target["boxes"], "labels": target["labels"]} for target in targets]
        pairs = zip(targets, of_targets(targets), strict=True)
        return [{"boxes": hulls(boxes), "rotated": boxes, "labels": target["labels"]} for target, boxes in pairs]


def _truth(data: Data, settings: Detect) -> Truth | Truths:
    members, boxes = data.builds.members, settings.boxes
    if members is None:
        return Truth(data.index, settings.by, data.matching.numbers, boxes)
    pairs = zip(members, data.builds.each, strict=True)
    return Truths({member.name: Truth(build.index, settings.by, member.numbers, boxes) for member, build in pairs})


def network(encoder: Backbone, classes: int, settings: Detect) -> Any:
    """Return a fresh detector on an encoder."""
    options: dict[str, Any] = {"channels": settings.channels, "threshold": settings.score_threshold}
    if settings.detector == "rotated-fcos":
        options["loss"] = settings.box_loss
    return DETECTORS[settings.detector](encoder, classes, most=settings.max_detections, **options)


def _zoom(stored: Sequence[int], settings: Detect) -> float:
    """Return the factor from stored pixels to the model's; UsageError where it would see parts of images."""
    if settings.centre != 1:
        raise UsageError(f"centre {settings.centre}: detect evaluates whole images: expected 1")
    if settings.image_size is None:
        return 1.0
    if settings.tiles:
        raise UsageError(
            f"image_size {settings.image_size} and tiles of {settings.tiles} pixels: tiles are of images as stored: "
            "give one of both"
        )
    height, width = stored
    if height != width:
        raise UsageError(
            f"image_size {settings.image_size}: expected square images, found {height} × {width}, which would lose "
            f"what lies beyond a square: give `pad={max(height, width)}`, too"
        )
    return settings.image_size / height


def _keep_known(target: dict[str, Tensor], numbers: Sequence[int | None]) -> dict[str, Tensor]:
    """Return the boxes whose class the model knows, with the model's class numbers."""
    own = target["labels"].new_tensor([-1 if number is None else number for number in numbers])[target["labels"]]
    return {name: values[own >= 0] for name, values in {**target, "labels": own}.items()}
