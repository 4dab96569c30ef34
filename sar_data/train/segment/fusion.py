"""Several dates of one place before one decoder: as bands of one image, or level by level behind a shared encoder.

early     all dates are bands of one image, in their order (FC-EF, Daudt et al. 2018): with a U-Net the plain
          baseline that special networks rarely beat (Corley et al. 2024, arXiv:2402.06994)
concat    the encoder sees each date; the levels of all dates lie side by side, in their order (FC-Siam-conc)
diff      the levels of the last date, less those of each earlier one
abs-diff  the absolute values of these differences (FC-Siam-diff): of two dates it does not matter which is first
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
    """How feature maps of some `dates` become those of one image."""

    how: How = "early"
    dates: int = 1

    @property
    def factor(self) -> int:
        """How many times as wide as the encoder's levels the fused ones are."""
        if self.how == "early":
            return 1
        return self.dates if self.how == "concat" else self.dates - 1

    def levels(self, encoder: Backbone, images: Tensor) -> list[Tensor]:
        """Return the fused levels, finest first, of images [B, dates · C, H, W]."""
        if self.how == "early":
            return encoder.levels(images)
        each = torch.unflatten(images, 1, (self.dates, -1)).flatten(0, 1)
        return [self._fused(torch.unflatten(level, 0, (-1, self.dates))) for level in encoder.levels(each)]

    def _fused(self, level: Tensor) -> Tensor:
        """Return [B, factor · C, h, w] of the level of all dates [B, dates, C, h, w]."""
        if self.how == "concat":
            return level.flatten(1, 2)
        apart = level[:, -1:] - level[:, :-1]
        return (apart.abs() if self.how == "abs-diff" else apart).flatten(1, 2)
