"""Images as patches, row by row from the upper left, and back; standardized values of a patch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

FLOOR = 1e-6  # added to a variance, for all values of a patch may be equal


def cut(images: Tensor, side: int) -> Tensor:
    """Return [B, L, side² · C] of images [B, C, H, W]: a patch has row, column, channel, as in MAE."""
    rows = torch.unflatten(torch.unflatten(images, 3, (-1, side)), 2, (-1, side))  # [B, C, h, side, w, side]
    return rows.permute(0, 2, 4, 3, 5, 1).flatten(3, 5).flatten(1, 2)


def join(patches: Tensor, side: int) -> Tensor:
    """Return square images [B, C, H, W] of patches from `cut`."""
    across = math.isqrt(patches.shape[1])
    cells = torch.unflatten(torch.unflatten(patches, 2, (side, side, -1)), 1, (across, across))
    return cells.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def standardize(values: Tensor) -> Tensor:
    """Return the values [..., V] of each patch with mean 0 and (unbiased) variance 1, as MAE's norm_pix_loss does."""
    return (values - values.mean(-1, keepdim=True)) / (values.var(-1, keepdim=True) + FLOOR).sqrt()
