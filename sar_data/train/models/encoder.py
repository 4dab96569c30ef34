"""An encoder: one timm network without its classifier, with pooled features, feature maps and groups of layers.

All three use the same parameters, so that weights are loaded once for any head.

The poolings of a ViT: `cls` is the class token after the final norm; `mean` the mean of the patch tokens after the
final norm; `last4` the class tokens of the last four blocks, each after the final norm, side by side (as in DINOv2's
probes). An encoder that is fixed to `mean` is trained as in MAE's fine-tuning: the mean of the patch tokens goes
through a norm of its own, `fc_norm`, and there is no final norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from timm.models import group_parameters
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, cat, nn

from sar_data.errors import UsageError, unknown

Kind = Literal["vit", "cnn", "swin"]
LEVELS = "levels"
STRIDES = (4, 8, 16, 32)
# The blocks that dense heads read: PANGAEA and Copernicus-Bench for S, B and L, Copernicus-Bench for H.
TAPS = {12: (3, 5, 7, 11), 24: (7, 11, 15, 23), 32: (7, 15, 23, 31)}
# Parameters after the last block of a network, by timm's names: they learn at the head's rate.
FINAL = ("norm.", "fc_norm.", "head.", "conv_head.", "norm_head.", "features.norm5.", "bn2.")


class Backbone(nn.Module):
    """Encode images [B, channels, H, W] by a timm network without a classifier.

    `width` is the size of one pooled vector (`last4` has four), `patch` the side of a ViT's patch in pixels,
    `level_channels` and `strides` those of `levels`. Raises UsageError for a network that has neither a plain ViT's
    tokens nor stages at strides 4, 8, 16 and 32.
    """

    def __init__(self, net: Any, name: str, channels: Sequence[str], image_size: int) -> None:
        super().__init__()
        self.net = net
        self.name = name
        self.channels = tuple(channels)
        self.image_size = image_size
        self.width = int(net.head_hidden_size)
        self.kind: Kind = "cnn"
        self.patch: int | None = None
        self.poolings: tuple[str, ...] = ("mean",)
        self.settled: str | None = None
        if isinstance(net, VisionTransformer):
            self._as_vit()
        else:
            self._as_pyramid()

    def _as_vit(self) -> None:
        self.kind = "vit"
        self.patch = int(self.net.patch_embed.patch_size[0])
        depth = len(self.net.blocks)
        self._taps = TAPS.get(depth, tuple(depth * part // 4 - 1 for part in (1, 2, 3, 4)))
        self.level_channels, self.strides = (self.width,) * 4, (self.patch,) * 4
        if self.net.cls_token is not None and depth >= 4:
            self.poolings = ("cls", "mean", "last4")
        # A network that timm pools in another way (attention, fc_norm) is pooled here like all others.
        self.net.attn_pool, self.net.fc_norm = None, nn.Identity()

    def _as_pyramid(self) -> None:
        self.kind = "swin" if isinstance(self.net, SwinTransformer | SwinTransformerV2) else "cnn"
        stages = list(getattr(self.net, "feature_info", []))
        reductions = [stage["reduction"] for stage in stages]
        if not hasattr(self.net, "forward_intermediates") or not set(STRIDES) <= set(reductions):
            raise UsageError(
                f"{self.name}: expected a plain ViT, or a network with stages at strides 4, 8, 16 and 32, found "
                f"{type(self.net).__name__} with {reductions or 'none'}: take a ViT, ResNet, Swin or ConvNeXt"
            )
        self._taps = tuple(max(i for i, r in enumerate(reductions) if r == stride) for stride in STRIDES)
        self.level_channels, self.strides = tuple(stages[i]["num_chs"] for i in self._taps), STRIDES

    def size(self, pooling: str) -> int:
        """Return the length of one vector of a pooling; raise UsageError where this encoder has no such pooling."""
        if pooling not in self.poolings:
            raise unknown(f"pooling of {self.name}", pooling, self.poolings)
        return 4 * self.width if pooling == "last4" else self.width

    def settle(self, use: str) -> None:
        """Fix the encoder to one use, a pooling or "levels", and keep only the parameters that this use trains.

        Of a ViT, `mean` puts a fresh `fc_norm` in the place of the final norm; "levels" drops all after the last
        level. Raises UsageError for an unknown use, or where the encoder is fixed to another one.
        """
        if use == self.settled:
            return
        if self.settled is not None:
            raise UsageError(f"{self.name}: expected the use {self.settled!r}, found {use!r}: make another encoder")
        if use != LEVELS:
            self.size(use)
        if use == LEVELS:
            self.net.prune_intermediate_layers(list(self._taps), prune_norm=True, prune_head=True)
            self.settled, self.poolings = use, ()
        elif use == "mean" and self.kind == "vit":
            own = not isinstance(self.net.norm, nn.Identity)  # RVSA has no final norm
            self.net.fc_norm = self.net.norm if own else nn.LayerNorm(self.width, eps=1e-6)
            self.net.norm = nn.Identity()
            self.net.fc_norm.reset_parameters()
            self.settled, self.poolings = use, (use,)

    def forward(self, images: Tensor, poolings: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Return pooled vectors [B, size(pooling)] of images [B, channels, H, W], by all poolings or the given ones."""
        self._fits(images)
        names = self.poolings if poolings is None else tuple(poolings)
        for pooling in names:
            self.size(pooling)
        if self.kind != "vit":
            pooled = self.net.forward_head(self.net.forward_features(images), pre_logits=True)
            return dict.fromkeys(names, pooled)
        vectors: dict[str, Tensor] = {}
        if "last4" in names:
            tokens, last = self.net.forward_intermediates(
                images, indices=4, return_prefix_tokens=True, norm=True, output_fmt="NLC"
            )
            vectors["last4"] = cat([prefix[:, 0] for _, prefix in last], dim=1)
        else:
            tokens = self.net.forward_features(images)
        if "cls" in names:
            vectors["cls"] = tokens[:, 0]
        if "mean" in names:
            vectors["mean"] = self.net.fc_norm(tokens[:, self.net.num_prefix_tokens :].mean(dim=1))
        return {pooling: vectors[pooling] for pooling in names}

    def levels(self, images: Tensor) -> list[Tensor]:
        """Return four feature maps [B, level_channels[i], H / strides[i], W / strides[i]], finest first.

        They are taken before the final norm. Those of a ViT are four of its blocks without the class token, at one
        stride.
        """
        self._fits(images)
        if self.settled not in (None, LEVELS):
            raise UsageError(f"{self.name}: expected feature maps, found an encoder fixed to {self.settled!r}")
        return list(self.net.forward_intermediates(images, indices=list(self._taps), intermediates_only=True))

    def grid(self, images: Tensor) -> Tensor:
        """Return [B, h, w, width] of images: a ViT's patch tokens, else the coarsest feature map.

        The mean over the tokens is the pooling `mean`. Of a ViT fixed to "levels" they are those of its last level.
        """
        if self.kind != "vit" or self.settled == LEVELS:
            return self.levels(images)[-1].movedim(1, -1)
        self._fits(images)
        tokens: Tensor = self.net.forward_features(images)[:, self.net.num_prefix_tokens :]
        side = self.image_size // (self.patch or 1)  # images have the network's size and are square
        return tokens.reshape(len(tokens), side, side, -1)

    def layers(self) -> list[list[nn.Parameter]]:
        """Return all parameters in groups from the stem up, for layer decay.

        The last group has the parameters after the last block (a final norm, or none): it learns at the head's rate,
        the group before it at the rate times the decay, and so on down, as in MAE and BEiT.
        """
        groups = group_parameters(self.net, self.net.group_matcher(coarse=False), reverse=False)
        own: dict[str, nn.Parameter] = dict(self.net.named_parameters())
        blocks = [[own[name] for name in names if not name.startswith(FINAL)] for _, names in sorted(groups.items())]
        final = [parameter for name, parameter in own.items() if name.startswith(FINAL)]
        return [*(group for group in blocks if group), final]

    def _fits(self, images: Tensor) -> None:
        _, channels, *size = images.shape
        if channels != len(self.channels) or (self.kind != "cnn" and size != [self.image_size] * 2):
            sized = "" if self.kind == "cnn" else f" of {self.image_size} × {self.image_size} pixels"
            raise UsageError(
                f"{self.name}: expected {len(self.channels)} channels ({', '.join(self.channels)}){sized}, found "
                f"{channels} of {' × '.join(map(str, size))}: make the encoder for the images, or resize them"
            )
