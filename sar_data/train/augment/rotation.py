"""Small rotations about the centre, as published recipes have them: no build declares one.

As torchvision's RandomRotation by default: the nearest pixel, and a fill where the image does not reach.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sar_data.record import IGNORE
from sar_data.torch.pinned import sent


def rotated(images: Tensor, degrees: Tensor, fill: float) -> Tensor:
    """Return images [B, C, H, W] turned counter-clockwise by `degrees` [B]."""
    height, width = images.shape[-2:]
    angle = torch.deg2rad(degrees.double())
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # Both axes of the grid run from -1 to 1, so that the ratio of the sides comes in.
    rows = [torch.stack([cos, -sin * height / width, zero], 1), torch.stack([sin * width / height, cos, zero], 1)]
    grid = F.affine_grid(torch.stack(rows, 1).float(), [len(images), 1, height, width], align_corners=False)
    # What lies outside is read as 0; a channel of ones tells where that is.
    told = torch.cat([images, torch.ones_like(images[:, :1])], dim=1)
    found = F.grid_sample(told, sent(grid, images.device), mode="nearest", align_corners=False)
    return torch.where(found[:, -1:] > 0, found[:, :-1], fill)


def rotated_masks(masks: Tensor, degrees: Tensor) -> Tensor:
    """Return masks int64 [B, H, W] turned alike, 255 where they do not reach."""
    return rotated(masks.unsqueeze(1).float(), degrees, float(IGNORE)).squeeze(1).round().long()
