"""Learning rates and the parameters they apply to: pure functions of the progress of the training."""

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
    """Return the share of the highest learning rate after `epochs` epochs: linear warm-up, then half a cosine to 0.

    It depends on the samples consumed, so it is the same for every number of ranks and batch size.
    """
    if epochs < settings.warmup:
        return epochs / settings.warmup
    done = (epochs - settings.warmup) / max(settings.epochs - settings.warmup, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def rate(settings: Tuned, epochs: float) -> float:
    """Return the learning rate after `epochs` epochs: from 0 up to `lr`, then down to `min_lr`."""
    lowest = 0.0 if epochs < settings.warmup else settings.min_lr
    return lowest + (settings.lr - lowest) * share(settings, epochs)


def optimiser(model: nn.Module, encoder: Backbone, settings: Tuned) -> torch.optim.Optimizer:
    """Return the optimiser of all parameters that are trained; raise UsageError where there are none.

    Every group has `scale`, the factor of its learning rate: 1 for the head and the encoder's final norm, `layer_decay`
    for its last block, and one power more for each layer below. AdamW applies no weight decay to biases, norms, nor
    the tokens and positions that timm excludes; SGD applies it to all, as published recipes do.
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
        raise UsageError("there is nothing to train: the head has no parameters and `freeze=True` excludes the encoder")
    if settings.optimiser == "sgd":
        return torch.optim.SGD(list(groups.values()), lr=settings.lr, momentum=MOMENTUM)
    return torch.optim.AdamW(list(groups.values()), lr=settings.lr, betas=settings.betas)
