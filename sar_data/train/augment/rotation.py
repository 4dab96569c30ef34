"""Small rotations about the centre, as in published recipes: no build declares them as a symmetry.

As torchvision's RandomRotation by default: the nearest pixel, and a fill value outside the image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sar_data.record import IGNORE
from sar_data.torch.pinned import sent


def rotate(images: Tensor, degrees: Tensor, fill: float) -> Tensor:
    """Return images [B, C, H, W] turned counter-clockwise by `degrees` [B]."""
    height, width = images.shape[-2:]
    angle = torch.deg2rad(degrees.double())
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # Both axes of the grid run from -1 to 1, so that the ratio of the sides is a factor.
    rows = [torch.stack([cos, -sin * height / width, zero], 1), torch.stack([sin * width / height, cos, zero], 1)]
    grid = F.affine_grid(torch.stack(rows, 1).float(), [len(images), 1, height, width], align_corners=False)
    # What lies outside is read as 0; a channel of ones tells where that is.
    marked = torch.cat([images, torch.ones_like(images[:, :1])], dim=1)
    turned = F.grid_sample(marked, sent(grid, images.device), mode="nearest", align_corners=False)
    return torch.where(turned[:, -1:] > 0, turned[:, :-1], fill)


def rotate_masks(masks: Tensor, degrees: Tensor) -> Tensor:
    """Return masks int64 [B, H, W] turned alike, 255 outside the turned mask."""
    return rotate(masks.unsqueeze(1).float(), degrees, float(IGNORE)).squeeze(1).round().long()
