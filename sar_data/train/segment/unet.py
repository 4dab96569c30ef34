"""The decoder of a U-Net (Ronneberger et al. 2015) on an encoder's four levels, as in segmentation_models_pytorch.

Each step doubles the map by nearest neighbours, concatenates the encoder's level of that size, and convolves twice.
Two more steps, for which the encoder has no level, lead to the size of the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sar_data.train.segment.upernet import convolution

FINER = 2  # steps beyond the finest level, whose stride is 4
NARROWEST = 8  # channels of a step


class UNet(nn.Module):
    """Decode levels of `inputs` channels, finest first; the first step has `channels`, each later step half as many."""

    def __init__(self, inputs: Sequence[int], channels: int) -> None:
        super().__init__()
        *skips, coarsest = inputs
        beside = [*reversed(skips), *[0] * FINER]
        widths = [max(channels >> step, NARROWEST) for step in range(len(beside))]
        self.steps = nn.ModuleList(
            nn.Sequential(convolution(before + skip, width, 3), convolution(width, width, 3))
            for before, skip, width in zip([coarsest, *widths], beside, widths, strict=False)
        )
        self.width = widths[-1]

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return [B, width, H, W]; H and W are 4 times those of the finest level."""
        *skips, features = levels
        beside: list[Tensor | None] = [*reversed(skips), *[None] * FINER]
        for step, skip in zip(self.steps, beside, strict=True):
            size = [2 * side for side in features.shape[-2:]] if skip is None else skip.shape[-2:]
            features = F.interpolate(features, size=tuple(size), mode="nearest")
            features = step(features if skip is None else torch.cat([features, skip], dim=1))
        return features
