"""torchvision's FCOS and Faster R-CNN on any encoder: images stay as they are, losses are sums.

torchvision's detectors normalize and resize images, infer strides from the sizes of padded maps, and divide their
losses by counts of their own batch. Here the batch is the encoder's input unchanged, strides are the encoder's, and
counts are returned beside the sums, so that both may be added up over micro-batches and ranks before the division. In
training a detector returns sums [K], otherwise a list of {"boxes" [n, 4], "scores" [n], "labels" [n]}, and for images
with targets also "sums" [K] of each, from the same maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS, FasterRCNN
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from sar_data.errors import UsageError
from sar_data.train.detect.necks import Coarsest, Pyramid
from sar_data.train.models.encoder import Backbone

Targets = Sequence[dict[str, Tensor]]
OCTAVES = 8  # side of an anchor in strides of its level (Lin et al. 2017): 32 pixels on the finest
RATIOS = (0.5, 1.0, 2.0)
RPN_SAMPLES, ROI_SAMPLES = (256, 0.5), (512, 0.25)  # an image, and the share of them that may be positive
FCOS_NMS, RCNN_NMS = 0.6, 0.5


class FcosHead(FCOSHead):  # type: ignore[misc]
    """The head of FCOS, with its losses as sums."""

    def forward(self, maps: list[Tensor]) -> dict[str, Tensor]:
        return {name: full(values) for name, values in super().forward(maps).items()}

    def compute_loss(
        self, targets: Targets, outputs: dict[str, Tensor], anchors: list[Tensor], matched: list[Tensor]
    ) -> dict[str, Tensor]:
        positives = torch.cat(matched).ge(0).sum().to(anchors[0].dtype)
        if not outputs:
            return {"sums": torch.stack([torch.zeros_like(positives)] * 3 + [positives])}
        means = super().compute_loss(targets, outputs, anchors, matched)
        # torchvision has divided by this number, which is of this rank alone.
        return {"sums": torch.stack([*(mean * positives.clamp(min=1) for mean in means.values()), positives])}


class Fcos(FCOS):  # type: ignore[misc]  # torchvision is untyped
    """FCOS (Tian et al. 2020) with GIoU, normalized box distances and centre sampling, on strides 8 to 128.

    Sums are those of the focal, box and centre-ness losses, and the number of positive places, by which all three are
    divided; the targets alone decide that number.
    """

    linear = True
    overlap = FCOS_NMS
    head_class = FcosHead

    def __init__(self, encoder: Backbone, classes: int, *, channels: int, threshold: float, most: int) -> None:
        neck = Pyramid(encoder, channels, first=1, above=Coarsest(channels, channels))
        grid = Grid(tuple((stride,) for stride in neck.strides), ((1.0,),) * len(neck.strides), neck.strides)
        super().__init__(
            neck,
            classes,
            anchor_generator=grid,
            head=self.head_class(channels, 1, classes),
            score_thresh=threshold,
            nms_thresh=self.overlap,
            detections_per_img=most,
        )
        self.transform = NoTransform()

    def forward(self, images: Tensor, targets: Targets | None = None) -> Any:
        if self.training:
            return super().forward(images, targets)["sums"]
        maps = list(self.backbone(images).values())
        counts = [level.shape[2] * level.shape[3] for level in maps]
        # With one image and one value a channel in its coarsest map, GroupNorm has no variance.
        alone = len(images) == counts[-1] == 1
        outputs = self.head([level.repeat(2, 1, 1, 1) for level in maps] if alone else maps)
        outputs = {name: values[: len(images)] for name, values in outputs.items()}
        listed = image_list(images)
        anchors = self.anchor_generator(listed, maps)
        parts = {name: list(values.split(counts, dim=1)) for name, values in outputs.items()}
        results = self.postprocess_detections(
            parts, [list(levels.split(counts)) for levels in anchors], listed.image_sizes
        )
        for i, target in enumerate(targets or ()):
            own = {name: values[i : i + 1] for name, values in outputs.items()}
            results[i] |= self.compute_loss([target], own, anchors[i : i + 1], counts)
        return results

    def known(self, images: Tensor, targets: Targets) -> Tensor:
        """Return the sums [4] that targets alone decide: no loss, and the number of positive places."""
        maps = self.backbone.blank(images)
        anchors = self.anchor_generator(ImageList(images, []), maps)
        sums: Tensor = self.compute_loss(targets, {}, anchors, [level.shape[2] * level.shape[3] for level in maps])[
            "sums"
        ]
        return sums

    @staticmethod
    def value(sums: Tensor) -> Tensor:
        """Return the loss of totals."""
        return sums[:3].sum() / sums[3].clamp(min=1)


class TwoStage(GeneralizedRCNN):  # type: ignore[misc]
    """A detector in two stages, proposals and their heads.

    Sums are both losses of the sampled anchors and their number, and the same of the sampled proposals. Sampling is
    random, an image at a time, from torch's generator, and the number of proposals depends on the model: the targets
    alone decide none of the sums.
    """

    linear = False

    def forward(self, images: Tensor, targets: Targets | None = None) -> Any:
        inside = [{**target, "labels": target["labels"] + 1} for target in targets or ()]
        if self.training:
            return self._sums(super().forward(images, inside))
        maps, listed = self.backbone(images), image_list(images)
        results, _ = self.roi_heads(maps, self.rpn(listed, maps)[0], listed.image_sizes)
        for i, target in enumerate(inside):
            own = {name: values[i : i + 1] for name, values in maps.items()}
            results[i]["sums"] = self._evaluate_sums(images[i : i + 1], own, [target])
        return [{**result, "labels": result["labels"] - 1} for result in results]  # background is class 0 inside

    def _evaluate_sums(self, image: Tensor, maps: dict[str, Tensor], targets: Targets) -> Tensor:
        """Return the sums [6] of one image in evaluation; its samples are the same in every batch."""
        heads, listed = (self.rpn, self.roi_heads), image_list(image)
        with torch.random.fork_rng([image.device] if image.is_cuda else []):
            torch.manual_seed(0)
            try:
                for head in heads:  # without their parts, which stay in evaluation mode
                    head.training = True
                proposals, means = self.rpn(listed, maps, targets)
                _, more = self.roi_heads(maps, proposals, listed.image_sizes, targets)
            finally:
                for head in heads:
                    head.training = False
        return self._sums(means | more)

    def _sums(self, means: dict[str, Tensor]) -> Tensor:
        sums: list[Tensor] = []
        for names, head in (
            (("loss_objectness", "loss_rpn_box_reg"), self.rpn),
            (("loss_classifier", "loss_box_reg"), self.roi_heads),
        ):
            count = head.fg_bg_sampler.count.to(means[names[0]].dtype)
            sums += [*(means[name] * count for name in names), count]
        return torch.stack(sums)

    def known(self, images: Tensor, targets: Targets) -> Tensor:
        """Return zeros [6]: targets alone decide none of the sums."""
        return images.new_zeros(6)

    @staticmethod
    def value(sums: Tensor) -> Tensor:
        """Return the loss of totals."""
        return sums[:2].sum() / sums[2].clamp(min=1) + sums[3:5].sum() / sums[5].clamp(min=1)


class FasterRcnn(TwoStage, FasterRCNN):  # type: ignore[misc]
    """Faster R-CNN (Ren et al. 2015) with a feature pyramid (Lin et al. 2017) on strides 4 to 64."""

    overlap = RCNN_NMS

    def __init__(self, encoder: Backbone, classes: int, *, channels: int, threshold: float, most: int) -> None:
        if encoder.patch and encoder.patch & (encoder.patch - 1):
            raise UsageError(
                f"{encoder.name}: Faster R-CNN pools from maps whose strides are powers of two, found patches of "
                f"{encoder.patch} pixels: take `detector=fcos`, or a ViT with patches of 16"
            )
        neck = Pyramid(encoder, channels, first=0, above=LastLevelMaxPool())
        super().__init__(
            neck,
            rpn_anchor_generator=anchor_grid(neck),
            rpn_head=Objectness(channels, len(RATIOS)),
            box_predictor=_BoxPredictor(1024, classes + 1),
            box_score_thresh=threshold,
            box_nms_thresh=self.overlap,
            box_detections_per_img=most,
        )
        self.transform = NoTransform()
        self.rpn.fg_bg_sampler = CountingSampler(*RPN_SAMPLES)
        self.roi_heads.fg_bg_sampler = CountingSampler(*ROI_SAMPLES)


class Objectness(RPNHead):  # type: ignore[misc]
    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        logits, deltas = super().forward(maps)
        return [full(values) for values in logits], [full(values) for values in deltas]


class _BoxPredictor(FastRCNNPredictor):  # type: ignore[misc]
    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        logits, deltas = super().forward(features)
        return full(logits), full(deltas)


class CountingSampler(BalancedPositiveNegativeSampler):  # type: ignore[misc]
    """A sampler that keeps the number of its last samples."""

    count: Tensor

    def __call__(self, matched: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        positive, negative = super().__call__(matched)
        self.count = torch.stack([chosen.sum() for chosen in (*positive, *negative)]).sum()
        return positive, negative


class Grid(AnchorGenerator):  # type: ignore[misc]
    """Anchors at the strides of the maps, for images of any size, and never in half precision."""

    def __init__(self, sizes: Any, ratios: Any, strides: Sequence[float]) -> None:
        super().__init__(sizes, ratios)
        self._strides = [[stride, stride] for stride in strides]

    def forward(self, images: ImageList, maps: list[Tensor]) -> list[Tensor]:
        self.set_cell_anchors(torch.promote_types(maps[0].dtype, torch.float32), maps[0].device)
        anchors = torch.cat(self.grid_anchors([list(level.shape[-2:]) for level in maps], self._strides))
        return [anchors] * len(images.tensors)


def anchor_grid(neck: Pyramid) -> Grid:
    """Return the anchors of proposals: one size a level, three ratios."""
    sizes = tuple((OCTAVES * stride,) for stride in neck.strides)
    return Grid(sizes, (RATIOS,) * len(neck.strides), neck.strides)


class NoTransform(nn.Module):
    """The transform of torchvision's detectors, which here changes nothing."""

    def forward(self, images: Tensor, targets: Targets | None = None) -> tuple[ImageList, Targets | None]:
        return image_list(images), targets

    def postprocess(self, results: Any, sizes: Any, original: Any) -> Any:
        """Return the detections unchanged."""
        return results


def image_list(images: Tensor) -> ImageList:
    """Return images as torchvision's heads take them."""
    return ImageList(images, [(images.shape[-2], images.shape[-1])] * len(images))


def full(values: Tensor) -> Tensor:
    """Return values in single precision at least: half precision cannot tell pixel 257 from 258."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
