"""Target, shadow and background of a chip, from its own pixels.

As SAR-HUB finds the target: pixels above the 70 % quantile with enough others in a window of 7 × 7, of these the
largest connected part, holes filled. SAR-HUB asks for 15 of 49 pixels, which speckle alone gives; here it is 25.
SAR-HUB looks for the shadow in fixed rows and columns; here it is looked for around the target, at most as far from it
as the target is long: the largest connected part of such pixels below the 30 % quantile.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BACKGROUND, TARGET, SHADOW = 0, 1, 2
NAMES = ("background", "target", "shadow")
BRIGHT, DARK, WINDOW, LEAST = 0.7, 0.3, 7, 25


def regions(image: Tensor) -> Tensor:
    """Return the region of each pixel, uint8 [H, W], of one band [H, W]; NaN is background."""
    region = torch.full(image.shape, BACKGROUND, dtype=torch.uint8)
    known = image.isfinite()
    if not known.any():
        return region
    values = image[known].double()
    bright = _keep_crowded(known & (image > values.quantile(BRIGHT)))
    if not bright.any():
        return region
    target = _fill_holes(_largest(bright))
    dark = _keep_crowded(known & (image <= values.quantile(DARK))) & _around(target) & ~target
    region[target] = TARGET
    if dark.any():
        region[_largest(dark)] = SHADOW
    return region


def of_cells(pixels: Tensor, cells: int) -> Tensor:
    """Return the region that most pixels of each cell have, uint8 [cells, cells]; in a tie the first."""
    shares = F.one_hot(pixels.long(), len(NAMES)).movedim(2, 0).float()
    return F.adaptive_avg_pool2d(shares[None], cells)[0].argmax(0).to(torch.uint8)


def _keep_crowded(mask: Tensor) -> Tensor:
    """Keep pixels of a mask with at least LEAST pixels of it in the window around them, themselves included."""
    count = F.avg_pool2d(mask[None, None].float(), WINDOW, 1, WINDOW // 2, divisor_override=1)[0, 0]
    return mask & (count >= LEAST)


def _around(target: Tensor) -> Tensor:
    """Return the box around a target, extended by its longer side."""
    rows, columns = (target.any(dim).nonzero()[:, 0] for dim in (1, 0))
    (top, bottom), (left, right) = ((int(each.min()), int(each.max()) + 1) for each in (rows, columns))
    room = max(bottom - top, right - left)
    around = torch.zeros_like(target)
    around[max(0, top - room) : bottom + room, max(0, left - room) : right + room] = True
    return around


def _largest(mask: Tensor) -> Tensor:
    """Return the largest part of a mask whose pixels touch, at corners too."""
    labels = torch.arange(1, mask.numel() + 1, dtype=torch.float64).reshape(mask.shape) * mask
    labels = _spread(labels, mask)
    return labels == torch.bincount(labels[mask].long()).argmax()


def _fill_holes(mask: Tensor) -> Tensor:
    """Fill the holes of a mask: surroundings that do not reach the edge of the image across sides of pixels."""
    outside = F.pad(~mask, (1, 1, 1, 1), value=True)
    reached = torch.zeros(outside.shape, dtype=torch.float64)
    reached[0, 0] = 1
    return _spread(reached, outside, corners=False)[1:-1, 1:-1] == 0


def _spread(labels: Tensor, mask: Tensor, *, corners: bool = True) -> Tensor:
    """Give every pixel of a mask the largest label in the part that it is connected to."""
    while True:
        wide, high = (F.max_pool2d(labels[None, None], side, 1, (side[0] // 2, side[1] // 2))[0, 0] for side in _SIDES)
        around = F.max_pool2d(labels[None, None], 3, 1, 1)[0, 0] if corners else torch.maximum(wide, high)
        widest = around * mask
        if torch.equal(widest, labels):
            return widest
        labels = widest


_SIDES = ((1, 3), (3, 1))
