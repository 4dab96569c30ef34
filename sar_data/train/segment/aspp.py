"""DeepLabv3's decoder (Chen et al. 2017, arXiv:1706.05587) in the form of MMSegmentation, which SAR-HUB trains.

From mmseg/models/decode_heads/aspp_head.py: in parallel a 1 × 1 convolution, 3 × 3 convolutions dilated by 12, 24 and
36, and the image's mean, `channels` each, then a 3 × 3 convolution and dropout of maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sar_data.train.segment.upernet import DROPOUT, convolution, resize

RATES = (12, 24, 36)


class ASPP(nn.Module):
    """Make a map [B, channels, H, W] of the coarsest level; `inputs` are the levels' channels."""

    def __init__(self, inputs: Sequence[int], channels: int) -> None:
        super().__init__()
        self.width = channels
        rated = (_dilated_convolution(inputs[-1], channels, rate) for rate in RATES)
        self.branches = nn.ModuleList([convolution(inputs[-1], channels, 1), *rated])
        self.mean = nn.Sequential(nn.AdaptiveAvgPool2d(1), convolution(inputs[-1], channels, 1))
        self.out = nn.Sequential(convolution((len(RATES) + 2) * channels, channels, 3), nn.Dropout2d(DROPOUT))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return [B, channels, H, W] at the coarsest level's size."""
        image = levels[-1]
        parts = [resize(self.mean(image), image.shape[-2:]), *(branch(image) for branch in self.branches)]
        features: Tensor = self.out(torch.cat(parts, dim=1))
        return features


def _dilated_convolution(inputs: int, outputs: int, rate: int) -> nn.Sequential:
    """Make a dilated convolution of 3 × 3 that keeps the map's size, with BatchNorm and ReLU."""
    first = nn.Conv2d(inputs, outputs, 3, padding=rate, dilation=rate, bias=False)
    return nn.Sequential(first, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
