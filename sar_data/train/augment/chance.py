"""Numbers of a gamma distribution from uniform ones, by a table of quantiles: the same numbers on every device.

Rejection samplers use a varying count of random numbers; a quantile function takes exactly one. Its logarithm is
smooth in the logit of the probability, also far out in the tails, so that a table with linear interpolation is enough.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

EDGE = 17.5  # logits beyond those of 24-bit numbers
STEPS = 8192  # intervals: the largest error of the logarithm is below 1e-5 for shapes from 0.1 on
ROUNDS = 48  # halvings of an interval that is a few hundred wide at most: its width is then 1e-12


def log_gamma_quantiles(shape: float) -> Tensor:
    """Return float64 [STEPS + 1]: log quantiles of Gamma(shape, scale 1) at equally spaced logits, -EDGE to EDGE."""
    logits = torch.linspace(-EDGE, EDGE, STEPS + 1, dtype=torch.float64)
    at = torch.tensor(shape, dtype=torch.float64)
    # P(a, x) <= x**a / Gamma(a + 1) bounds the quantile from below; twelve standard deviations bound it from above.
    low = (torch.nn.functional.logsigmoid(logits) + math.lgamma(shape + 1)) / shape - 1e-9
    high = torch.full_like(logits, math.log(shape + 12 * math.sqrt(shape) + 60))
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        value = middle.exp()
        # The smaller of the two tails is the more exact one.
        below = torch.special.gammainc(at, value) < logits.sigmoid()
        above = torch.special.gammaincc(at, value) > (-logits).sigmoid()
        short = torch.where(logits < 0, below, above)
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return (low + high) / 2


def look_up(table: Tensor, uniform: Tensor) -> Tensor:
    """Return the table's value at the logit of numbers above 0 and below 1, of the table's type and on its device."""
    place = (torch.logit(uniform).add_(EDGE)).mul_(STEPS / (2 * EDGE))
    first = place.long().clamp_(0, STEPS - 1)
    return torch.lerp(table[first], table[first + 1], (place - first).to(table.dtype))
