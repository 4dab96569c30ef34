"""One date of a sample of several, such as a season, drawn for each sample among the dates that have data."""

from __future__ import annotations

import torch
from torch import Tensor

from sar_data.torch.pinned import sent


def draw(images: Tensor, chance: Tensor) -> Tensor:
    """Return [B, C, H, W] of images [B, date, C, H, W], by uniform numbers [B] on the CPU.

    All dates with any data are equally likely; NaN is no data. Where no date has data, it is the first one.
    """
    there = torch.isfinite(images).flatten(2).any(dim=2)
    count = there.sum(dim=1)
    number = (sent(chance, images.device) * count).long()
    which = (there.cumsum(dim=1) > number[:, None]).int().argmax(dim=1)
    return images[torch.arange(len(images), device=images.device), which]
