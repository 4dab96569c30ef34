"""A feature pyramid on any encoder, as torchvision's detectors take it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelP6P7

from sar_data.train.models.encoder import LEVELS, Backbone
from sar_data.train.segment.pyramid import Feature2Pyramid

RESCALED = (0.25, 0.5, 1.0, 2.0)  # strides of Feature2Pyramid, in patches


class Pyramid(nn.Module):
    """Return maps of `out_channels` at `strides`, by name, finest first, of images [B, C, H, W].

    A feature pyramid network (Lin et al. 2017) over the encoder's levels from `first` on, and the coarser maps of
    `above`. A plain ViT's levels, all at one stride, are first rescaled to four strides. The encoder is set to return
    levels.
    """

    def __init__(self, encoder: Backbone, channels: int, *, first: int, above: ExtraFPNBlock) -> None:
        super().__init__()
        encoder.settle(LEVELS)
        self.encoder = encoder
        if encoder.kind == "vit":
            self.scales, factors = Feature2Pyramid(encoder.width).scales[first:], RESCALED
        else:
            self.scales, factors = nn.ModuleList(nn.Identity() for _ in encoder.strides[first:]), (1.0,) * 4
        strides = [stride * factor for stride, factor in zip(encoder.strides, factors, strict=True)][first:]
        more = 2 if isinstance(above, Coarsest) else 1
        self.strides = (*strides, *(strides[-1] * 2**power for power in range(1, more + 1)))
        self.out_channels, self._first = channels, first
        self.fpn = FeaturePyramidNetwork(list(encoder.level_channels[first:]), channels, above)
        self._sizes: dict[tuple[int, ...], list[tuple[int, int]]] = {}

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        levels = self.encoder.levels(images)[self._first :]
        scaled = [scale(level) for scale, level in zip(self.scales, levels, strict=True)]
        levels_by_name: OrderedDict[str, Tensor] = self.fpn(
            OrderedDict((str(i), level) for i, level in enumerate(scaled))
        )
        return levels_by_name

    def blank(self, images: Tensor) -> list[Tensor]:
        """Return empty maps [0, channels, h, w] of the sizes for images of this shape, which are measured once."""
        shape = tuple(images.shape[1:])
        if shape not in self._sizes:
            with _evaluating(self), torch.no_grad():
                maps = self(images.new_zeros(1, *shape)).values()
            self._sizes[shape] = [(level.shape[2], level.shape[3]) for level in maps]
        return [images.new_empty(0, self.out_channels, *size) for size in self._sizes[shape]]


class Coarsest(LastLevelP6P7):  # type: ignore[misc]  # torchvision is untyped
    """The two levels above a pyramid, always in single precision.

    On processors torch 2.15 leaves the weights' gradient of a bfloat16 convolution uninitialised where a map has one
    pixel, as the last level of a small image has.
    """

    def forward(self, maps: list[Tensor], levels: list[Tensor], names: list[str]) -> tuple[list[Tensor], list[str]]:
        with torch.autocast(maps[-1].device.type, enabled=False):
            last = maps[-1].to(self.p6.weight.dtype)
            added, names = super().forward([last], levels, names)
        return [*maps, *added[1:]], names


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode for a block, then each of its parts back into its former mode."""
    before = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training
