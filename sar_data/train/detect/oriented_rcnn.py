"""Oriented R-CNN (Xie et al. 2021): rotated proposals from upright anchors, and heads on maps aligned with them.

Parameters are those of its configuration in mmrotate. The top and the right vertex of a box are neighbours here, which
the published coder does not ensure (sar_data/train/rotated/coders.py).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import batched_nms, box_iou
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from sar_data.train.detect.detectors import (
    RATIOS,
    ROI_SAMPLES,
    RPN_SAMPLES,
    CountingSampler,
    NoTransform,
    Objectness,
    Targets,
    TwoStage,
    anchor_grid,
    full,
)
from sar_data.train.detect.necks import Pyramid
from sar_data.train.models.encoder import Backbone
from sar_data.train.rotated.align import BINS, pool
from sar_data.train.rotated.boxes import best, canonical, hulls, overlaps
from sar_data.train.rotated.coders import MidpointOffsets, RotatedDeltas

NMS = 0.1
PROPOSALS, PROPOSAL_NMS = 2000, 0.8  # a level before the NMS, an image after it, which is of hulls
FEATURES = 1024
SHORTEST = 1e-3  # pixels of a proposal's side


class OrientedRcnn(TwoStage):
    """Oriented R-CNN with a feature pyramid on strides 4 to 64; sums are those of `TwoStage`.

    Targets and detections have rotated boxes [n, 5] as "rotated"; "boxes" are the hulls around them.
    """

    overlap = NMS

    def __init__(self, encoder: Backbone, classes: int, *, channels: int, threshold: float, most: int) -> None:
        neck = Pyramid(encoder, channels, first=0, above=LastLevelMaxPool())
        heads = RotatedHeads(neck, classes, threshold=threshold, most=most)
        GeneralizedRCNN.__init__(self, neck, RotatedProposals(neck), heads, NoTransform())


class RotatedProposals(RegionProposalNetwork):  # type: ignore[misc]  # torchvision is untyped
    """Return rotated boxes [n, 5] of each image, best first, and the losses of the sampled anchors."""

    def __init__(self, neck: Pyramid) -> None:
        counts = {"training": PROPOSALS, "testing": PROPOSALS}
        head = Objectness(neck.out_channels, len(RATIOS))
        head.bbox_pred = nn.Conv2d(neck.out_channels, len(RATIOS) * 6, kernel_size=1)
        nn.init.normal_(head.bbox_pred.weight, std=0.01)
        nn.init.zeros_(head.bbox_pred.bias)
        super().__init__(anchor_grid(neck), head, 0.7, 0.3, *RPN_SAMPLES, counts, counts, PROPOSAL_NMS)
        self.box_coder, self.fg_bg_sampler = MidpointOffsets(), CountingSampler(*RPN_SAMPLES)

    def forward(
        self, images: ImageList, maps: dict[str, Tensor], targets: Targets | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        logits, deltas = self.head(list(maps.values()))
        anchors = self.anchor_generator(images, list(maps.values()))
        counts = [level[0].numel() for level in logits]
        scores = torch.cat([level.permute(0, 2, 3, 1).flatten(1) for level in logits], dim=1)
        offsets = torch.cat(
            [level.unflatten(1, (-1, 6)).permute(0, 3, 4, 1, 2).flatten(1, 3) for level in deltas], dim=1
        )
        chosen = self._get_top_n_idx(scores.detach(), counts)
        levels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(chosen.device)
        proposals = [
            self._best(offsets[i, own].detach(), anchors[i][own], scores[i, own].detach(), levels[own])
            for i, own in enumerate(chosen)
        ]
        if not self.training:
            return proposals, {}
        answers = [self._answers(target, own) for target, own in zip(targets or (), anchors, strict=True)]
        labels, true = ([pair[i] for pair in answers] for i in (0, 1))
        objectness, boxes = self.compute_loss(scores, offsets.flatten(0, 1), labels, true)
        return proposals, {"loss_objectness": objectness, "loss_rpn_box_reg": boxes}

    def _best(self, offsets: Tensor, anchors: Tensor, scores: Tensor, levels: Tensor) -> Tensor:
        boxes = self.box_coder.decode(offsets, anchors)
        there = boxes[:, 3] >= SHORTEST
        boxes, scores, levels = boxes[there], scores[there], levels[there]
        return boxes[batched_nms(hulls(boxes), scores, levels, self.nms_thresh)[: self.post_nms_top_n()]]

    def _answers(self, target: dict[str, Tensor], anchors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the targets of anchors: 1 for an object, 0 for none, -1 for ignored, and the offsets [n, 6]."""
        if not len(target["boxes"]):
            return anchors.new_zeros(len(anchors)), anchors.new_zeros((len(anchors), 6))
        number = self.proposal_matcher(box_iou(target["boxes"], anchors))
        labels = torch.where(
            number >= 0, 1.0, torch.where(number == self.proposal_matcher.BETWEEN_THRESHOLDS, -1.0, 0.0)
        )
        return labels.to(anchors.dtype), self.box_coder.encode(target["rotated"][number.clamp(min=0)], anchors)


