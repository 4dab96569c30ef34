"""A sheet of images as an autoencoder sees them, its predictions, and the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sar_data.train.pictures.mosaic import CHARACTERS, Cell, draw
from sar_data.train.pictures.stretch import stretch_images
from sar_data.train.pretrain.hog import BINS, CELLS
from sar_data.train.pretrain.patches import FLOOR, cut, join
from sar_data.train.pretrain.targets import Target

Floats = npt.NDArray[np.float32]
STRETCH = (2, 98)  # percentiles of the truth that are black and white


def sheet(
    path: Path, target: Target, images: Tensor, hidden: Tensor, predicted: Tensor, keys: Sequence[str], title: str
) -> None:
    """Draw images [n, C, S, S], whose `hidden` bool [n, L] patches were masked, and the values `predicted` for them.

    Predicted pixels are put in the place of masked ones. Histograms are drawn as strokes along edges, gradients by
    ratio as the mean of all scales; both beside the truth.
    """
    units = dict.fromkeys(_names(images.shape[1]), "")
    patches = cut(images, target.patch)
    seen = join(patches.masked_fill(hidden[..., None], torch.nan), target.patch)
    if target.name == "pixel":
        values = predicted
        if target.standardize:
            values = predicted * (patches.var(2, keepdim=True) + FLOOR).sqrt() + patches.mean(2, keepdim=True)
        whole = join(torch.where(hidden[..., None], values, patches), target.patch)
        rows = [seen, whole, images]
        pictures, note = stretch_images([image.numpy() for row in rows for image in row], units)
        shown, words = pictures, "visible, completed by prediction, original"
    else:
        pictures, note = stretch_images([image.numpy() for row in (seen, images) for image in row], units)
        drawn = _greys(*(_picture(target, values) for values in (predicted, target(images))))
        half = len(images)
        shown, words = [*pictures[:half], *drawn, *pictures[half:]], "visible, predicted, true, original"
    count = len(shown) // len(images)
    cells = [
        Cell([shown[part * len(images) + i] for part in range(count)], [("key", key[:CHARACTERS])])
        for i, key in enumerate(keys)
    ]
    draw(path, cells, title, f"{words}; {note}")


def _names(channels: int) -> list[str]:
    """Return names under which two channels are drawn in colours."""
    return ["VV", "VH"] if channels == 2 else [f"channel {number}" for number in range(channels)]


def _picture(target: Target, values: Tensor) -> Tensor:
    """Return pictures [n, S, S] of the values [n, L, V] of patches."""
    if target.name == "hog":
        return strokes(values, target.patch)
    return join(values, target.patch).mean(dim=1)


def strokes(values: Tensor, patch: int) -> Tensor:
    """Return [n, S, S] of histograms [n, L, V]: a line through each cell for each bin, along the edge, by its value."""
    across, side = math.isqrt(values.shape[1]), patch // CELLS
    cells = torch.unflatten(values, 2, (-1, BINS, CELLS, CELLS)).mean(dim=2).clamp_min(0)  # [n, L, bin, y, x]
    place = torch.arange(side) - (side - 1) / 2
    # A bin's angle is from the axis down, whose gradient is across a level edge, to the axis along.
    angle = (torch.arange(BINS) + 0.5) * math.pi / BINS
    distance = (place[:, None] * angle.cos()[:, None, None] + place * angle.sin()[:, None, None]).abs()
    lines = (distance < 0.7).float()
    drawn = torch.einsum("nlbyx,bij->nlyixj", cells, lines)
    rows = torch.unflatten(drawn.flatten(4, 5).flatten(2, 3), 1, (across, across))
    return rows.permute(0, 1, 3, 2, 4).flatten(3, 4).flatten(1, 2)


def _greys(predicted: Tensor, true: Tensor) -> list[Floats]:
    """Return grey pictures [y, x, 3] of both, both stretched by the quantiles of the truth."""
    low, high = np.percentile(true.numpy(), STRETCH)
    both = ((torch.cat([predicted, true]).numpy() - low) / max(high - low, 1e-6)).clip(0, 1)
    return [np.broadcast_to(grey[..., None], (*grey.shape, 3)) for grey in both]
