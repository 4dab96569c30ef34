"""Dice: how little predicted and true areas overlap, class by class over the whole batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sar_data.record import IGNORE


@dataclass(frozen=True, slots=True)
class Dice:
    """The mean of 1 - 2 I_c / (P_c + T_c) over the classes that the batch of all ranks has; Milletari et al. 2016.

    I, P and T are sums over all pixels that are not ignored: of the probability where it is true, of all probability,
    of the truth. It is segmentation_models_pytorch's DiceLoss ("multiclass", smooth 0) where every class is present;
    that one divides by absent classes, too. mmseg's form, per image and with squares, is another. Logits
    [B, classes, H, W], targets int64 [B, H, W].
    """

    classes: int
    linear: bool = False

    @property
    def length(self) -> int:
        return 3 * self.classes

    def sums(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return float64 [3 · classes]: I, P and T of every class."""
        true = self._true(target)
        share = logits.float().softmax(1) * (target != IGNORE).unsqueeze(1)
        return torch.cat([_over(share * true), _over(share), _over(true)])

    def known(self, target: Tensor) -> Tensor:
        """Return float64 [3 · classes]: zeros, zeros and T."""
        return F.pad(_over(self._true(target)), (2 * self.classes, 0))

    def value(self, sums: Tensor) -> Tensor:
        """Return the mean over the classes that are present."""
        both, predicted, true = sums.view(3, self.classes)
        present = true > 0
        lost = 1 - 2 * both / torch.where(present, predicted + true, 1.0)
        mean: Tensor = (lost * present).sum() / present.sum().clamp_min(1)
        return mean

    def _true(self, target: Tensor) -> Tensor:
        classes = torch.arange(self.classes, device=target.device).view(-1, *[1] * (target.ndim - 1))
        true: Tensor = target.unsqueeze(1) == classes
        return true


def _over(values: Tensor) -> Tensor:
    """Return [classes]: the sum over samples and pixels."""
    return values.sum((0, *range(2, values.ndim)), dtype=torch.float64)