class RotatedHeads(nn.Module):
    """Return the class of each proposal and its refined box, the same for all classes."""

    def __init__(self, neck: Pyramid, classes: int, *, threshold: float, most: int) -> None:
        super().__init__()
        self.strides, self.threshold, self.most = neck.strides[:-1], threshold, most
        self.box_head = TwoMLPHead(neck.out_channels * BINS**2, FEATURES)
        self.classes, self.box = nn.Linear(FEATURES, classes + 1), nn.Linear(FEATURES, 5)
        self.box_coder, self.fg_bg_sampler = RotatedDeltas(), CountingSampler(*ROI_SAMPLES)
        self.matcher = Matcher(0.5, 0.5, allow_low_quality_matches=False)

    def forward(
        self,
        maps: dict[str, Tensor],
        proposals: list[Tensor],
        sizes: list[tuple[int, int]],
        targets: Targets | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        labels, true = list[Tensor](), list[Tensor]()
        if self.training:
            proposals, labels, true = self._sample(proposals, targets or ())
        features = self.box_head(pool(list(maps.values())[:-1], self.strides, proposals))
        logits, deltas = full(self.classes(features)), full(self.box(features))
        if self.training:
            label = torch.cat(labels)
            there = label > 0
            boxes = F.smooth_l1_loss(deltas[there], torch.cat(true)[there], reduction="sum") / len(label)
            return [], {"loss_classifier": F.cross_entropy(logits, label), "loss_box_reg": boxes}
        counts = [len(own) for own in proposals]
        each = zip(torch.split(logits, counts), torch.split(deltas, counts), proposals, strict=True)
        return [self._detections(*item) for item in each], {}

    def _sample(self, proposals: list[Tensor], targets: Targets) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return of each image the sampled proposals, with the true boxes among them, their classes and deltas."""
        proposals = [torch.cat([own, target["rotated"]]) for own, target in zip(proposals, targets, strict=True)]
        labels, boxes = list[Tensor](), list[Tensor]()
        for own, target in zip(proposals, targets, strict=True):
            if len(target["labels"]):
                number = self.matcher(overlaps(target["rotated"], own))
                labels.append(torch.where(number >= 0, target["labels"][number.clamp(min=0)], 0))
                boxes.append(target["rotated"][number.clamp(min=0)])
            else:
                labels.append(target["labels"].new_zeros(len(own)))
                boxes.append(own)
        taken = [
            (positive | negative).nonzero().flatten()
            for positive, negative in zip(*self.fg_bg_sampler(labels), strict=True)
        ]
        some, label, true = (
            [values[own] for values, own in zip(each, taken, strict=True)] for each in (proposals, labels, boxes)
        )
        return some, label, [self.box_coder.encode(*pair) for pair in zip(true, some, strict=True)]

    def _detections(self, logits: Tensor, deltas: Tensor, proposals: Tensor) -> dict[str, Any]:
        shares = logits.softmax(dim=1)[:, 1:]
        row, label = (shares > self.threshold).nonzero(as_tuple=True)
        scores, boxes = shares[row, label], canonical(self.box_coder.decode(deltas[row], proposals[row]))
        chosen = best(boxes, scores, label, NMS, self.most)
        boxes, label = boxes[chosen], label[chosen] + 1  # background is class 0, as in all heads
        return {"boxes": hulls(boxes), "rotated": boxes, "scores": scores[chosen], "labels": label}
