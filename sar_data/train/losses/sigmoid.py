"""Losses of multilabel tasks: each class is decided independently."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class BinaryCrossEntropy:
    """The mean over samples and classes of (1 - p_t)**gamma · -log p_t, where p_t is the probability of the truth.

    gamma 0 is binary cross entropy, which torch's MultiLabelSoftMarginLoss equals; otherwise the sigmoid focal loss of
    Lin et al. 2017 without alpha. Logits and targets [B, classes]; targets may lie between 0 and 1.
    """

    gamma: float = 0.0
    linear: bool = True
    length: int = 2

    def sums(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return float64 [2]: the sum over samples of the mean over classes, and the number of samples."""
        logits, target = logits.float(), target.float()
        losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        if self.gamma:
            probability = logits.sigmoid()
            losses = losses * (probability + target - 2 * probability * target) ** self.gamma
        return torch.stack([losses.mean(1).sum(dtype=torch.float64), self.known(target)[1]])

    def known(self, target: Tensor) -> Tensor:
        """Return float64 [2]: 0 and the number of samples."""
        return F.pad(torch.full((1,), len(target), dtype=torch.float64, device=target.device), (1, 0))

    def value(self, sums: Tensor) -> Tensor:
        """Return the mean."""
        return sums[0] / sums[1].clamp_min(1)
