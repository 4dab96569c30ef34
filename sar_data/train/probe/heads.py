"""Many linear heads on the same features, trained together, each with its own learning rate and weight decay.

Heads with the same input share its reading, its batch statistics and one matrix product a step, forwards and
backwards. Otherwise they are independent: a head's result does not depend on the others. Weights are [classes, heads,
features] and logits [classes, heads, B]: softmax and updates then use whole vector registers, and the products are
fast for few heads, too. With the classes last a softmax takes 13 times as long.

Where classes exclude each other, only differences between them count, and gradients sum to zero over the classes.
Weights that sum to zero at first do so after every step of SGD: those of the last class are minus the sum of the
others, and are not stored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sar_data.stream.bits import Purpose, mix

MOMENTUM = 0.9
BETAS, EPSILON = (0.9, 0.999), 1e-8  # of AdamW, as torch has them
TINY = torch.finfo(torch.float32).tiny  # so that a loss is at most 87: it is for the log, and no gradient depends on it
BATCH_EPSILON, BATCH_MOMENTUM = 1e-6, 0.1  # FG-MAE's BatchNorm1d(affine=False, eps=1e-6)


class Linear(NamedTuple):
    """One trained head: logits are features · weight + bias, batch statistics folded in."""

    weight: Tensor  # [features, classes]
    bias: Tensor  # [classes]

    def to(self, device: torch.device) -> Linear:
        """Return the head on a device."""
        return Linear(self.weight.to(device), self.bias.to(device))

    def logits(self, features: Tensor) -> Tensor:
        """Return logits [B, classes] of features [B, features]."""
        # As columns: few classes take a third of the time that way.
        return torch.addmm(self.bias[:, None], self.weight.t(), features.t()).t()


def initial(features: int, classes: int, seed: int, device: torch.device | None = None) -> Tensor:
    """Return initial weights [features, classes]."""
    draw = torch.Generator().manual_seed(mix(Purpose.HEADS, seed) >> 1)
    return nn.init.trunc_normal_(torch.empty(features, classes), std=0.01, generator=draw).to(device)


class Heads:
    """Heads on one pooling; all begin with the weights `first` [features, classes], which are on the device.

    grid       learning rate and weight decay of each head
    norm       batch statistics (BatchNorm without weights) before the linear layer
    several    classes do not exclude each other: multilabel soft margin, otherwise cross-entropy
    optimiser  "sgd" with momentum 0.9, which decays weights and biases as published probes do, or "adamw", which decays
               weights alone
    half       matrix products in bfloat16 while training, which take most of the time; weights stay float32
    """

    def __init__(
        self,
        first: Tensor,
        grid: Sequence[tuple[float, float]],
        *,
        norm: bool,
        several: bool,
        optimiser: str = "sgd",
        half: bool = False,
    ) -> None:
        (features, classes), device = first.shape, first.device
        self._dtype = torch.bfloat16 if half else torch.float32
        self._several = several
        self._adam = optimiser == "adamw"
        self._classes = classes
        count = classes if several or self._adam else classes - 1
        if count < classes:
            first = first - first.mean(dim=1, keepdim=True)
        self.weight = first.t()[:count, None].repeat(1, len(grid), 1)
        self.bias = torch.zeros(count, len(grid), 1, device=device)
        self._lrs, self._decays = torch.tensor(grid, dtype=torch.float32, device=device).t()[:, :, None].unbind()
        self._decaying = any(decay for _, decay in grid)
        self._moments = [torch.zeros_like(value) for value in (self.weight, self.bias) for _ in range(1 + self._adam)]
        self._steps = 0
        self._mean = torch.zeros(features, device=device) if norm else None
        self._var = torch.ones(features, device=device)

    def step(self, features: Tensor, target: Tensor, scale: float) -> Tensor:
        """Take one step of every head at `scale` of its learning rate; return the losses [heads] before it.

        features float32 [B, features]; target int64 [B], or float32 [B, classes] with `several`.
        """
        inputs = self._standardise(features).to(self._dtype)
        losses, slope = self._loss(self._product(inputs, self.weight, self.bias), target)
        self._steps += 1
        stored = slope[: len(self.weight)].flatten(0, 1)
        (self._adamw if self._adam else self._sgd)(inputs, stored, self._lrs * scale)
        return losses

    def losses(self, features: Tensor, target: Tensor) -> Tensor:
        """Return the loss [heads] of a batch in evaluation mode."""
        return self._loss(self.logits(features), target)[0]

    def logits(self, features: Tensor) -> Tensor:
        """Return logits [classes, heads, B] in evaluation mode."""
        if self._mean is None:
            return self._product(features, self.weight, self.bias)
        weight = self.weight * (self._var + BATCH_EPSILON).rsqrt()
        return self._product(features, weight, self.bias - (weight @ self._mean)[:, :, None])

    def linear(self, number: int) -> Linear:
        """Return a head with its batch statistics folded into weight and bias."""
        weight = self._whole(self.weight[:, number].double()).t()
        bias = self._whole(self.bias[:, number, 0].double())
        if self._mean is not None:
            weight = weight * (self._var.double() + BATCH_EPSILON).rsqrt()[:, None]
            bias = bias - self._mean.double() @ weight
        return Linear(weight.float().contiguous(), bias.float())

    def _product(self, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        flat = weight.flatten(0, 1).to(inputs.dtype)
        return self._whole((flat @ inputs.t()).float().add_(bias.flatten(0, 1)).view(*bias.shape[:2], len(inputs)))

    def _whole(self, stored: Tensor) -> Tensor:
        """Return values [classes, …]; those of the last class come from the others where they are not stored."""
        return stored if len(stored) == self._classes else torch.cat((stored, -stored.sum(dim=0, keepdim=True)))

    def _standardise(self, features: Tensor) -> Tensor:
        """Return features standardised by the batch's mean and variance, which are recorded for two samples or more."""
        if self._mean is None:
            return features
        mean, var = (self._mean, self._var) if len(features) > 1 else (None, None)
        return torch.batch_norm(features, None, None, mean, var, True, BATCH_MOMENTUM, BATCH_EPSILON, False)

    def _loss(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean loss [heads], and the gradient [classes, heads, B] of its sum over samples and classes."""
        if self._several:
            truth = target.t()[:, None]
            losses = (nn.functional.softplus(logits) - logits * truth).mean(dim=(0, 2))
            return losses, logits.sigmoid_().sub_(truth)
        place = target.expand(1, logits.shape[1], -1)
        likely = logits.softmax(dim=0)
        right = likely.gather(0, place)
        likely.scatter_(0, place, right - 1)
        return -right.clamp_min_(TINY).log_().mean(dim=(0, 2)), likely

    def _share(self, count: int) -> float:
        """Return the weight of a sample's gradient in the mean."""
        return 1 / (count * self._classes if self._several else count)

    def _sgd(self, inputs: Tensor, slope: Tensor, lrs: Tensor) -> None:
        share = self._share(len(inputs))
        weights, biases = self._moments
        if inputs.dtype == slope.dtype:
            weights.flatten(0, 1).addmm_(slope, inputs, beta=MOMENTUM, alpha=share)
        else:
            weights.mul_(MOMENTUM).add_((slope.to(inputs.dtype) @ inputs).view_as(weights), alpha=share)
        biases.mul_(MOMENTUM).add_(slope.sum(dim=1).view_as(biases), alpha=share)
        for value, moment in ((self.weight, weights), (self.bias, biases)):
            if self._decaying:
                moment.addcmul_(value, self._decays)
            value.addcmul_(moment, lrs, value=-1)

    def _adamw(self, inputs: Tensor, slope: Tensor, lrs: Tensor) -> None:
        self.weight.mul_(1 - lrs * self._decays)
        share = self._share(len(inputs))
        product = (slope.to(inputs.dtype) @ inputs).float()
        gradients = product.mul_(share).view_as(self.weight), slope.sum(dim=1).mul_(share).view_as(self.bias)
        flat = 1 - BETAS[0] ** self._steps, math.sqrt(1 - BETAS[1] ** self._steps)
        moments = self._moments[:2], self._moments[2:]
        for value, gradient, (first, second) in zip((self.weight, self.bias), gradients, moments, strict=True):
            first.lerp_(gradient, 1 - BETAS[0])
            second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            value.sub_(first / (second.sqrt() / flat[1]).add_(EPSILON) * (lrs / flat[0]))
