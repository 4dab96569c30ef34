"""Losses of rotated boxes as Gaussians: differentiable where overlaps are not, and equal for all angles of a square.

A box is a Gaussian with its centre as mean and Σ = R diag(w²/4, h²/4) Rᵀ. Nothing here multiplies matrices, which
autocast would do in half precision.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sar_data.train.rotated.boxes import axes

LEAST = 1e-7  # under a root, whose gradient is infinite at 0
BETA = 1 / 9  # where the loss of centres becomes linear


def covariances(boxes: Tensor) -> Tensor:
    """Return Σ [n, 2, 2] of boxes [n, 5]."""
    halves = (axis * boxes[:, i, None] / 2 for axis, i in zip(axes(boxes), (2, 3), strict=True))
    along, across = (half[:, :, None] * half[:, None, :] for half in halves)
    return along + across


def wasserstein(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the squared Gaussian Wasserstein distance [n] of boxes and others, pair by pair (Yang et al. 2021).

    |Δμ|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁^½ Σ₂ Σ₁^½)^½, whose last trace is √(tr Σ₁Σ₂ + 2 √(det Σ₁ det Σ₂)) in two
    dimensions.
    """
    first, second = covariances(boxes), covariances(others)
    trace = (first * second).sum(dim=(1, 2))  # of the product, for both are symmetric
    cross = (trace + 2 * _area(boxes) * _area(others) / 16).clamp(min=LEAST).sqrt()
    spread = (boxes[:, 2:4].square().sum(dim=1) + others[:, 2:4].square().sum(dim=1)) / 4
    return (boxes[:, :2] - others[:, :2]).square().sum(dim=1) + (spread - 2 * cross).clamp(min=0)


def gwd_loss(boxes: Tensor, others: Tensor) -> Tensor:
    """Return 1 − 1 / (1 + ln(1 + D)) [n], D the distance in sides of a square of both boxes' mean area."""
    side = (_area(boxes) * _area(others)).clamp(min=LEAST).sqrt().sqrt()
    distance = wasserstein(boxes, others).clamp(min=LEAST).sqrt() / side
    return 1 - 1 / (1 + torch.log1p(distance))


def kalman_overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Return KFIoU [n] of boxes and others, pair by pair, 0 to 1/3: the overlap by a Kalman filter.

    Centres do not count (Yang et al. 2023). Σ = Σ₁ − KΣ₁ with K = Σ₁(Σ₁ + Σ₂)⁻¹, so that √det Σ is
    √(det Σ₁ det Σ₂ / det(Σ₁ + Σ₂)).
    """
    (a, b), (c, d) = (covariances(boxes) + covariances(others)).permute(1, 2, 0)
    summed = (a * d - b * c).clamp(min=LEAST)
    first, second = _area(boxes), _area(others)
    shared: Tensor = first * second / 4 / summed.sqrt()
    return shared / (first + second - shared).clamp(min=LEAST)


def kfiou_loss(boxes: Tensor, others: Tensor) -> Tensor:
    """Return −ln 3 KFIoU [n], plus the smooth L1 distance of the centres in sides of a square of the others' area."""
    side = _area(others).clamp(min=LEAST).sqrt()[:, None]
    apart = F.smooth_l1_loss(boxes[:, :2] / side, others[:, :2] / side, reduction="none", beta=BETA).sum(dim=1)
    return apart - (3 * kalman_overlaps(boxes, others)).clamp(min=LEAST).log()


def _area(boxes: Tensor) -> Tensor:
    """Return [n]; it is 4 √det Σ."""
    return boxes[:, 2] * boxes[:, 3]


LOSSES = {"gwd": gwd_loss, "kfiou": kfiou_loss}
