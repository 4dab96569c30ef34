"""Networks that published weights were trained in and timm does not have: timm's own, changed where theirs differ.

SAR-HUB's (github.com/XAI4SAR/SAR-HUB at 01f4ddc, models/network.py and models/build.py): a Swin with windows of 4 at
128 pixels, an SE-ResNet-50 that goes to the next stride in the first convolution of a block (as Caffe's ResNets did),
and a MobileNetV3 that squeezes before the activation. MTP's ViTs (github.com/ViTAE-Transformer/MTP at d5e84ff,
vit_rvsa_mtp.py) have no class token. No parameter is added or renamed.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class SqueezeThenActivate(nn.Module):
    """Squeeze and excite [B, C, H, W], then activate; the parameters are named as timm's SqueezeExcite names them."""

    def __init__(self, squeeze: Any, activation: nn.Module) -> None:
        super().__init__()
        self.conv_reduce, self.act1 = squeeze.conv_reduce, squeeze.act1
        self.conv_expand, self.gate = squeeze.conv_expand, squeeze.gate
        self.activation = activation

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps [B, C, H, W], scaled a channel at a time."""
        squeezed = self.act1(self.conv_reduce(maps.mean((2, 3), keepdim=True)))
        excited: Tensor = self.activation(maps * self.gate(self.conv_expand(squeezed)))
        return excited


def stride_first(net: Any) -> None:
    """Move the stride of every stage from its first block's 3 × 3 convolution to the 1 × 1 before it."""
    for stage in (net.layer2, net.layer3, net.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = stage[0].conv2.stride, (1, 1)


def squeeze_first(net: Any) -> None:
    """Squeeze before the activation in every inverted residual that squeezes; blocks that do not expand stay."""
    for stage in net.blocks:
        for block in stage:
            if hasattr(block, "conv_pwl") and hasattr(block.se, "conv_reduce"):
                block.se = SqueezeThenActivate(block.se, block.bn2.act)
                block.bn2.act = nn.Identity()
