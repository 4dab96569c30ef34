"""Several dates of a place before one decoder: as bands of an image, or level by level behind a shared encoder.

early     all dates are bands of an image, in their order (FC-EF, Daudt et al. 2018): with a U-Net a simple
          baseline that special networks rarely beat (Corley et al. 2024, arXiv:2402.06994)
concat    the encoder reads each date; the levels of all dates are concatenated in their order (FC-Siam-conc)
diff      the levels of the last date minus those of each earlier date
abs-diff  the absolute values of these differences (FC-Siam-diff): the order of two dates does not matter
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sar_data.train.models.encoder import Backbone

How = Literal["early", "concat", "diff", "abs-diff"]


@dataclass(frozen=True, slots=True)
class Fusion:
    """How the feature maps of `dates` dates become those of a single image."""

    how: How = "early"
    dates: int = 1

    @property
    def factor(self) -> int:
        """The channels of the fused levels, as a multiple of those of the encoder's levels."""
        if self.how == "early":
            return 1
        return self.dates if self.how == "concat" else self.dates - 1

    def levels(self, encoder: Backbone, images: Tensor) -> list[Tensor]:
        """Return the fused levels, finest first, of images [B, dates · C, H, W]."""
        if self.how == "early":
            return encoder.levels(images)
        each = torch.unflatten(images, 1, (self.dates, -1)).flatten(0, 1)
        return [self._fuse(torch.unflatten(level, 0, (-1, self.dates))) for level in encoder.levels(each)]

    def _fuse(self, level: Tensor) -> Tensor:
        """Return [B, factor · C, h, w] for the level of all dates [B, dates, C, h, w]."""
        if self.how == "concat":
            return level.flatten(1, 2)
        difference = level[:, -1:] - level[:, :-1]
        return (difference.abs() if self.how == "abs-diff" else difference).flatten(1, 2)
