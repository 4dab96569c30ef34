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


def share(settings: Settings, epochs: float) -> float:
    """Return the share of the highest learning rate after so many epochs: linear warm-up, then half a cosine to 0.

    A function of the samples consumed, so that it is the same for every world and batch size.
    """
    if epochs < settings.warmup:
        return epochs / settings.warmup
    done = (epochs - settings.warmup) / max(settings.epochs - settings.warmup, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def rate(settings: Tuned, epochs: float) -> float:
    """Return the learning rate after so many epochs: from 0 up to `lr`, then down to `min_lr`."""
    lowest = 0.0 if epochs < settings.warmup else settings.min_lr
    return lowest + (settings.lr - lowest) * share(settings, epochs)


def optimiser(model: nn.Module, encoder: Backbone, settings: Tuned) -> torch.optim.Optimizer:
    """Return the optimiser of all that is to be trained.

    Every group has `scale`, the factor of its learning rate: 1 for the head and the encoder's final norm, `layer_decay`
    for its last block, and one power more for each layer below. AdamW decays neither biases nor norms, nor
    the tokens and positions that timm says are not to be; SGD decays all, as published recipes have them.
    """
    layers = encoder.layers()
    scale = {
        id(parameter): settings.layer_decay ** (len(layers) - 1 - number)
        for number, layer in enumerate(layers)
        for parameter in layer
    }
    kept = set(encoder.net.no_weight_decay()) if hasattr(encoder.net, "no_weight_decay") else set()
    spared = {id(parameter) for name, parameter in encoder.net.named_parameters() if name in kept}
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        plain = settings.optimiser == "adamw" and (parameter.ndim < 2 or id(parameter) in spared)
        key = scale.get(id(parameter), 1.0), 0.0 if plain else settings.weight_decay
        group = groups.setdefault(key, {"params": [], "scale": key[0], "weight_decay": key[1]})
        group["params"].append(parameter)
    if not groups:
        raise UsageError("nothing is to be trained: the head has no parameters and `freeze=True` holds the encoder")
    if settings.optimiser == "sgd":
        return torch.optim.SGD(list(groups.values()), lr=settings.lr, momentum=MOMENTUM)
    return torch.optim.AdamW(list(groups.values()), lr=settings.lr, betas=settings.betas)
