"""UPerNet (Xiao et al. 2018, arXiv:1807.10221): pooled context on the coarsest map and a feature pyramid, fused.

Papers on SAR encoders use two forms; both have the same steps and differ in sizes:

                        mmseg (UPerHead)             diary
    a pooled bin        `channels` wide              a quarter of the coarsest map's width
    bins upsampled      align_corners=False          align_corners=True
    context             3 × 3 convolution            1 × 1
    levels fused        3 × 3                        1 × 1
    before the classes  dropout of maps, 0.1         1 × 1 convolution, BatchNorm, ReLU

Copernicus-Bench, PANGAEA, MTP and RSP use mmseg's. The diary's is a small public re-implementation for ResNets, used
behind Feature2Pyramid and without its last convolution. Convolutions have no bias and are followed by BatchNorm and
ReLU. The result has the stride of the finest level.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BINS = (1, 2, 3, 6)
DROPOUT = 0.1  # of UPerHead, and of FCNHead, which is the auxiliary head


def convolution(inputs: int, outputs: int, side: int) -> nn.Sequential:
    """Make a convolution of side × side that keeps the map's size, with BatchNorm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def resize(images: Tensor, like: Sequence[int], *, aligned: bool = False) -> Tensor:
    """Return maps [B, C, H, W] bilinearly interpolated to another height and width."""
    if tuple(images.shape[-2:]) == tuple(like):
        return images
    return F.interpolate(images, size=tuple(like), mode="bilinear", align_corners=aligned)


class Context(nn.Module):
    """Pyramid pooling: a map concatenated with its means over the whole and over 2 × 2, 3 × 3 and 6 × 6 parts."""

    def __init__(self, inputs: int, pooled: int, channels: int, *, side: int, aligned: bool) -> None:
        super().__init__()
        self.aligned = aligned
        self.bins = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(bins), convolution(inputs, pooled, 1)) for bins in BINS
        )
        self.out = convolution(inputs + len(BINS) * pooled, channels, side)

    def forward(self, image: Tensor) -> Tensor:
        size = image.shape[-2:]
        pooled = [resize(bins(image), size, aligned=self.aligned) for bins in self.bins]
        features: Tensor = self.out(torch.cat([image, *pooled], dim=1))
        return features


class UPerNet(nn.Module):
    """Fuse a pyramid of maps with `inputs` channels, finest first, into a map of `channels`; see `mmseg_form`."""

    def __init__(
        self, inputs: Sequence[int], channels: int, *, pooled: int, side: int, aligned: bool, last: nn.Module
    ) -> None:
        super().__init__()
        self.width = channels
        self.context = Context(inputs[-1], pooled, channels, side=side, aligned=aligned)
        self.lateral = nn.ModuleList(convolution(width, channels, 1) for width in inputs[:-1])
        self.smooth = nn.ModuleList(convolution(channels, channels, 3) for _ in inputs[:-1])
        self.fuse = convolution(len(inputs) * channels, channels, side)
        self.last = last

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return [B, channels, H, W] at the finest level's size."""
        above = self.context(levels[-1])
        maps = [above]
        for level, lateral, smooth in reversed(list(zip(levels[:-1], self.lateral, self.smooth, strict=True))):
            above = lateral(level) + resize(above, level.shape[-2:])
            maps.insert(0, smooth(above))
        size = levels[0].shape[-2:]
        fused: Tensor = self.last(self.fuse(torch.cat([resize(part, size) for part in maps], dim=1)))
        return fused


def mmseg_form(inputs: Sequence[int], channels: int) -> UPerNet:
    """Make mmseg's UPerHead (mmseg/models/decode_heads/uper_head.py) up to its last convolution."""
    return UPerNet(inputs, channels, pooled=channels, side=3, aligned=False, last=nn.Dropout2d(DROPOUT))


def diary_form(inputs: Sequence[int], channels: int) -> UPerNet:
    """Make the diary's UPerNet up to its last convolution."""
    last = convolution(channels, channels, 1)
    return UPerNet(inputs, channels, pooled=inputs[-1] // 4, side=1, aligned=True, last=last)
