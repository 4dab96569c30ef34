"""Target, shadow and background of a chip, from its own pixels.

As SAR-HUB finds the target: pixels above the 70 % quantile that have enough like them in a window of 7 × 7, the largest
connected part, holes filled. It wants 15 of 49, which is what speckle alone gives; here it is most of the window. The
shadow, which SAR-HUB looks for in fixed rows and columns, is looked for around the target: at most as far from it as it
is long, the largest connected part of such pixels below the 30 % quantile.
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
    found = torch.full(image.shape, BACKGROUND, dtype=torch.uint8)
    known = image.isfinite()
    if not known.any():
        return found
    values = image[known].double()
    bright = _crowded(known & (image > values.quantile(BRIGHT)))
    if not bright.any():
        return found
    target = _filled(_largest(bright))
    dark = _crowded(known & (image <= values.quantile(DARK))) & _around(target) & ~target
    found[target] = TARGET
    if dark.any():
        found[_largest(dark)] = SHADOW
    return found


def of_cells(pixels: Tensor, cells: int) -> Tensor:
    """Return the region that most pixels of each cell have, uint8 [cells, cells]; of equal ones the first."""
    shares = F.one_hot(pixels.long(), len(NAMES)).movedim(2, 0).float()
    return F.adaptive_avg_pool2d(shares[None], cells)[0].argmax(0).to(torch.uint8)


def _crowded(mask: Tensor) -> Tensor:
    """Keep pixels that have enough like them in the window around them, themselves included."""
    count = F.avg_pool2d(mask[None, None].float(), WINDOW, 1, WINDOW // 2, divisor_override=1)[0, 0]
    return mask & (count >= LEAST)


def _around(target: Tensor) -> Tensor:
    """Return the box around a target, extended by its longer side."""
    rows, columns = (target.any(dim).nonzero()[:, 0] for dim in (1, 0))
    (top, bottom), (left, right) = ((int(one.min()), int(one.max()) + 1) for one in (rows, columns))
    room = max(bottom - top, right - left)
    found = torch.zeros_like(target)
    found[max(0, top - room) : bottom + room, max(0, left - room) : right + room] = True
    return found


def _largest(mask: Tensor) -> Tensor:
    """Return the largest part of a mask whose pixels touch, at corners too."""
    names = torch.arange(1, mask.numel() + 1, dtype=torch.float64).reshape(mask.shape) * mask
    names = _spread(names, mask)
    return names == torch.bincount(names[mask].long()).argmax()


def _filled(mask: Tensor) -> Tensor:
    """Fill what of a mask's surroundings does not reach the edge of the image, by sides."""
    outside = F.pad(~mask, (1, 1, 1, 1), value=True)
    reached = torch.zeros(outside.shape, dtype=torch.float64)
    reached[0, 0] = 1
    return _spread(reached, outside, corners=False)[1:-1, 1:-1] == 0


def _spread(names: Tensor, mask: Tensor, *, corners: bool = True) -> Tensor:
    """Give every pixel of a mask the greatest name in the part that it is connected to."""
    while True:
        wide, high = (F.max_pool2d(names[None, None], side, 1, (side[0] // 2, side[1] // 2))[0, 0] for side in _SIDES)
        around = F.max_pool2d(names[None, None], 3, 1, 1)[0, 0] if corners else torch.maximum(wide, high)
        found = around * mask
        if torch.equal(found, names):
            return found
        names = found


_SIDES = ((1, 3), (3, 1))
