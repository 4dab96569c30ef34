"""The decoder of a U-Net (Ronneberger et al. 2015) on an encoder's four levels, as segmentation_models_pytorch has it.

Each step doubles the map, by its nearest pixels, puts the encoder's level of that size beside it, and convolves twice.
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
    """Decode levels of `inputs` channels, finest first; the first step has `channels`, each further half as many."""

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
        """Return [B, width, H, W], H and W being 4 times those of the finest level."""
        *skips, found = levels
        beside: list[Tensor | None] = [*reversed(skips), *[None] * FINER]
        for step, skip in zip(self.steps, beside, strict=True):
            size = [2 * side for side in found.shape[-2:]] if skip is None else skip.shape[-2:]
            found = F.interpolate(found, size=tuple(size), mode="nearest")
            found = step(found if skip is None else torch.cat([found, skip], dim=1))
        return found
