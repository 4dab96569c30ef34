"""Dice loss: 1 minus the overlap of predicted and true areas by class, over the whole batch or in each image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sar_data.record import IGNORE


@dataclass(frozen=True, slots=True)
class Dice:
    """The mean of 1 - 2 I_c / (P_c + T_c) over the classes that the batch of all ranks has; Milletari et al. 2016.

    I, P and T are sums over all pixels that are not ignored: of the true class's probability, of the probability, of
    the truth. It equals DiceLoss of segmentation_models_pytorch ("multiclass", smooth 0) where every class is present;
    that loss also counts absent classes in the mean. Logits [B, classes, H, W], targets int64 [B, H, W].
    """

    classes: int
    linear: bool = False

    @property
    def length(self) -> int:
        return 3 * self.classes

    def sums(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return float64 [3 · classes]: I, P and T of every class."""
        true = _true(target, self.classes)
        share = logits.float().softmax(1) * (target != IGNORE).unsqueeze(1)
        return torch.cat([_over(share * true), _over(share), _over(true)])

    def known(self, target: Tensor) -> Tensor:
        """Return float64 [3 · classes]: zeros, zeros and T."""
        return F.pad(_over(_true(target, self.classes)), (2 * self.classes, 0))

    def value(self, sums: Tensor) -> Tensor:
        """Return the mean over the classes that are present."""
        both, predicted, true = sums.view(3, self.classes)
        present = true > 0
        lost = 1 - 2 * both / torch.where(present, predicted + true, 1.0)
        mean: Tensor = (lost * present).sum() / present.sum().clamp_min(1)
        return mean


@dataclass(frozen=True, slots=True)
class ImageDice:
    """MMSegmentation's Dice: the mean over images and classes of 1 - (2 I + 1) / (P + T + 1).

    I, P and T are sums over an image's pixels that are not ignored: of the true class's probability, of the squared
    probability, of the truth (mmseg/models/losses/dice_loss.py, where P and T include ignored pixels). Classes that an
    image does not have count, too. Logits [B, classes, H, W], targets int64 [B, H, W].
    """

    classes: int
    linear: bool = True
    length: int = 2

    def sums(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return float64 [2]: the sum over images of the mean over classes, and the number of images."""
        true = _true(target, self.classes)
        share = logits.float().softmax(1) * (target != IGNORE).unsqueeze(1)
        pixels = tuple(range(2, share.ndim))
        both, areas = (share * true).sum(pixels), (share.square() + true).sum(pixels)
        lost = (1 - (2 * both + 1) / (areas + 1)).mean(1)
        return torch.stack([lost.sum(dtype=torch.float64), self.known(target)[1]])

    def known(self, target: Tensor) -> Tensor:
        """Return float64 [2]: 0 and the number of images."""
        return torch.tensor([0.0, len(target)], dtype=torch.float64, device=target.device)

    def value(self, sums: Tensor) -> Tensor:
        """Return the mean."""
        return sums[0] / sums[1].clamp_min(1)


def _true(target: Tensor, count: int) -> Tensor:
    """Return bool [B, classes, ...]: whether a pixel is of a class."""
    classes = torch.arange(count, device=target.device).view(-1, *[1] * (target.ndim - 1))
    true: Tensor = target.unsqueeze(1) == classes
    return true


def _over(values: Tensor) -> Tensor:
    """Return [classes]: the sum over samples and pixels."""
    return values.sum((0, *range(2, values.ndim)), dtype=torch.float64)
