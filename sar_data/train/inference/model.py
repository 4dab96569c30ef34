"""A trained model as a torch module: images in physical units go in, answers come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sar_data.errors import UsageError
from sar_data.record import IGNORE
from sar_data.spec import MASKED
from sar_data.train.augment.power import power_of
from sar_data.train.augment.preparation import Preparation, side_by_side
from sar_data.train.augment.steps import parse
from sar_data.train.inference.finished import Finished, opened
from sar_data.train.segment.windows import blend_windows
from sar_data.train.settings import Detect, Segment


class Model(nn.Module):
    """The network of a finished run with all that the run does to images before it, in evaluation mode.

    channels   what an image has along its axis C, in this order: bands, or derived of two such as VV-VH
    units      channel → the unit of its values, as the run's build has them
    classes    in the order of the answers
    kind       of the task: multiclass, multilabel, segmentation, change or detection
    dates      images of one place that it takes at once, usually 1
    rotated    whether its boxes are

    It computes in float32 on the device that it was sent to, whatever the run was trained in. A sample's answers are
    those of the run's own predictions.parquet, up to rounding.
    """

    def __init__(self, finished: Finished) -> None:
        super().__init__()
        found, settings = finished.input, finished.settings
        self.dates = found.dates
        self.channels, self.units, self.classes, self.kind = found.channels, found.units, found.classes, found.kind
        self.rotated = isinstance(settings, Detect) and settings.boxes == "rotated"
        self.network = finished.network()
        self._settings, self._resized = settings, found.resized
        self._prepare = Preparation(
            parse(settings.augment),
            found.normalizer(settings.normalize),
            size=settings.image_size,
            power=power_of(settings.resample, found.units, settings.normalize, found.figures),
        )
        self.eval()

    def forward(self, images: Tensor) -> Any:
        """Return the answers for images [B, C, H, W] in physical units; NaN and infinite values are no data.

        Of several dates images are [B, date, C, H, W], in the order in which the model was trained on them.

        Of classes logits [B, classes]; of masks logits [B, classes, H, W]; of boxes a list of {"boxes": [n, 4] as x0,
        y0, x1, y1 in pixels of the image, "scores": [n], "labels": [n]}, best first. Of rotated boxes there is
        "rotated": [n, 5] as centre x, centre y, width, height, degrees, too, and "boxes" are the hulls around them.
        Raises UsageError for images of another shape than the model takes.
        """
        self._check(images)
        images = side_by_side(images)
        prepared = self._prepare({"image": images.float()}, self._settings.centre)["image"]
        if isinstance(self._settings, Segment):
            return self._pixels(prepared, self._settings, images.shape[-2:])
        if isinstance(self._settings, Detect):
            return self._boxes(prepared, self._settings, images.shape[-2:])
        return self.network(prepared)

    def probabilities(self, images: Tensor) -> Tensor:
        """Return what `forward` says as shares: they sum to 1 over the classes, or are of each label by itself.

        They are NaN of an image, of masks of a pixel, where no channel has data.
        """
        if self.kind == "detection":
            raise UsageError("probabilities: expected a model of classes or masks, found one of boxes")
        logits: Tensor = self(images)
        shares = logits.sigmoid() if self.kind == "multilabel" else logits.softmax(dim=1)
        there = torch.isfinite(side_by_side(images)).any(dim=1, keepdim=True)
        return shares.where(there if shares.ndim == 4 else there.flatten(1).any(dim=1, keepdim=True), torch.nan)

    def masks(self, images: Tensor) -> Tensor:
        """Return the class of each pixel, uint8 [B, H, W]; 255 where no channel has data."""
        if self.kind not in MASKED:
            raise UsageError(f"masks: expected a model of masks, found one of {self.kind}")
        found: Tensor = self(images).argmax(dim=1).to(torch.uint8)
        return found.masked_fill(~torch.isfinite(side_by_side(images)).any(dim=1), IGNORE)

    def _check(self, images: Tensor) -> None:
        expected = [*([self.dates] if self.dates > 1 else []), len(self.channels)]
        if list(images.shape[1:-2]) != expected:
            told = ", ".join(f"{name} in {unit or 'an unknown unit'}" for name, unit in self.units.items())
            shape = ", ".join(map(str, expected))
            raise UsageError(f"images: expected [B, {shape}, H, W] of {told}, found {list(images.shape)}")
        height, width = images.shape[-2:]
        if self._resized and self.kind in (*MASKED, "detection") and height != width:
            raise UsageError(f"images: expected square ones, which this model resizes, found {height} × {width}")

    def _pixels(self, images: Tensor, settings: Segment, size: torch.Size) -> Tensor:
        def logits(part: Tensor) -> Tensor:
            outputs: Tensor = self.network(part)[0]
            return outputs

        tile = settings.tiles
        outputs = logits(images) if tile is None else blend_windows(logits, images, tile, settings.overlap)
        return (
            outputs if outputs.shape[-2:] == size else F.interpolate(outputs.float(), size=tuple(size), mode="bilinear")
        )

    def _boxes(self, images: Tensor, settings: Detect, size: torch.Size) -> list[dict[str, Tensor]]:
        from sar_data.train.detect.tiles import clip, detect_in_tiles, rescale

        height, width = int(images.shape[-2]), int(images.shape[-1])
        sizes, most, zoom = [(height, width)] * len(images), settings.max_detections, width / size[-1]
        if tile := settings.tiles:
            nms: float = self.network.overlap  # type: ignore[assignment]  # a detector's, not a tensor
            detections = detect_in_tiles(
                self.network, images, sizes, tile=tile, overlap=settings.overlap, nms=nms, most=most
            )
        else:
            detections = [clip(one, each, most) for one, each in zip(self.network(images), sizes, strict=True)]
        return [rescale(one, 1 / zoom) for one in detections]


def load(run: str | Path) -> Model:
    """Return the model of a finished run: a torch module that takes images [B, C, H, W] in physical units.

    The normalization is the run's own, by the train split of its build, and so is the size. Raises RunError for a
    folder that is no finished run, a run without its checkpoint, and a probe, which has no network.
    """
    return Model(opened(run))
