"""Feature maps under rotated boxes, as small maps of one size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sar_data.train.rotated.boxes import axes

BINS, SAMPLES = 7, 2  # of a side, and of a side of a bin
FINEST = 56.0  # pixels: a box of twice the side uses the next coarser map (Lin et al. 2017)


def align(features: Tensor, boxes: Tensor, stride: float) -> Tensor:
    """Return [n, C, 7, 7] of one image's map [C, H, W] of a stride under boxes [n, 5], in the frame of each box.

    The mean of 2 × 2 bilinear samples a bin: torchvision's roi_align, aligned, of boxes that are not turned.
    """
    count, side = len(boxes), BINS * SAMPLES
    features = features.to(boxes.dtype)  # half precision is too coarse for coordinates
    steps = (torch.arange(side, device=boxes.device, dtype=boxes.dtype) + 0.5) / side - 0.5
    along, across = (axis * boxes[:, i : i + 1] for axis, i in zip(axes(boxes), (2, 3), strict=True))
    places = along[:, None, None] * steps[:, None] + across[:, None, None] * steps[:, None, None]  # [n, y, x, 2]
    places = (places + boxes[:, None, None, :2]) / stride - 0.5
    last = boxes.new_tensor([max(length - 1, 1) for length in (features.shape[2], features.shape[1])])
    grid = (2 * places / last - 1).reshape(1, count * side, side, 2)
    seen = F.grid_sample(features[None], grid, padding_mode="border", align_corners=True)
    bins = F.avg_pool2d(seen.reshape(len(features), count, side, side), SAMPLES)
    return bins.transpose(0, 1)


def pool(maps: Sequence[Tensor], strides: Sequence[float], boxes: Sequence[Tensor]) -> Tensor:
    """Return [n, C, 7, 7] of the boxes [n, 5] of all images, one after the other, each from the map that fits its size.

    `maps` are [B, C, H, W], finest first.
    """
    every = torch.cat(list(boxes))
    pooled_maps = every.new_zeros((len(every), maps[0].shape[1], BINS, BINS))
    size = (every[:, 2] * every[:, 3]).clamp(min=0).sqrt()
    level = (size / FINEST + 1e-6).log2().floor().clamp(0, len(maps) - 1)
    image = torch.repeat_interleave(torch.tensor([len(own) for own in boxes])).to(every.device)
    for number, (features, stride) in enumerate(zip(maps, strides, strict=True)):
        for i, own in enumerate(features):
            rows = ((level == number) & (image == i)).nonzero().flatten()
            if len(rows):
                pooled_maps = pooled_maps.index_copy(0, rows, align(own, every[rows], stride))
    return pooled_maps
