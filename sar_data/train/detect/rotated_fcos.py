"""FCOS of rotated boxes: a place predicts the distances to the sides of its box, in the box's frame, and its angle."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.fcos import FCOSRegressionHead
from torchvision.ops import sigmoid_focal_loss

from sar_data.train.detect.detectors import Fcos, FcosHead, Targets, full
from sar_data.train.models.encoder import Backbone
from sar_data.train.rotated.boxes import axes, best, canonical, hulls
from sar_data.train.rotated.gaussian import LOSSES

NMS = 0.1  # rotated boxes of neighbours hardly overlap
SMALLEST, LARGEST = 4.0, 8.0  # reach of a level's boxes, in strides
WEIGHT = 5.0  # of the loss of boxes, as in mmrotate's configurations of GWD and of KFIoU


class _RotatedRegression(FCOSRegressionHead):  # type: ignore[misc]  # torchvision is untyped
    """Return distances to four sides in strides, and the angle in radians, [B, n, 5], and the centre-ness [B, n, 1]."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__(channels, anchors)
        nn.init.ones_(self.bbox_reg.bias)  # a box without area has no Gaussian, and its loss no gradient
        self.angle = nn.Conv2d(channels, 1, kernel_size=3, padding=1, bias=False)  # an angle may be negative
        nn.init.normal_(self.angle.weight, std=0.01)
        self.turn = nn.Parameter(torch.ones(()))  # a learnt scale of the angle

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        parts = []
        for features in maps:
            seen = self.conv(features)
            outputs = [F.relu(self.bbox_reg(seen)), self.angle(seen) * self.turn, self.bbox_ctrness(seen)]
            parts.append(torch.cat([full(output) for output in outputs], dim=1).flatten(2).transpose(1, 2))
        result = torch.cat(parts, dim=1)
        return result[..., :5], result[..., 5:]


class RotatedFcosHead(FcosHead):
    """The head of rotated FCOS, with its losses as sums."""

    def __init__(self, channels: int, anchors: int, classes: int) -> None:
        super().__init__(channels, anchors, classes)
        self.regression_head, self.loss = _RotatedRegression(channels, anchors), LOSSES["gwd"]

    def compute_loss(
        self, targets: Targets, outputs: dict[str, Tensor], anchors: list[Tensor], matched: list[Tensor]
    ) -> dict[str, Tensor]:
        if not outputs:
            return super().compute_loss(targets, outputs, anchors, matched)
        logits, numbers = outputs["cls_logits"], torch.stack(matched)
        image, place = (numbers >= 0).nonzero(as_tuple=True)
        before = numbers.new_tensor([0, *(len(target["labels"]) for target in targets)]).cumsum(dim=0)
        number = numbers[image, place] + before[image]
        boxes, labels = (torch.cat([target[name] for target in targets])[number] for name in ("rotated", "labels"))
        truth = torch.zeros_like(logits)
        truth[image, place, labels] = 1
        own = anchors[0][place]
        predicted = decode(outputs["bbox_regression"][image, place], own)
        sides = distances(places_of(own)[0], boxes)
        first, second = sides[:, :2], sides[:, 2:]
        middle = (torch.minimum(first, second) / torch.maximum(first, second)).prod(dim=1).sqrt()
        centre = outputs["bbox_ctrness"][image, place, 0]
        losses = (
            sigmoid_focal_loss(logits, truth, reduction="sum"),
            WEIGHT * self.loss(predicted, boxes).sum(),
            F.binary_cross_entropy_with_logits(centre, middle, reduction="sum"),
        )
        return {"sums": torch.stack([*losses, losses[0].new_tensor(float(len(image)))])}


