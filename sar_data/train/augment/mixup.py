"""Mixup of neighbours: two samples of a batch become two mixtures, and so do their targets (Zhang et al. 2018).

Partners are the samples at an even and the next odd place of a batch; each pair has its own share. The mixtures are the
same for any even batch size. The last sample of a batch of odd size stays as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sar_data.torch.pinned import sent
from sar_data.train.augment.chance import log_gamma_quantiles, look_up


class Mixup:
    """Mixtures whose share is drawn of Beta(alpha, alpha)."""

    def __init__(self, alpha: float) -> None:
        self._table = log_gamma_quantiles(alpha)

    def shares(self, chance: Tensor) -> Tensor:
        """Return float32 [B]: how much of itself each sample keeps, by two uniform numbers [B, 2] of the even ones.

        Beta(a, a) is G / (G + G′) of two numbers of Gamma(a).
        """
        even = chance[::2].double().add(2.0**-25)  # above 0
        first, second = look_up(self._table, even).unbind(1)
        share = torch.sigmoid(first - second).float().repeat_interleave(2)[: len(chance)]
        if len(chance) % 2:
            share[-1] = 1
        return share


def mix(values: Tensor, shares: Tensor) -> Tensor:
    """Return each sample's share of itself and the rest of its partner, of values [B, …] and shares [B]."""
    paired = len(values) // 2 * 2
    partners = torch.cat(
        [values[:paired].view(-1, 2, *values.shape[1:]).flip(1).view(-1, *values.shape[1:]), values[paired:]]
    )
    return torch.lerp(partners, values, sent(shares, values.device).view(-1, *[1] * (values.ndim - 1)))
