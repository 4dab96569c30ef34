"""Dilation: a convolutional encoder whose last stages stay at stride 8, as DeepLabv3 requires.

Convolutions behind an omitted stride are dilated by it, so that each reads the same pixels as before: the new map has
the old values at the old pixels, and new ones between them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sar_data.errors import UsageError
from sar_data.train.models.encoder import Backbone

STRIDE = 8
SIDE = 64  # of the image that shows at which stride each module works
POOLS = (nn.MaxPool2d, nn.AvgPool2d)


def dilate(encoder: Backbone) -> None:
    """Keep an encoder's last two levels at stride 8, in place and without another parameter.

    Raises UsageError for an encoder that cannot be dilated: ViT and Swin, and networks whose stages begin
    with pooling (DenseNet) or with convolutions of an even size (ConvNeXt).
    """
    if encoder.kind != "cnn":
        raise _refusal(encoder, f"a {encoder.kind} works at the strides of its patches")
    inner = {module: stride for module, stride in _strides(encoder).items() if stride >= STRIDE}
    for module, stride in inner.items():
        if isinstance(module, POOLS):
            raise _refusal(encoder, f"it pools at stride {stride}")
        sides, padding = module.kernel_size, module.padding
        if any(side % 2 == 0 for side in sides) or tuple(padding) != tuple(side // 2 for side in sides):
            raise _refusal(encoder, f"a convolution at stride {stride} has sides {sides} and padding {padding}")
    for module, stride in inner.items():
        factor = stride // STRIDE
        module.stride = (1, 1)
        module.dilation = (factor, factor)
        module.padding = tuple(factor * (side // 2) for side in module.kernel_size)
    encoder.strides = (*encoder.strides[:2], STRIDE, STRIDE)
    last = _levels(encoder)[-1].shape[-1]
    if last != SIDE // STRIDE:
        raise _refusal(encoder, f"its last map still has stride {SIDE // last}")


def _strides(encoder: Backbone) -> dict[Any, int]:
    """Return the stride of the input of each convolution and pool that reads neighbours or skips pixels."""
    strides: dict[Any, int] = {}

    def note(module: Any, images: tuple[torch.Tensor, ...]) -> None:
        strides[module] = SIDE // images[0].shape[-1]

    looking = [
        module for module in encoder.modules() if isinstance(module, (nn.Conv2d, *POOLS)) and _is_spatial(module)
    ]
    hooks = [module.register_forward_pre_hook(note) for module in looking]
    _levels(encoder)
    for hook in hooks:
        hook.remove()
    return strides


def _is_spatial(module: Any) -> bool:
    """Say whether a module's output at a pixel depends on other pixels, or skips pixels."""
    return any(value not in (1, (1, 1)) for value in (module.kernel_size, module.stride))


def _levels(encoder: Backbone) -> list[torch.Tensor]:
    """Return the levels of an empty image."""
    training, device = encoder.training, next(encoder.parameters()).device
    encoder.eval()
    with torch.no_grad():
        levels = encoder.levels(torch.zeros(1, len(encoder.channels), SIDE, SIDE, device=device))
    encoder.train(training)
    return levels


def _refusal(encoder: Backbone, why: str) -> UsageError:
    return UsageError(
        f"head deeplabv3: expected an encoder that can be dilated, such as resnet50, found {encoder.name}: {why}. "
        "Take `head=upernet` or fpn"
    )
