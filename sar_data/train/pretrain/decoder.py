"""The decoder of a masked autoencoder: a small ViT that predicts all patches from the encoder's tokens of some."""

from __future__ import annotations

from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from sar_data.train.models.positions import sine_cosine

EPS = 1e-6  # of norms, as MAE's authors have it


class _Norm(nn.LayerNorm):
    def __init__(self, size: int, **options: Any) -> None:
        super().__init__(size, eps=EPS, **options)


class Decoder(nn.Module):
    """Predict `values` numbers of every patch on a grid (rows, columns), from an encoder's tokens of width `encoded`.

    It is MAE's (arXiv:2111.06377), and FG-MAE's: 512 wide, 8 blocks, 16 heads. A masked patch is one learnt token,
    with the fixed encoding of its position.
    """

    def __init__(
        self, encoded: int, grid: tuple[int, int], values: int, *, width: int = 512, depth: int = 8, heads: int = 16
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(encoded, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed: Tensor
        self.register_buffer("pos_embed", sine_cosine(grid, width, prefix=1))
        self.blocks = nn.ModuleList(Block(width, heads, qkv_bias=True, norm_layer=_Norm) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.pred = nn.Linear(width, values)

    def forward(self, encoded: Tensor, order: Tensor) -> Tensor:
        """Return [B, L, values] of the encoder's tokens [B, 1 + seen, encoded], in an order [B, L] of the patches."""
        tokens = self.embed(encoded)
        unseen = order.shape[1] + 1 - tokens.shape[1]
        masked = self.mask_token.to(tokens.dtype).expand(len(tokens), unseen, -1)
        places = order.argsort(dim=1)[..., None].expand(-1, -1, tokens.shape[2])
        patches = torch.cat([tokens[:, 1:], masked], dim=1).gather(1, places)
        tokens = torch.cat([tokens[:, :1], patches], dim=1) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        predicted: Tensor = self.pred(self.norm(tokens))
        return predicted[:, 1:]