class RotatedFcos(Fcos):
    """FCOS with an angle, a loss of Gaussians, and centre sampling in the frames of boxes, on strides 8 to 128.

    A place learns a box that it lies in, near the box's centre, of a size that fits its level; of several the smallest.
    Targets and detections have rotated boxes [n, 5] as "rotated"; "boxes" are the hulls around them. Sums are those of
    `Fcos`. `loss` is a name of sar_data.train.rotated.gaussian.
    """

    overlap = NMS
    head_class = RotatedFcosHead

    def __init__(self, encoder: Backbone, classes: int, *, loss: str = "gwd", **options: Any) -> None:
        super().__init__(encoder, classes, **options)
        self.head.loss = LOSSES[loss]

    def compute_loss(
        self, targets: Targets, outputs: dict[str, Tensor], anchors: list[Tensor], counts: list[int]
    ) -> dict[str, Tensor]:
        matched = [self._match(target["rotated"], own, counts) for target, own in zip(targets, anchors, strict=True)]
        sums: dict[str, Tensor] = self.head.compute_loss(targets, outputs, anchors, matched)
        return sums

    def _match(self, boxes: Tensor, anchors: Tensor, counts: list[int]) -> Tensor:
        """Return the number of the box that each place learns, -1 for none."""
        if not len(boxes):
            return anchors.new_full((len(anchors),), -1, dtype=torch.int64)
        places, strides = places_of(anchors)
        sides = distances(places[:, None], boxes[None])
        apart = (sides[..., :2] - sides[..., 2:]).abs().amax(dim=2) / 2
        lower, upper = strides * SMALLEST, strides * LARGEST
        lower[: counts[0]], upper[-counts[-1] :] = 0, torch.inf
        reach = sides.amax(dim=2)
        fits = (sides.amin(dim=2) > 0) & (apart < self.center_sampling_radius * strides[:, None])
        fits &= (reach > lower[:, None]) & (reach < upper[:, None])
        areas, chosen = torch.where(fits, boxes[:, 2:4].prod(dim=1)[None], torch.inf).min(dim=1)
        return torch.where(areas.isinf(), -1, chosen)

    def postprocess_detections(
        self, outputs: dict[str, list[Tensor]], anchors: list[list[Tensor]], sizes: list[tuple[int, int]]
    ) -> list[dict[str, Tensor]]:
        return [
            self._detections({name: [levels[i] for levels in outputs[name]] for name in outputs}, anchors[i])
            for i in range(len(sizes))
        ]

    def _detections(self, outputs: dict[str, list[Tensor]], anchors: list[Tensor]) -> dict[str, Tensor]:
        """Return the boxes of one image, from the `outputs` and `anchors` of each level."""
        parts = []
        for logits, sides, middle, own in zip(
            *(outputs[n] for n in ("cls_logits", "bbox_regression", "bbox_ctrness")), anchors, strict=True
        ):
            scores = (logits.sigmoid() * middle.sigmoid()).sqrt().flatten()
            kept = (scores > self.score_thresh).nonzero().flatten()
            chosen = kept[scores[kept].topk(min(len(kept), self.topk_candidates)).indices]
            place, label = chosen.div(logits.shape[1], rounding_mode="floor"), chosen % logits.shape[1]
            parts.append((decode(sides[place], own[place]), scores[chosen], label))
        boxes, scores, labels = (torch.cat(part) for part in zip(*parts, strict=True))
        boxes = canonical(boxes)
        chosen = best(boxes, scores, labels, self.nms_thresh, self.detections_per_img)
        boxes = boxes[chosen]
        return {"boxes": hulls(boxes), "rotated": boxes, "scores": scores[chosen], "labels": labels[chosen]}


def places_of(anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places [n, (x, y)] of anchors [n, 4], and their strides [n]."""
    return (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2] - anchors[:, 0]


def distances(places: Tensor, boxes: Tensor) -> Tensor:
    """Return the distances of places [..., 2] from the left, upper, right and lower side of boxes [..., 5], along them.

    They are negative beyond a side.
    """
    along, across = axes(boxes.reshape(-1, 5))
    apart = places - boxes[..., :2]
    shift = torch.stack([(apart * axis.reshape(*boxes.shape[:-1], 2)).sum(dim=-1) for axis in (along, across)], dim=-1)
    return torch.cat([boxes[..., 2:4] / 2 + shift, boxes[..., 2:4] / 2 - shift], dim=-1)


def decode(predicted: Tensor, anchors: Tensor) -> Tensor:
    """Return boxes [n, 5] of distances in strides and radians [n, 5], from the places of anchors [n, 4]."""
    places, strides = places_of(anchors)
    sides, degrees = predicted[:, :4] * strides[:, None], torch.rad2deg(predicted[:, 4:])
    size = sides[:, :2] + sides[:, 2:]
    shift = (sides[:, 2:] - sides[:, :2]) / 2
    along, across = axes(torch.cat([places, size, degrees], dim=1))
    centre = places + shift[:, :1] * along + shift[:, 1:] * across
    return torch.cat([centre, size, degrees], dim=1)
