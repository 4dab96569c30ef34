"""Losses as sums that add up over samples, micro-batches and ranks, and a value of their totals.

The mean of the ranks' means is not the loss of the whole batch wherever denominators differ between them: pixels that
are ignored, counts of classes, areas in Dice. So a loss here is a short vector of sums, which may be added up over
anything, and a function of the totals; its gradient follows by the chain rule (`backward`). Sums are float64, so that
the order in which they are added makes no difference worth a name.
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

FOCUS = 2.0  # gamma of the focal forms: Lin et al. 2017, SAR-HUB


class Loss(Protocol):
    """Sums that add up, and a value of their totals.

    `linear`: the value is linear in the sums that depend on logits, and all others depend on targets alone, so that
    gradients are right as soon as the totals of `known` are. `length` is how many sums there are.
    """

    @property
    def linear(self) -> bool: ...

    @property
    def length(self) -> int: ...

    def sums(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return float64 [length], differentiable."""

    def known(self, target: Tensor) -> Tensor:
        """Return float64 [length]: the sums that targets alone decide, 0 elsewhere."""

    def value(self, sums: Tensor) -> Tensor:
        """Return the scalar loss of totals over everything."""


class Weighted:
    """Several losses of the same logits, added with a weight each; the sums of one after those of the other."""

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
"""Name and kind of task → how the loss is made of the number of classes."""


def loss(name: str, classes: int, task_kind: str) -> Loss:
    """Return a loss by name, or a weighted sum such as "dice+0.4ce".

    "focal" is by softmax for one class out of several and by sigmoid for any number. UsageError for a name that does
    not exist or does not fit the kind of task: mini-CBL weighs a sample by its one class; detectors bring their own.
    """
    parts = [(weight, LOSSES[one, task_kind](classes)) for weight, one in terms(name, task_kind)]
    return parts[0][1] if len(parts) == 1 and parts[0][0] == 1 else Weighted(parts)


def backward(job_sums: Tensor, totals: Tensor, value: Callable[[Tensor], Tensor], world: int) -> Tensor:
    """Return the scalar whose gradient is this job's part of the gradient of value(totals), times `world`.

    `job_sums` [K] are the differentiable sums of one micro-batch on one rank, `totals` [K] the sums over all of them.
    Call `.backward()` of it for every micro-batch: gradients that are then averaged over the ranks, as
    DistributedDataParallel does, are those of the whole batch at once. The scalar's own value means nothing.
    """
    with torch.enable_grad():
        point = totals.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(value(point), point)
    return (gradient * job_sums).sum() * world
