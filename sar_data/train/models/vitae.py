"""ViTAEv2-S (Zhang et al. 2022, arXiv:2202.10108), as RSP trains it: convolutions beside attention in every block.

From github.com/ViTAE-Transformer/RSP, ViTAE_Window_NoShift; parameters have its names. Each of four stages begins with
a reduction cell: dilated convolutions side by side (PRM) make tokens that attend to each other, and three convolutions
(PCM) are added. Normal cells follow: attention and PCM of the same tokens, then an MLP. The first two stages attend in
windows of 7 × 7 with a Swin's biases, the others to the whole map. Unlike theirs, images of any size are extended to
multiples of 32 pixels, and stochastic depth grows evenly over all normal cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers.drop import DropPath
from timm.layers.mlp import Mlp
from torch import Tensor, nn

from sar_data.train.models.positions import table_bias

WINDOW, STRIDE = 7, 32
EMBED, WIDTHS, DEPTHS, STRIDES = (64, 64, 128, 256), (64, 128, 256, 512), (2, 2, 8, 2), (4, 8, 16, 32)
DILATIONS = ((1, 2, 3, 4), (1, 2, 3), (1, 2), (1, 2))
HEADS, GROUPS = ((1, 1), (1, 2), (2, 4), (4, 8)), ((1, 1), (16, 32), (32, 64), (64, 128))  # of RC and NC of each stage


class ViTAEv2(nn.Module):
    """Encode images [B, C, H, W] in four stages, with the methods of a timm network that encoder.py uses."""

    def __init__(self, in_chans: int, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        self.head_hidden_size = WIDTHS[-1]
        self.feature_info = [{"num_chs": w, "reduction": r} for w, r in zip(WIDTHS, STRIDES, strict=True)]
        inputs = (in_chans, *WIDTHS)
        stages = [Stage(place, inputs[place]) for place in range(len(WIDTHS))]
        self.layers = nn.ModuleList(stages)
        cells = [cell for stage in stages for cell in stage.NC]
        for place, cell in enumerate(cells):
            cell.drop_path = DropPath(drop_path_rate * place / (len(cells) - 1))
        first = [f"layers.0.RC.PRM.convs.{branch}.0" for branch in range(len(DILATIONS[0]))]
        self.pretrained_cfg = {"first_conv": (*first, "layers.0.RC.PCM.0")}
        self.apply(_initialize)

    def _maps(self, images: Tensor) -> list[Tensor]:
        maps, outputs = F.pad(images, (0, -images.shape[3] % STRIDE, 0, -images.shape[2] % STRIDE)), []
        for stage in self.layers:
            maps = stage(maps)
            outputs.append(maps)
        return outputs

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the last map [B, 512, H / 32, W / 32]."""
        return self._maps(images)[-1]

    def forward_head(self, maps: Tensor, **_options: bool) -> Tensor:
        """Return the mean [B, 512] of the last map, the input of RSP's classifier."""
        return maps.mean((2, 3))

    def forward_intermediates(self, images: Tensor, indices: Sequence[int], **_options: Any) -> list[Tensor]:
        """Return the maps of these stages."""
        maps = self._maps(images)
        return [maps[place] for place in indices]

    def prune_intermediate_layers(self, *_places: Any, **_options: Any) -> None:
        """Keep everything: nothing comes after the last stage."""

    def group_matcher(self, **_options: bool) -> dict[str, Any]:
        """Return the patterns by which timm groups parameters, one cell a group."""
        return {
            "stem": r"^layers\.0\.RC",
            "blocks": [(r"^layers\.(\d+)\.RC", (-1,)), (r"^layers\.(\d+)\.NC\.(\d+)", None)],
        }


class Stage(nn.Module):
    """A reduction cell and its normal cells: maps [B, C, H, W] to [B, width, H / stride, W / stride]."""

    def __init__(self, place: int, inputs: int) -> None:
        super().__init__()
        self.RC = Reduction(place, inputs)
        self.NC = nn.ModuleList(Normal(place) for _ in range(DEPTHS[place]))

    def forward(self, maps: Tensor) -> Tensor:
        tokens = self.RC(maps)
        for cell in self.NC:
            tokens = cell(tokens)
        outputs: Tensor = tokens.movedim(-1, 1)
        return outputs


