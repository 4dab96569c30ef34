"""Losses as sums that add up over samples, micro-batches and ranks, and a value of their totals.

The mean of the ranks' means is not the loss of the whole batch where their denominators differ: ignored pixels, counts
of classes, areas in Dice. So a loss here is a short vector of sums, which may be added up in any way, and a function of
the totals; its gradient follows by the chain rule (`backward`). Sums are float64, so that the order of addition makes a
negligible difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from sar_data.spec import MASKED
from sar_data.train.losses.dice import Dice, ImageDice
from sar_data.train.losses.sigmoid import BinaryCrossEntropy
from sar_data.train.losses.softmax import ClassBalanced, CrossEntropy
from sar_data.train.terms import terms

FOCUS = 2.0  # gamma of the focal losses: Lin et al. 2017, SAR-HUB


class Loss(Protocol):
    """Sums that add up, and a value of their totals.

    `linear`: the value is linear in the sums that depend on logits, and all others depend on targets alone, so that
    gradients need only the totals of `known`. `length` is the number of sums.
    """

    @property
    def linear(self) -> bool: ...

    @property
    def length(self) -> int: ...

    def sums(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return float64 [length], differentiable."""

    def known(self, target: Tensor) -> Tensor:
        """Return float64 [length]: the sums that depend on targets alone, 0 for the others."""

    def value(self, sums: Tensor) -> Tensor:
        """Return the scalar loss of totals over everything."""


class Weighted:
    """A weighted sum of several losses of the same logits; their sums are concatenated."""

    def __init__(self, parts: Sequence[tuple[float, Loss]]) -> None:
        self.parts = tuple(parts)
        self.linear = all(part.linear for _, part in self.parts)
        self.length = sum(part.length for _, part in self.parts)

    def sums(self, logits: Tensor, target: Tensor) -> Tensor:
        return torch.cat([part.sums(logits, target) for _, part in self.parts])

    def known(self, target: Tensor) -> Tensor:
        return torch.cat([part.known(target) for _, part in self.parts])

    def value(self, sums: Tensor) -> Tensor:
        pieces = torch.split(sums, [part.length for _, part in self.parts])
        values = [weight * part.value(piece) for (weight, part), piece in zip(self.parts, pieces, strict=True)]
        return torch.stack(values).sum()


LOSSES: dict[tuple[str, str], Callable[[int], Loss]] = {
    ("ce", "multiclass"): CrossEntropy,
    **{("ce", kind): CrossEntropy for kind in MASKED},
    ("focal", "multiclass"): lambda classes: CrossEntropy(classes, FOCUS),
    **{("focal", kind): lambda classes: CrossEntropy(classes, FOCUS) for kind in MASKED},
    ("focal", "multilabel"): lambda classes: BinaryCrossEntropy(FOCUS),
    ("mini-cbl", "multiclass"): ClassBalanced,
    ("mini-cbl-focal", "multiclass"): lambda classes: ClassBalanced(classes, FOCUS),
    **{("dice", kind): Dice for kind in MASKED},
    **{("dice-image", kind): ImageDice for kind in MASKED},
    ("soft-margin", "multilabel"): lambda classes: BinaryCrossEntropy(),
    ("bce", "multilabel"): lambda classes: BinaryCrossEntropy(),
}
"""Name and kind of task → a function that makes the loss for a number of classes."""


def loss(name: str, classes: int, task_kind: str) -> Loss:
    """Return a loss by name, or a weighted sum such as "dice+0.4ce".

    "focal" uses the softmax for multiclass tasks and the sigmoid for multilabel ones. Raises UsageError for a name that
    does not exist or does not fit the kind of task: mini-CBL needs a single class a sample; detectors have losses of
    their own.
    """
    parts = [(weight, LOSSES[term, task_kind](classes)) for weight, term in terms(name, task_kind)]
    return parts[0][1] if len(parts) == 1 and parts[0][0] == 1 else Weighted(parts)


def backward(job_sums: Tensor, totals: Tensor, value: Callable[[Tensor], Tensor], world: int) -> Tensor:
    """Return the scalar whose gradient is this job's part of the gradient of value(totals), times `world`.

    `job_sums` [K] are the differentiable sums of one micro-batch on one rank, `totals` [K] the sums over all of them.
    Call its `.backward()` for every micro-batch: the gradients, averaged over the ranks as DistributedDataParallel
    does, are then those of the whole batch. The value of the scalar has no meaning.
    """
    with torch.enable_grad():
        point = totals.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(value(point), point)
    return (gradient * job_sums).sum() * world
