"""Encodings of the positions of tokens on a grid: sine-cosine, relative positions, biases, distances."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sine_cosine(grid: tuple[int, int], width: int, *, prefix: int) -> Tensor:
    """Return fixed positions float32 [1, prefix + rows · columns, width] as in MAE's and Scale-MAE's code.

    Those of the prefix, such as a class token, are 0.
    """
    rate = 10000 ** -(torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    rows, columns = torch.meshgrid(*map(torch.arange, grid), indexing="ij")
    # The first half of the vector is of the column, the second of the row.
    angles = [place.reshape(-1, 1).double() * rate for place in (columns, rows)]
    waves = torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], dim=1)
    return torch.cat([waves.new_zeros(prefix, width), waves])[None].float()


def relative(query: Tensor, sides: tuple[int, int], down: Tensor, along: Tensor) -> Tensor:
    """Return scores [..., h·w, h·w] of relative rows and columns, as MViTv2 (arXiv:2112.01526) decomposes them.

    Queries are [..., h·w, size] on a map of `sides`, `down` [2·h - 1, size], `along` [2·w - 1, size].
    """
    query = query.reshape(*query.shape[:-2], *sides, query.shape[-1])
    rows = torch.einsum("...yxc,ykc->...yxk", query, down[_apart(sides[0], down.device)])
    columns = torch.einsum("...yxc,xkc->...yxk", query, along[_apart(sides[1], along.device)])
    scores: Tensor = rows[..., :, None] + columns[..., None, :]
    return scores.flatten(-2).flatten(-3, -2)


def table_bias(table: Tensor, side: int) -> Tensor:
    """Return a Swin's biases [heads, side², side²] of a window, of its table [(2·side - 1)², heads]."""
    apart = _apart(side, table.device)
    index = apart[:, None, :, None] * (2 * side - 1) + apart[None, :, None, :]
    return table[index.flatten()].T.reshape(-1, side**2, side**2)


def _apart(side: int, device: torch.device) -> Tensor:
    """Return the distances between the places of a side [side, side], with an offset that makes them start at 0."""
    place = torch.arange(side, device=device)
    return place[:, None] - place[None, :] + side - 1


def distance_bias(heads: int, sides: tuple[int, int], device: torch.device) -> Tensor:
    """Return CROMA's biases [heads, h·w, h·w]: a head's slope (arXiv:2108.12409) times the distance of two tokens."""
    places = torch.cartesian_prod(*(torch.arange(float(side), device=device) for side in sides))
    slopes = torch.tensor(_slopes(heads), device=device)
    return -slopes[:, None, None] * (places[:, None] - places).square().sum(-1).sqrt()


def _slopes(heads: int) -> list[float]:
    whole = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (place + 1) / whole) for place in range(whole)]
    return slopes if whole == heads else slopes + _slopes(2 * whole)[::2][: heads - whole]
