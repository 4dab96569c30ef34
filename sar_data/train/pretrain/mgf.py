"""Multi-scale gradients by ratio: the target of SAR-JEPA (Li et al. 2024) and SARATR-X (Li et al. 2025).

Speckle multiplies, so that a difference of means is larger where an image is brighter; a ratio of means is not. The
gradient along a direction is the logarithm of the ratio of the means of the two halves of a square window (ROEWA's
idea). Means come from integral images: the cost does not depend on the size of the window.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

FLOOR = 1e-2  # added to amplitudes in 0 … 1, as published; amplitudes below it are not invariant to gain


def gradients(images: Tensor, radii: Sequence[int]) -> Tensor:
    """Return float32 [B, C · scale, H, W] of amplitudes [B, C, H, W] that are not negative; the radii r of windows of
    2 r + 1 pixels are below H and W, and the scales of a channel lie side by side.
    """
    scales = [_gradient(images, radius) for radius in radii]
    return torch.stack(scales, dim=2).flatten(1, 2)


def _gradient(images: Tensor, radius: int) -> Tensor:
    height, width = images.shape[-2:]
    # Both halves include the centre line. Double precision, for sums over a whole image are subtracted.
    wide = F.pad(images.double(), (radius,) * 4, mode="reflect") + FLOOR
    whole = F.pad(wide.cumsum(2).cumsum(3), (1, 0, 1, 0))
    side = 2 * radius + 1

    def box(rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        (top, below), (left, right) = rows, columns

        def corner(y: int, x: int) -> Tensor:
            return whole[..., y : y + height, x : x + width]

        return corner(below, right) - corner(top, right) - corner(below, left) + corner(top, left)

    every, first, second = (0, side), (0, radius + 1), (radius, side)
    along = (box(every, first) / box(every, second)).log()
    down = (box(first, every) / box(second, every)).log()
    return torch.hypot(along, down).float()
