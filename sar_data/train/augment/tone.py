"""DRAE: SAR-HUB's tone mapping, drawn for every training image, and at its midpoint in evaluation.

XAI4SAR/SAR-HUB, Pre-training/src/transform.py (in its history at be86fdf): a percentile stretch ("PTLS") for
Sentinel-1, the mapping of Reinhard & Devlin 2005 for amplitudes. Its z-scores afterwards, whose "std" look like
variances, are left out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sar_data.torch.pinned import sent

MEAN, ADAPTATION = 0.169, 1e-4  # Reinhard-Devlin: u and l
EXPOSURE = (3.5, 4.5)  # Reinhard-Devlin: b


def stretch(images: Tensor, chance: Tensor, percent: float) -> Tensor:
    """Return images [B, C, H, W] in 0 … 1 between their own percentiles; pixels without data, which are NaN, stay.

    Each sample is clipped at p and 100 - p percent, p = `chance` [B] · `percent`. A chance of 0.5 is the published test
    transform, and of 2 percent the normalization "sarhub".
    """
    values = images.flatten(2)
    last = values.isfinite().sum(-1, keepdim=True).sub_(1).clamp_min_(0)
    ascending = torch.where(values.isfinite(), values, torch.nan).sort(-1).values
    share = (sent(chance, images.device).double() * percent / 100).view(-1, 1, 1)
    low, high = (_at(ascending, last, part).unsqueeze(-1) for part in (share, 1 - share))
    span = torch.where(high > low, high - low, 1.0)
    return (images.clamp(low, high) - low).div_(span)


def _at(ascending: Tensor, last: Tensor, share: Tensor) -> Tensor:
    """Return the quantiles [B, C, 1], interpolated between order statistics as numpy's default does."""
    at = last * share
    rank = at.long()
    low, high = (ascending.gather(-1, place).double() for place in (rank, torch.minimum(rank + 1, last)))
    return (low + (high - low) * (at - rank)).float()


def compress(images: Tensor, chance: Tensor) -> Tensor:
    """Return amplitudes [B, C, H, W] in 0 … 1 with their highlights compressed; pixels without data, NaN, stay.

    I / (I + (b Ia)**m) with Ia = l I + (1 - l) u and m = 0.3 + 0.7 ((1 - u) / (1 - min I))**1.4. `chance` [B] in 0 … 1
    is where within EXPOSURE b is drawn; 0.5 is the published test transform.
    """
    exposure = EXPOSURE[0] + (EXPOSURE[1] - EXPOSURE[0]) * sent(chance, images.device).view(-1, 1, 1, 1)
    amplitude = images.clamp(0, 1)
    least = amplitude.nan_to_num(nan=1.0).amin((2, 3), keepdim=True).clamp_max(0.999)
    power = 0.3 + 0.7 * ((1 - MEAN) / (1 - least)) ** 1.4
    adapted = ADAPTATION * amplitude + (1 - ADAPTATION) * MEAN
    return amplitude / (amplitude + (exposure * adapted) ** power)
