"""Networks of published weights that timm does not have, made of timm's networks by changing what differs.

SAR-HUB's (github.com/XAI4SAR/SAR-HUB at 01f4ddc, models/network.py and models/build.py): a Swin with windows of 4 at
128 pixels, an SE-ResNet-50 that goes to the next stride in the first convolution of a block (as Caffe's ResNets did),
and a MobileNetV3 that squeezes before the activation. MTP's ViTs (github.com/ViTAE-Transformer/MTP at d5e84ff,
vit_rvsa_mtp.py) have no class token. No parameter is added or renamed.

Foundation models: the larger TerraMinds gate their MLPs, CROMA biases its attention by distance, DOFA pads images by a
pixel (sar_data/train/weights/foundation.py has the sources).
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from timm.layers.mlp import SwiGLU
from torch import Tensor, nn

from sar_data.train.models.positions import distance_bias


class SqueezeThenActivate(nn.Module):
    """Squeeze and excite [B, C, H, W], then activate; the parameters have the names of timm's SqueezeExcite."""

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


class DistanceAttention(nn.Module):
    """Attend on tokens [B, h·w, C] with a bias by the distance of two tokens; the parameters are timm's attention's."""

    def __init__(self, attention: Any, grid: tuple[int, int]) -> None:
        super().__init__()
        self.qkv, self.proj, self.heads, self.grid = attention.qkv, attention.proj, attention.num_heads, grid

    def forward(self, tokens: Tensor, **_masks: object) -> Tensor:
        """Return tokens [B, h·w, C]; timm's masks are not used."""
        query, key, value = self.qkv(tokens).reshape(*tokens.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = distance_bias(self.heads, self.grid, tokens.device).to(query.dtype)
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        projected: Tensor = self.proj(seen.transpose(1, 2).flatten(2))
        return projected


def attend_by_distance(net: Any) -> None:
    """Give a ViT CROMA's attention and the epsilon of its norms."""
    for block in net.blocks:
        block.attn = DistanceAttention(block.attn, net.patch_embed.grid_size)
    for module in net.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-5


def gate(net: Any) -> None:
    """Gate the MLPs of a ViT (SwiGLU, arXiv:2002.05202), two thirds as wide and without biases."""
    for block in net.blocks:
        width, inner = block.mlp.fc1.in_features, block.mlp.fc1.out_features
        block.mlp = SwiGLU(width, 2 * inner // 3, bias=False)


def pad_patches(net: Any) -> None:
    """Pad images by a pixel before they are cut into patches."""
    net.patch_embed.proj.padding = (1, 1)
