"""Histograms of oriented gradients as FG-MAE has them (github.com/zhu-xlab/FGMAE at 1144e55, models_mae.py).

They are not those of Dalal and Triggs: gradients are Sobel's and weighted by a Gaussian in windows of 16 pixels, each
pixel votes for one bin, and a cell is normalized alone. A gain of a band, or an offset, changes none of them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

BINS = 9
WINDOW = 16  # pixels that one Gaussian covers
CELLS = 2  # of a patch, down and along


def width(channels: int) -> int:
    """Return how many values a patch has."""
    return channels * BINS * CELLS**2


def histograms(images: Tensor, patch: int) -> Tensor:
    """Return float32 [B, L, C · 9 · 4] of images [B, C, H, W], whose sides windows of 16 pixels and patches tile.

    A patch has channel, bin, row of cells, column of cells. Bins have hard edges, so that sums are of double precision:
    a sum of 0 then has the same sign on every device.
    """
    cell = patch // CELLS
    down, along = _gradients(images.double())
    weight = gaussian().to(images.device).repeat(images.shape[2] // WINDOW, images.shape[3] // WINDOW)
    length = torch.hypot(along, down) * weight
    which = (torch.atan2(along, down) * (BINS / math.pi)).floor().long() % BINS  # along first, as published
    votes = [_cells(torch.where(which == number, length, 0), cell) for number in range(BINS)]
    histograms_of_cells = F.normalize(torch.stack(votes, dim=2), dim=2).flatten(1, 2)  # [B, C · 9, h, w]
    blocks = torch.unflatten(torch.unflatten(histograms_of_cells, 3, (-1, CELLS)), 2, (-1, CELLS))
    return blocks.permute(0, 2, 4, 1, 3, 5).flatten(3, 5).flatten(1, 2).float()


def _gradients(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return Sobel's gradients down and along images whose borders are mirrored."""
    wide = F.pad(images, (1, 1, 1, 1), mode="reflect")
    rows = wide[..., :-2, :] + 2 * wide[..., 1:-1, :] + wide[..., 2:, :]
    columns = wide[..., :-2] + 2 * wide[..., 1:-1] + wide[..., 2:]
    return columns[..., :-2, :] - columns[..., 2:, :], rows[..., :-2] - rows[..., 2:]


def gaussian() -> Tensor:
    """Return float64 [16, 16], the weights of a window, whose sum is 1."""
    place = (torch.arange(WINDOW, dtype=torch.float64) - (WINDOW - 1) / 2) / (WINDOW // 2)
    along = torch.exp(-0.5 * place**2)
    return torch.outer(along, along) / along.sum() ** 2


def _cells(values: Tensor, side: int) -> Tensor:
    """Return the sums [B, C, H / side, W / side] of cells."""
    return torch.unflatten(torch.unflatten(values, 3, (-1, side)).sum(4), 2, (-1, side)).sum(3)
