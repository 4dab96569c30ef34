"""Learning rates and what they apply to: pure functions of how far the training is."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from sar_data.errors import UsageError
from sar_data.train.models.encoder import Backbone
from sar_data.train.settings import Settings, Tuned

MOMENTUM = 0.9


def rate(settings: Settings, epochs: float) -> float:
    """Return the learning rate after so many epochs: linear warm-up, then half a cosine down to `min_lr`.

    A function of the samples consumed, so that it is the same for every world and batch size.
    """
    if epochs < settings.warmup:
        return settings.lr * epochs / settings.warmup
    left = max(settings.epochs - settings.warmup, 1e-9)
    share = min((epochs - settings.warmup) / left, 1.0)
    return settings.min_lr + (settings.lr - settings.min_lr) * 0.5 * (1 + math.cos(math.pi * share))


def optimiser(model: nn.Module, encoder: Backbone, settings: Tuned) -> torch.optim.Optimizer:
    """Return the optimiser of all that is to be trained.

    Every group has `scale`, the factor of its learning rate: 1 for the head and the encoder's final norm, `layer_decay`
    for its last block, and one power more for each layer below. AdamW decays neither biases nor norms, SGD all, as
    published recipes have them.
    """
    layers = encoder.layers()
    scale = {
        id(parameter): settings.layer_decay ** (len(layers) - 1 - number)
        for number, layer in enumerate(layers)
        for parameter in layer
    }
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        plain = settings.optimiser == "adamw" and parameter.ndim < 2
        key = scale.get(id(parameter), 1.0), 0.0 if plain else settings.weight_decay
        group = groups.setdefault(key, {"params": [], "scale": key[0], "weight_decay": key[1]})
        group["params"].append(parameter)
    if not groups:
        raise UsageError("nothing is to be trained: the head has no parameters and --freeze holds the encoder")
    if settings.optimiser == "sgd":
        return torch.optim.SGD(list(groups.values()), lr=settings.lr, momentum=MOMENTUM)
    return torch.optim.AdamW(list(groups.values()), lr=settings.lr)