class Reduction(nn.Module):
    """Maps [B, C, H, W] to tokens [B, h, w, width] at a coarser stride."""

    def __init__(self, place: int, inputs: int) -> None:
        super().__init__()
        embed, width, stride, groups = EMBED[place], WIDTHS[place], (4, 2, 2, 2)[place], GROUPS[place][0]
        self.PRM = Pyramid(place, inputs)
        self.PCM = _convolutions((inputs, embed, embed, width), groups, (2, stride // 2, 1))
        self.attn = Reduced(place, embed * len(DILATIONS[place]))

    def forward(self, maps: Tensor) -> Tensor:
        tokens: Tensor = self.attn(self.PRM(maps).movedim(1, -1), self.PCM(maps).movedim(1, -1))
        return tokens


class Pyramid(nn.Module):
    """PRM: dilated convolutions side by side, maps [B, C, H, W] to [B, embed · dilations, h, w]."""

    def __init__(self, place: int, inputs: int) -> None:
        super().__init__()
        side, stride = (7, 4) if place == 0 else (3, 2)
        self.convs = nn.ModuleList(
            nn.Sequential(_dilated_convolution(inputs, EMBED[place], side, stride, dilation), nn.GELU())
            for dilation in DILATIONS[place]
        )

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([branch(maps) for branch in self.convs], dim=1)


class Reduced(nn.Module):
    """Attend on PRM's tokens [B, h, w, seen], add PCM's [B, h, w, width], and an MLP of both."""

    def __init__(self, place: int, seen: int) -> None:
        super().__init__()
        width = WIDTHS[place]
        self.norm1, self.norm2 = nn.LayerNorm(seen), nn.LayerNorm(width)
        self.attn = Attention(place, seen, HEADS[place][0], reduces=True)
        self.mlp = Mlp(width, width)

    def forward(self, dilated: Tensor, beside: Tensor) -> Tensor:
        tokens = self.attn(self.norm1(dilated)) + beside
        outputs: Tensor = tokens + self.mlp(self.norm2(tokens))
        return outputs


class Normal(nn.Module):
    """Map tokens [B, h, w, width] to tokens of the same shape."""

    def __init__(self, place: int) -> None:
        super().__init__()
        width, (_, groups) = WIDTHS[place], GROUPS[place]
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(place, width, HEADS[place][1], reduces=False)
        self.mlp = Mlp(width, 4 * width)
        self.PCM = _convolutions((width, 4 * width, width, width), groups, (1, 1, 1))
        self.drop_path = DropPath(0.0)

    def forward(self, tokens: Tensor) -> Tensor:
        beside = self.PCM(tokens.movedim(-1, 1)).movedim(1, -1)
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens))) + self.drop_path(beside)
        outputs: Tensor = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return outputs


class Attention(nn.Module):
    """Attend on tokens [B, h, w, inputs]: in windows in the first two stages, to all tokens in the others.

    In a reduction cell with attention to all tokens, the values are added to the output instead of the tokens, whose
    width differs.
    """

    def __init__(self, place: int, inputs: int, heads: int, *, reduces: bool) -> None:
        super().__init__()
        width, self.heads, windowed = WIDTHS[place], heads, place < 2
        self.qkv, self.proj = nn.Linear(inputs, 3 * width, bias=windowed or not reduces), nn.Linear(width, width)
        self.skips = reduces and not windowed
        self.relative_position_bias_table: nn.Parameter | None = None
        if windowed:
            self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
            nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, height, width, _ = tokens.shape
        if self.relative_position_bias_table is None:
            return self._attend(tokens.flatten(1, 2)).reshape(batch, height, width, -1)
        tokens = F.pad(tokens, (0, 0, 0, -width % WINDOW, 0, -height % WINDOW))
        rows, columns = tokens.shape[1] // WINDOW, tokens.shape[2] // WINDOW
        parted = tokens.reshape(batch, rows, WINDOW, columns, WINDOW, -1).transpose(2, 3)
        attended = self._attend(parted.reshape(batch * rows * columns, WINDOW**2, -1))
        attended = attended.reshape(batch, rows, columns, WINDOW, WINDOW, -1).transpose(2, 3)
        return attended.reshape(batch, rows * WINDOW, columns * WINDOW, -1)[:, :height, :width]

    def _attend(self, tokens: Tensor) -> Tensor:
        parted = self.qkv(tokens).reshape(*tokens.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        table = self.relative_position_bias_table
        bias = None if table is None else table_bias(table, WINDOW).to(parted.dtype)
        seen = F.scaled_dot_product_attention(parted[0], parted[1], parted[2], attn_mask=bias)
        attended: Tensor = self.proj(seen.transpose(1, 2).flatten(2))
        return attended + parted[2].transpose(1, 2).flatten(2) if self.skips else attended


def _convolutions(widths: Sequence[int], groups: int, strides: Sequence[int]) -> nn.Sequential:
    """Make PCM: three convolutions of 3 × 3, norm and SiLU after the first two."""
    layers: list[nn.Module] = []
    for place, stride in enumerate(strides):
        layers.append(nn.Conv2d(widths[place], widths[place + 1], 3, stride, 1, groups=groups))
        if place < 2:
            layers += [nn.BatchNorm2d(widths[place + 1]), nn.SiLU()]
    return nn.Sequential(*layers)


def _dilated_convolution(inputs: int, outputs: int, side: int, stride: int, dilation: int) -> nn.Conv2d:
    padding = -(-((side - 1) * dilation + 1 - stride) // 2)
    return nn.Conv2d(inputs, outputs, side, stride, padding, dilation)


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
