"""Oriented R-CNN (Xie et al. 2021): rotated proposals from upright anchors, and heads that look along them.

Figures are those of its configuration in mmrotate. The top and the right vertex of a box are neighbours here, which the
published coder does not ensure (sar_data/train/rotated/coders.py).
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
    Counted,
    Objectness,
    Staged,
    Targets,
    Untouched,
    anchor_grid,
    full,
)
from sar_data.train.detect.necks import Pyramid
from sar_data.train.models.encoder import Backbone
from sar_data.train.rotated.align import BINS, pooled
from sar_data.train.rotated.boxes import best, canonical, hulls, overlaps
from sar_data.train.rotated.coders import MidpointOffsets, Turned

NMS = 0.1
PROPOSALS, PROPOSAL_NMS = 2000, 0.8  # a level before the NMS, an image after it, which is of hulls
FEATURES = 1024
SHORTEST = 1e-3  # pixels of a proposal's side


class OrientedRcnn(Staged):
    """Oriented R-CNN with a feature pyramid on strides 4 to 64; sums are those of `Staged`.

    Targets have rotated boxes [n, 5] as "rotated", and so has what is found; "boxes" are the hulls around them.
    """

    overlap = NMS

    def __init__(self, encoder: Backbone, classes: int, *, channels: int, threshold: float, most: int) -> None:
        neck = Pyramid(encoder, channels, first=0, above=LastLevelMaxPool())
        heads = RotatedHeads(neck, classes, threshold=threshold, most=most)
        GeneralizedRCNN.__init__(self, neck, RotatedProposals(neck), heads, Untouched())


class RotatedProposals(RegionProposalNetwork):  # type: ignore[misc]  # torchvision is untyped
    """Say rotated boxes [n, 5] of each image, best first, and the losses of the anchors sampled."""

    def __init__(self, neck: Pyramid) -> None:
        counts = {"training": PROPOSALS, "testing": PROPOSALS}
        head = Objectness(neck.out_channels, len(RATIOS))
        head.bbox_pred = nn.Conv2d(neck.out_channels, len(RATIOS) * 6, kernel_size=1)
        nn.init.normal_(head.bbox_pred.weight, std=0.01)
        nn.init.zeros_(head.bbox_pred.bias)
        super().__init__(anchor_grid(neck), head, 0.7, 0.3, *RPN_SAMPLES, counts, counts, PROPOSAL_NMS)
        self.box_coder, self.fg_bg_sampler = MidpointOffsets(), Counted(*RPN_SAMPLES)

    def forward(
        self, images: ImageList, maps: dict[str, Tensor], targets: Targets | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        logits, deltas = self.head(list(maps.values()))
        anchors = self.anchor_generator(images, list(maps.values()))
        counts = [one[0].numel() for one in logits]
        scores = torch.cat([one.permute(0, 2, 3, 1).flatten(1) for one in logits], dim=1)
        said = torch.cat([one.unflatten(1, (-1, 6)).permute(0, 3, 4, 1, 2).flatten(1, 3) for one in deltas], dim=1)
        chosen = self._get_top_n_idx(scores.detach(), counts)
        levels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(chosen.device)
        found = [
            self._best(said[i, own].detach(), anchors[i][own], scores[i, own].detach(), levels[own])
            for i, own in enumerate(chosen)
        ]
        if not self.training:
            return found, {}
        asked = [self._asked(target, own) for target, own in zip(targets or (), anchors, strict=True)]
        labels, wanted = ([pair[i] for pair in asked] for i in (0, 1))
        objectness, boxes = self.compute_loss(scores, said.flatten(0, 1), labels, wanted)
        return found, {"loss_objectness": objectness, "loss_rpn_box_reg": boxes}

    def _best(self, said: Tensor, anchors: Tensor, scores: Tensor, levels: Tensor) -> Tensor:
        boxes = self.box_coder.decode(said, anchors)
        there = boxes[:, 3] >= SHORTEST
        boxes, scores, levels = boxes[there], scores[there], levels[there]
        return boxes[batched_nms(hulls(boxes), scores, levels, self.nms_thresh)[: self.post_nms_top_n()]]

    def _asked(self, target: dict[str, Tensor], anchors: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each anchor is to say: 1 of an object, 0 of none, -1 of no matter, and the offsets [n, 6]."""
        if not len(target["boxes"]):
            return anchors.new_zeros(len(anchors)), anchors.new_zeros((len(anchors), 6))
        number = self.proposal_matcher(box_iou(target["boxes"], anchors))
        labels = torch.where(
            number >= 0, 1.0, torch.where(number == self.proposal_matcher.BETWEEN_THRESHOLDS, -1.0, 0.0)
        )
        return labels.to(anchors.dtype), self.box_coder.encode(target["rotated"][number.clamp(min=0)], anchors)


