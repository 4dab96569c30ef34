"""RVSA: a plain ViT whose windows move, stretch and turn (Wang et al. 2022, arXiv:2208.03987), as MTP trains it.

From github.com/ViTAE-Transformer/MTP at d5e84ff, vit_rvsa_mtp.py; parameters have its names. Every fourth part of the
blocks ends with one that attends to the whole map (2, 5, 8, 11 of twelve); all others attend in windows of 7 × 7. There
each head predicts, from the mean of a window, where to take the window's keys and values: moved, scaled and turned.
Both kinds add the decomposed relative positions of MViTv2, windows a Swin's table of biases as well.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sar_data.train.models.positions import relative, table_bias

WINDOW = 7


class Heads(nn.Module):
    """The common part of both kinds of attention: timm's query, key, value and projection on a grid of tokens."""

    def __init__(self, attention: Any, grid: tuple[int, int]) -> None:
        super().__init__()
        self.qkv, self.proj = attention.qkv, attention.proj
        self.heads, self.size, self.grid = attention.num_heads, attention.head_dim, grid

    def _project(self, tokens: Tensor) -> Tensor:
        """Return query, key and value [3, B, heads, h·w, size] of tokens [B, h·w, C]."""
        parted: Tensor = self.qkv(tokens).reshape(*tokens.shape[:2], 3, self.heads, self.size).permute(2, 0, 3, 1, 4)
        return parted

    def _positions(self, side: int) -> nn.Parameter:
        return nn.Parameter(torch.zeros(2 * side - 1, self.size))


class FullAttention(Heads):
    """Attend to the whole map, with decomposed relative positions."""

    def __init__(self, attention: Any, grid: tuple[int, int]) -> None:
        super().__init__(attention, grid)
        self.full_attn_rel_pos_h, self.full_attn_rel_pos_w = map(self._positions, grid)

    def forward(self, tokens: Tensor, **_masks: object) -> Tensor:
        """Return tokens [B, h·w, C] for tokens of the same shape; timm's masks are not used."""
        query, key, value = self._project(tokens)
        scores = query @ key.transpose(-2, -1) * self.size**-0.5
        scores = scores + relative(query, self.grid, self.full_attn_rel_pos_h, self.full_attn_rel_pos_w)
        projected: Tensor = self.proj((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))
        return projected


class RotatedWindows(Heads):
    """Attend in windows; each head takes keys and values from a window that it moves, scales and turns.

    The branches that predict this begin at zero: a fresh network has plain windows.
    """

    def __init__(self, attention: Any, grid: tuple[int, int]) -> None:
        super().__init__(attention, grid)
        self.rel_pos_h, self.rel_pos_w = self._positions(WINDOW), self._positions(WINDOW)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, self.heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.sampling_offsets, self.sampling_scales = self._branch(2), self._branch(2)
        self.sampling_angles = self._branch(1)

    def _branch(self, numbers: int) -> nn.Sequential:
        last = nn.Conv2d(self.heads * self.size, self.heads * numbers, 1)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        return nn.Sequential(nn.AvgPool2d(WINDOW), nn.LeakyReLU(), last)

    def forward(self, tokens: Tensor, **_masks: object) -> Tensor:
        """Return tokens [B, h·w, C] for tokens of the same shape; timm's masks are not used."""
        (height, width), batch = self.grid, len(tokens)
        down, along = -height % WINDOW, -width % WINDOW
        top, left = down // 2, along // 2
        padding = (left, along - left, top, down - top)
        maps = F.pad(tokens.transpose(1, 2).reshape(batch, -1, height, width), padding)
        tall, wide = maps.shape[-2:]
        rows, columns = tall // WINDOW, wide // WINDOW
        # The keys and values of padding are 0, without a bias.
        parted = self._project(tokens).transpose(-2, -1).reshape(3 * batch * self.heads, self.size, height, width)
        query, key, value = F.pad(parted, padding).chunk(3)
        places = self._places(maps, rows, columns)
        seen = F.grid_sample(torch.cat([key, value], dim=1).float(), places, align_corners=True).to(query.dtype)
        query, key, value = (_windows(part, batch, rows, columns) for part in (query, *seen.chunk(2, dim=1)))
        side = (WINDOW, WINDOW)
        scores = query @ key.transpose(-2, -1) * self.size**-0.5
        scores = (
            scores
            + relative(query, side, self.rel_pos_h, self.rel_pos_w)
            + table_bias(self.relative_position_bias_table, WINDOW)
        )
        attended = (scores.softmax(-1) @ value).reshape(batch, rows, columns, self.heads, WINDOW, WINDOW, self.size)
        attended = attended.permute(0, 1, 4, 2, 5, 3, 6).reshape(batch, tall, wide, -1)
        attended = attended[:, top : top + height, left : left + width]
        projected: Tensor = self.proj(attended.flatten(1, 2))
        return projected

    def _places(self, maps: Tensor, rows: int, columns: int) -> Tensor:
        """Return where keys and values are taken, [B · heads, rows · 7, columns · 7, (x, y)], from -1 to 1."""
        tall, wide = maps.shape[-2:]
        shape = (len(maps) * self.heads, -1, rows, 1, columns, 1)
        offset, scale, angle = (
            branch(maps).float().reshape(shape)
            for branch in (self.sampling_offsets, self.sampling_scales, self.sampling_angles)
        )
        # x is divided by the number of windows in a column, and y by that in a row, as MTP does.
        shares = [max(1, side // WINDOW) for side in self.grid]
        local = torch.arange(WINDOW, device=maps.device) - (WINDOW - 1) / 2
        middle = [torch.arange(n, device=maps.device) * WINDOW + (WINDOW - 1) / 2 for n in (columns, rows)]
        x = 2 / (wide - 1) * local.reshape(1, 1, 1, 1, WINDOW) * (1 + scale[:, 0])
        y = 2 / (tall - 1) * local.reshape(1, 1, WINDOW, 1, 1) * (1 + scale[:, 1])
        cosine, sine = angle[:, 0].cos(), angle[:, 0].sin()
        along = x * cosine - y * sine + offset[:, 0] / shares[0] + _spread(middle[0], wide)[None, None, None, :, None]
        down = y * cosine + x * sine + offset[:, 1] / shares[1] + _spread(middle[1], tall)[None, :, None, None, None]
        return torch.stack([along, down], dim=-1).reshape(len(maps) * self.heads, tall, wide, 2)


def rotate_windows(net: Any) -> None:
    """Give timm's ViT without a class token the attention of RVSA, and no final norm."""
    every = len(net.blocks) // 4
    for place, block in enumerate(net.blocks, start=1):
        kind = RotatedWindows if place % every else FullAttention
        block.attn = kind(block.attn, net.patch_embed.grid_size)
    net.norm = nn.Identity()


def _spread(places: Tensor, side: int) -> Tensor:
    """Return pixels of a side in grid_sample's coordinates, from -1 to 1."""
    return places * (2 / (side - 1)) - 1


def _windows(maps: Tensor, batch: int, rows: int, columns: int) -> Tensor:
    """Return tokens [B · windows, heads, 49, size] of maps [B · heads, size, tall, wide]."""
    parted = maps.reshape(batch, -1, maps.shape[1], rows, WINDOW, columns, WINDOW)
    return parted.permute(0, 3, 5, 1, 4, 6, 2).reshape(batch * rows * columns, -1, WINDOW**2, maps.shape[1])
