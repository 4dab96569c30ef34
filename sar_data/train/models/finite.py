"""A check that weights are finite: with one NaN among them a network's outputs mean nothing."""

from __future__ import annotations

from torch import nn


def not_finite(network: nn.Module) -> str | None:
    """Return the name of the first weight of a network that is not finite everywhere, None where all are."""
    state = network.state_dict()
    return next((name for name, value in state.items() if not bool(value.isfinite().all())), None)
