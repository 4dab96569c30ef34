"""Sliding windows: images of any size through a model of a fixed size, blended where windows overlap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor


def starts(length: int, tile: int, overlap: float) -> list[int]:
    """Return where windows of `tile` pixels begin along `length`: evenly, overlapping by the share `overlap` or more.

    The first begins at 0 and the last ends at `length`, unless `length` is shorter than a tile.
    """
    room = length - tile
    if room <= 0:
        return [0]
    most = max(1, math.floor(tile * (1 - overlap)))
    count = math.ceil(room / most)
    return [round(room * i / count) for i in range(count + 1)]


def weights(tile: int) -> Tensor:
    """Return float32 [tile, tile]: a raised cosine, 1 in the middle, small but not 0 at the border.

    For two windows that overlap by half, the sum of weights is constant, so that the results blend smoothly.
    """
    place = (torch.arange(tile, dtype=torch.float64) + 0.5) / tile
    along = torch.sin(math.pi * place) ** 2
    return torch.outer(along, along).float()


def blend_windows(model: Callable[[Tensor], Tensor], images: Tensor, tile: int, overlap: float) -> Tensor:
    """Return the model's logits [B, classes, H, W] of images [B, C, H, W], from windows of tile × tile pixels.

    The model takes [B, C, tile, tile], the same window of each image, and returns [B, classes, tile, tile]. Images
    smaller than a tile are padded with zeros below and on the right. Memory grows with the image, not with the number
    of windows.
    """
    height, width = images.shape[-2:]
    images = F.pad(images, (0, max(tile - width, 0), 0, max(tile - height, 0)))
    rows, columns = (starts(length, tile, overlap) for length in images.shape[-2:])
    return join_windows(model, images, tile, rows, columns)[..., :height, :width]


def join_windows(
    model: Callable[[Tensor], Tensor], images: Tensor, tile: int, rows: Sequence[int], columns: Sequence[int]
) -> Tensor:
    """Return the model's logits [B, classes, H, W] from the windows that begin at `rows` and `columns`.

    Pixels in no window are NaN.
    """
    if len(rows) == len(columns) == 1 and images.shape[-2:] == (tile, tile):
        return model(images)
    weight = weights(tile).to(images.device)
    total = images.new_zeros(0)
    count = images.new_zeros(images.shape[-2:])
    for top in rows:
        for left in columns:
            part = (..., slice(top, top + tile), slice(left, left + tile))
            logits = model(images[part]).float()
            if not total.numel():  # the model's output gives the number of classes
                total = logits.new_zeros(*logits.shape[:2], *images.shape[-2:])
            total[part] += logits * weight
            count[part] += weight
    return total / count


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a length: pixels from `start` to `stop`, and the starts of the windows that overlap it."""

    start: int
    stop: int
    windows: tuple[int, ...]


def spans(length: int, tile: int, overlap: float, block: int) -> list[Span]:
    """Divide `length`, of a tile at least, into parts of at most `block` pixels that are predicted one by one.

    The windows are those of the whole length, so that the results are the same as for the whole at once.
    """
    places = starts(length, tile, overlap)
    edges = [*range(0, length, block), length]
    return [
        Span(start, stop, tuple(place for place in places if place < stop and place + tile > start))
        for start, stop in pairwise(edges)
    ]