class RotatedHeads(nn.Module):
    """Say the class of each proposal, and its box anew, the same for all classes."""

    def __init__(self, neck: Pyramid, classes: int, *, threshold: float, most: int) -> None:
        super().__init__()
        self.strides, self.threshold, self.most = neck.strides[:-1], threshold, most
        self.box_head = TwoMLPHead(neck.out_channels * BINS**2, FEATURES)
        self.classes, self.box = nn.Linear(FEATURES, classes + 1), nn.Linear(FEATURES, 5)
        self.box_coder, self.fg_bg_sampler = Turned(), Counted(*ROI_SAMPLES)
        self.matcher = Matcher(0.5, 0.5, allow_low_quality_matches=False)

    def forward(
        self,
        maps: dict[str, Tensor],
        proposals: list[Tensor],
        sizes: list[tuple[int, int]],
        targets: Targets | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        labels, wanted = list[Tensor](), list[Tensor]()
        if self.training:
            proposals, labels, wanted = self._sampled(proposals, targets or ())
        features = self.box_head(pooled(list(maps.values())[:-1], self.strides, proposals))
        logits, deltas = full(self.classes(features)), full(self.box(features))
        if self.training:
            label = torch.cat(labels)
            there = label > 0
            boxes = F.smooth_l1_loss(deltas[there], torch.cat(wanted)[there], reduction="sum") / len(label)
            return [], {"loss_classifier": F.cross_entropy(logits, label), "loss_box_reg": boxes}
        counts = [len(one) for one in proposals]
        each = zip(torch.split(logits, counts), torch.split(deltas, counts), proposals, strict=True)
        return [self._found(*one) for one in each], {}

    def _sampled(self, proposals: list[Tensor], targets: Targets) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return of each image the proposals to learn from, the true boxes among them, their classes and deltas."""
        proposals = [torch.cat([own, one["rotated"]]) for own, one in zip(proposals, targets, strict=True)]
        labels, boxes = list[Tensor](), list[Tensor]()
        for own, target in zip(proposals, targets, strict=True):
            if len(target["labels"]):
                number = self.matcher(overlaps(target["rotated"], own))
                labels.append(torch.where(number >= 0, target["labels"][number.clamp(min=0)], 0))
                boxes.append(target["rotated"][number.clamp(min=0)])
            else:
                labels.append(target["labels"].new_zeros(len(own)))
                boxes.append(own)
        taken = [(one | other).nonzero().flatten() for one, other in zip(*self.fg_bg_sampler(labels), strict=True)]
        some, label, true = (
            [one[own] for one, own in zip(each, taken, strict=True)] for each in (proposals, labels, boxes)
        )
        return some, label, [self.box_coder.encode(*pair) for pair in zip(true, some, strict=True)]

    def _found(self, logits: Tensor, deltas: Tensor, proposals: Tensor) -> dict[str, Any]:
        shares = logits.softmax(dim=1)[:, 1:]
        row, label = (shares > self.threshold).nonzero(as_tuple=True)
        scores, boxes = shares[row, label], canonical(self.box_coder.decode(deltas[row], proposals[row]))
        chosen = best(boxes, scores, label, NMS, self.most)
        boxes, label = boxes[chosen], label[chosen] + 1  # background is class 0, as in all heads
        return {"boxes": hulls(boxes), "rotated": boxes, "scores": scores[chosen], "labels": label}
