"""Windows of images at another size: bilinear, antialiased as torchvision's, each sample its own window.

An output pixel is a weighted sum of a few rows, then of a few columns. The sums are taken tap by tap, elementwise: a
sample's numbers are the same in every batch, and no matrix unit rounds them. Where an image grows this is plain
bilinear interpolation; where it shrinks, the triangle is as wide as an output pixel, as torch's antialias=True has it.
Masks take the nearest pixel. Pixels without data, which are NaN, weigh nothing: an output pixel is the mean of those
that have data (normalized convolution, Knutsson and Westin 1993), and has none where the nearest one has none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sar_data.errors import UsageError
from sar_data.torch.pinned import sent

Taps = list[tuple[Tensor, Tensor]]
"""Indices int64 and weights float32 [B, size], as many as an output pixel has input pixels along one axis."""


class Grid(NamedTuple):
    """Where the pixels of an output of `size` (height, width) come from, by rows and by columns.

    `taps` are the input pixels and weights of an output pixel, `nearest` int64 [B, size] is the input pixel at its
    centre. With a single window, B = 1, they hold for every image.
    """

    size: tuple[int, int]
    taps: list[Taps]
    nearest: list[Tensor]

    def images(self, images: Tensor) -> Tensor:
        """Return float32 [B, C, height, width] of images [B, C, H, W]; NaN where the nearest pixel has no data."""
        hidden = images.isnan()
        total = self._sum_weighted(images.masked_fill(hidden, 0))
        # Where no pixel is hidden, the divisor is exactly 1: the quotient is the sum itself, in every batch.
        total = total / (1 - self._sum_weighted(hidden.float()))
        return total.masked_fill(self._gather_nearest(hidden), torch.nan)

    def complete(self, images: Tensor) -> Tensor:
        """Return the same as `images`, in half the time, of images all of whose pixels have data."""
        return self._sum_weighted(images)

    def masks(self, masks: Tensor) -> Tensor:
        """Return [B, height, width] of masks [B, H, W], of the nearest pixels."""
        return self._gather_nearest(masks.unsqueeze(1)).squeeze(1)

    def _gather_nearest(self, planes: Tensor) -> Tensor:
        for axis, index in enumerate(self.nearest):
            planes = planes.gather(2 + axis, self._expand_index(axis, index, planes))
        return planes

    def _sum_weighted(self, images: Tensor) -> Tensor:
        """Return the weighted sums of rows, then of columns."""
        for axis, taps in enumerate(self.taps):
            total = torch.zeros((), device=images.device)
            for index, weight in taps:
                part = images.gather(2 + axis, self._expand_index(axis, index, images))
                total = total + part.mul_(weight.unsqueeze(1).unsqueeze(3 - axis))
            images = total
        return images

    def _expand_index(self, axis: int, index: Tensor, planes: Tensor) -> Tensor:
        taken = list(planes.shape)
        taken[2 + axis] = self.size[axis]
        return index.unsqueeze(1).unsqueeze(3 - axis).expand(taken)


@dataclass(frozen=True, slots=True)
class Windows:
    """float64 [B, 2] of (y, x), on the CPU, in pixels of the source with (0, 0) the corner of the first.

    Output pixel j is centred at start + (j + 0.5) step, and is made of source pixels low … high - 1. `size` is (height,
    width) of the output.
    """

    start: Tensor
    step: Tensor
    low: Tensor
    high: Tensor
    size: tuple[int, int]

    def grid(self, device: torch.device) -> Grid:
        """Return where each pixel of the output comes from."""
        axes = (0, 1)
        return Grid(self.size, [self._taps(i, device) for i in axes], [self._nearest(i, device) for i in axes])

    def _nearest(self, axis: int, device: torch.device) -> Tensor:
        low, high = (self._at(edge, axis, device) for edge in (self.low, self.high))
        return torch.minimum(torch.maximum(self._centres(axis, device).floor().long(), low), high - 1)

    def _taps(self, axis: int, device: torch.device) -> Taps:
        """Return as many taps as the widest triangle of the batch needs."""
        reach = self.step[:, axis].clamp_min(1)
        count = math.ceil(2 * float(reach.max())) if len(reach) else 1
        centre = self._centres(axis, device)
        reach = sent(reach, device).unsqueeze(1)
        low, high = (self._at(edge, axis, device) for edge in (self.low, self.high))
        first = (centre - reach - 0.5).floor().long() + 1
        places = [first + tap for tap in range(count)]
        weights = [
            (1 - (place + 0.5 - centre).abs() / reach).clamp_min(0) * ((place >= low) & (place < high))
            for place in places
        ]
        whole = torch.stack(weights).sum(0)
        kept = [torch.minimum(torch.maximum(place, low), high - 1) for place in places]
        return [(place, (weight / whole).float()) for place, weight in zip(kept, weights, strict=True)]

    def _centres(self, axis: int, device: torch.device) -> Tensor:
        """Return float64 [B, size]: where the output pixels are centred."""
        places = torch.arange(self.size[axis], dtype=torch.float64, device=device) + 0.5
        start, step = (sent(part[:, axis, None], device) for part in (self.start, self.step))
        return start + step * places

    @staticmethod
    def _at(edge: Tensor, axis: int, device: torch.device) -> Tensor:
        return sent(edge[:, axis, None], device).long()


def random_windows(
    chance: Tensor, source: tuple[int, int], size: tuple[int, int], scale: tuple[float, float]
) -> Windows:
    """Return random windows of torchvision's RandomResizedCrop, by 22 uniform numbers [B, 22] a sample.

    A share of the area within `scale` and a ratio of 3/4 … 4/3, log-uniform, are drawn up to ten times until they fit;
    failing that, the largest centred window of a ratio within these bounds.
    """
    height, width = source
    area = height * width * (scale[0] + (scale[1] - scale[0]) * chance[:, :10].double())
    least, most = 3 / 4, 4 / 3
    ratio = (math.log(least) + (math.log(most) - math.log(least)) * chance[:, 10:20].double()).exp()
    tall, wide = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
    fits = (tall > 0) & (tall <= height) & (wide > 0) & (wide <= width)
    first = fits.int().argmax(1, keepdim=True)
    some = fits.any(1)
    fallback_tall, fallback_wide = height, width
    if width / height < least:
        fallback_tall = round(width / least)
    elif width / height > most:
        fallback_wide = round(height * most)
    tall = torch.where(some, tall.gather(1, first)[:, 0], float(fallback_tall))
    wide = torch.where(some, wide.gather(1, first)[:, 0], float(fallback_wide))
    extent = torch.stack([tall, wide], dim=1)
    room = torch.tensor([height, width], dtype=torch.float64) - extent
    centred = (room / 2).round()
    low = torch.where(some[:, None], (chance[:, 20:22].double() * (room + 1)).floor(), centred)
    return Windows(low, extent / torch.tensor(size, dtype=torch.float64), low, low + extent, size)


def central_windows(count: int, source: tuple[int, int], side: int, share: float) -> Windows:
    """Return the windows of evaluation: the shorter side resized to side / share, then the central side × side cut out.

    With a share of 0.875 that is Resize(256), CenterCrop(224); with 1 the largest centred square, resized. Rounded to
    whole pixels as torchvision rounds them.
    """
    if not 0 < share <= 1:
        raise UsageError(f"centre: expected a share above 0 and at most 1, found {share}")
    shorter, resized = min(source), round(side / share)
    whole = [resized if length == shorter else int(resized * length / shorter) for length in source]
    step = torch.tensor([length / to for length, to in zip(source, whole, strict=True)], dtype=torch.float64)
    start = step * torch.tensor([round((to - side) / 2) for to in whole], dtype=torch.float64)
    every = torch.ones(count, 1, dtype=torch.float64)
    high = torch.tensor(source, dtype=torch.float64)
    return Windows(every * start, every * step, every * torch.zeros(2), every * high, (side, side))
