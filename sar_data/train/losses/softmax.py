"""Losses of multiclass tasks: cross entropy, its focal form, and mini-CBL, which weighs by a batch's class counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sar_data.record import IGNORE

BETA = 0.995  # mini-CBL: XAI4SAR/SAR-HUB, Pre-training/src/loss.py
NOTHING = -100  # a target that no class has


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """The mean of (1 - p_y)**gamma · -log p_y over targets that are not ignored; gamma 0 is cross entropy.

    Logits [B, classes, …]; targets int64 [B, …], 255 ignored, or shares float [B, classes, …] that sum to 1. Focal:
    Lin et al. 2017, without alpha. Where all targets are ignored the loss is 0; torch's is NaN.
    """

    classes: int
    gamma: float = 0.0
    linear: bool = True
    length: int = 2

    def sums(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return float64 [2]: the sum of the losses and their number."""
        if target.is_floating_point():
            losses = _weigh(logits, target, self.gamma)
        else:
            loss = F.nll_loss(
                F.log_softmax(logits.float(), 1), target, ignore_index=_ignored_value(self.classes), reduction="none"
            )
            losses = loss if not self.gamma else loss * (-torch.expm1(-loss)) ** self.gamma
        return torch.stack([losses.sum(dtype=torch.float64), self.known(target)[1]])

    def known(self, target: Tensor) -> Tensor:
        """Return float64 [2]: 0 and the number of losses."""
        count = target.sum() if target.is_floating_point() else (target != _ignored_value(self.classes)).sum()
        return torch.stack([torch.zeros_like(count, dtype=torch.float64), count.double()])

    def value(self, sums: Tensor) -> Tensor:
        """Return the mean."""
        return sums[0] / sums[1].clamp_min(1)


@dataclass(frozen=True, slots=True)
class ClassBalanced:
    """mini-CBL: the mean of w_y (1 - p_y)**gamma · -log p_y with w_c = (1 - beta) / (1 - beta**n_c).

    n_c = max(1, samples of class c in the whole batch of all ranks). Each sample has the weight of its class, once;
    SAR-HUB's code reduces to a scalar before the focal factor, so that weights enter twice and as a mean. Logits
    [B, classes]; targets int64 [B], or shares float [B, classes], which count as parts of a sample.
    """

    classes: int
    gamma: float = 0.0
    linear: bool = True

    @property
    def length(self) -> int:
        return 2 * self.classes

    def sums(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return float64 [2 · classes]: the sum of losses of each class, then the samples of each class."""
        losses = _weigh(logits, self._shares(target), self.gamma, keep=True).sum(0, dtype=torch.float64)
        return torch.cat([losses, self.known(target)[self.classes :]])

    def known(self, target: Tensor) -> Tensor:
        """Return float64 [2 · classes]: zeros, then the samples of each class."""
        counts = self._shares(target).sum(0, dtype=torch.float64)
        return torch.cat([torch.zeros_like(counts), counts])

    def value(self, sums: Tensor) -> Tensor:
        """Return the mean over all samples."""
        losses, counts = sums[: self.classes], sums[self.classes :]
        weights = (1 - BETA) / -torch.expm1(counts.clamp_min(1) * math.log(BETA))
        return (weights * losses).sum() / counts.sum().clamp_min(1)

    def _shares(self, target: Tensor) -> Tensor:
        return target if target.is_floating_point() else F.one_hot(target, self.classes).float()


def _weigh(logits: Tensor, shares: Tensor, gamma: float, *, keep: bool = False) -> Tensor:
    """Return share_c (1 - p_c)**gamma · -log p_c, [B, classes, …], or its sum over the classes."""
    loss = -F.log_softmax(logits.float(), 1)
    weighed = shares * loss if not gamma else shares * loss * (-torch.expm1(-loss)) ** gamma
    return weighed if keep else weighed.sum(1)


def _ignored_value(classes: int) -> int:
    """Return the target value that is ignored: 255, unless that is a class."""
    return IGNORE if classes <= IGNORE else NOTHING
