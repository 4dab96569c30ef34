"""Logistic regression by L-BFGS: a convex probe, with a penalty instead of a learning rate.

The objective is scikit-learn's, C · Σ loss + ½ ‖weights‖², divided by C · n; biases have no penalty. Features are
standardised by their means and deviations first, so that a value of C means the same for every encoder.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sar_data.train.probe.heads import Linear

ITERATIONS = 300
FLAT = 1e-4  # gradients up to this count as zero: scikit-learn's default
SMALLEST = 1e-6  # a feature with a smaller deviation counts as constant

_log = logging.getLogger("sar_data.train")


def fit(features: Tensor, targets: Tensor, penalties: Sequence[float], *, classes: int) -> list[Linear]:
    """Return the regression for each inverse penalty C, for features that are not standardised.

    features float32 [n, D]; targets int64 [n] (multinomial) or zeros and ones [n, classes] (a regression a class).
    Each C starts from the result of the smaller one. A regression that does not converge is used, with a warning.
    """
    deviation, mean = torch.std_mean(features, dim=0, correction=0)
    scale = torch.where(deviation > SMALLEST, 1 / deviation.clamp_min(SMALLEST), 0.0)
    inputs = (features - mean) * scale
    weight = torch.zeros(features.shape[1], classes, device=features.device, requires_grad=True)
    bias = torch.zeros(classes, device=features.device, requires_grad=True)
    results: list[Linear] = [Linear(weight, bias)] * len(penalties)
    for place in sorted(range(len(penalties)), key=lambda i: penalties[i]):
        _descend(inputs, targets, weight, bias, penalties[place])
        folded = weight.detach() * scale[:, None]
        results[place] = Linear(folded, bias.detach() - mean @ folded)
    return results


def _descend(inputs: Tensor, targets: Tensor, weight: Tensor, bias: Tensor, penalty: float) -> None:
    """Move weight and bias to the minimum of the objective."""
    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=ITERATIONS,
        tolerance_grad=FLAT,
        tolerance_change=1e-9,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimiser.zero_grad()
        logits = torch.addmm(bias, inputs, weight)
        if targets.ndim == 1:
            loss = F.cross_entropy(logits, targets)
        else:
            loss = F.binary_cross_entropy_with_logits(logits, targets.float(), reduction="none").sum(dim=1).mean()
        loss = loss + 0.5 / (penalty * len(inputs)) * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(objective)  # type: ignore[no-untyped-call]
    steps = optimiser.state[weight]["n_iter"]
    if steps >= ITERATIONS:
        _log.warning("logistic regression, C %g: not converged after %d iterations, used as it is", penalty, steps)
