"""How much noise each cell of an image tolerates before the features of an encoder change.

The idea is SAR-HUB's (Remote Sens. 2023, 15(23), 5534), computed here for each image by itself: log σ of each cell is
optimised so that D - α · mean H is least. D is the mean square change of the features under noise, over their variance,
averaged over draws; H = ln σ + ½ ln 2πe is the entropy of a cell's noise. σ is counted in standard deviations of the
image's own band, in raw values, and lies between a thousandth and one of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

ALPHA = 0.25  # SAR-HUB's weight of the entropy
LEAST, MOST, FIRST = math.log(1e-3), 0.0, math.log(0.1)  # of log σ
RATE = 0.1  # of Adam: from FIRST to MOST are 23 steps
GAUSS = 0.5 * math.log(2 * math.pi * math.e)


def entropies(
    features: Callable[[Tensor], Tensor], images: Tensor, *, cells: int, draws: int, steps: int, seed: int
) -> Tensor:
    """Return the entropy of the noise that cells tolerate, float32 [B, cells, cells], of raw images [B, C, H, W].

    `features` maps raw images to anything of the batch's size, and is differentiated. Pixels without data are NaN and
    stay so. The same seed gives the same noise.
    """
    count, device = len(images), images.device
    draw = torch.Generator(device).manual_seed(seed)
    spread = _spread(images)
    with torch.no_grad():
        truth = features(images).flatten(1)
        scale = truth.var(dim=1, unbiased=False).clamp_min(1e-12)
    logs = torch.full((count, 1, cells, cells), FIRST, device=device, requires_grad=True)
    optimiser = torch.optim.Adam([logs], lr=RATE)
    for _ in range(steps):
        gradient = torch.full_like(logs, -ALPHA / cells**2)  # of the entropy; each image has its own loss
        for _ in range(draws):  # one at a time: the loss is averaged, not the noise
            noise = torch.randn(images.shape, generator=draw, device=device) * spread
            moved = features(images + noise * F.interpolate(logs.exp(), images.shape[-2:], mode="nearest"))
            change = (moved.flatten(1) - truth).square().mean(dim=1) / scale
            gradient += torch.autograd.grad(change.sum() / draws, logs)[0]
        logs.grad = gradient
        optimiser.step()
        with torch.no_grad():
            logs.clamp_(LEAST, MOST)
    return logs.detach()[:, 0] + GAUSS


def _spread(images: Tensor) -> Tensor:
    """Return the standard deviation [B, C, 1, 1] of each band's valid pixels, 1 where they are all equal."""
    known = images.isfinite()
    count = known.sum((2, 3), keepdim=True).clamp_min(1)
    filled = torch.where(known, images, 0.0)
    mean = filled.sum((2, 3), keepdim=True) / count
    variance = (torch.where(known, images - mean, 0.0).square()).sum((2, 3), keepdim=True) / count
    return torch.where(variance > 0, variance.sqrt(), 1.0)
