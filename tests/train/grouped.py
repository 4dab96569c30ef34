"""A decoder whose answers to a sample depend on no other one: BatchNorm and dropout would tell one rank from two."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from sar_data.train.segment.decoders import DECODERS
from sar_data.train.segment.unet import UNet

HEAD = "unet-groups"


def register() -> None:
    """Add a U-Net with GroupNorm to the decoders of this process."""
    DECODERS[HEAD] = _decoder


def _decoder(inputs: Sequence[int], channels: int) -> UNet:
    made = UNet(inputs, channels)
    for step in made.steps:
        assert isinstance(step, nn.Sequential)
        for layers in step:
            assert isinstance(layers, nn.Sequential)
            layers[1] = nn.GroupNorm(1, layers[0].out_channels)
    return made
