"""A masked autoencoder: an encoder of timm that sees some patches of an image, a decoder that predicts all of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sar_data.errors import UsageError
from sar_data.train.models.encoder import Backbone
from sar_data.train.models.positions import sine_cosine
from sar_data.train.networks import OWN, VARIANTS
from sar_data.train.pretrain.decoder import Decoder
from sar_data.train.pretrain.masking import seen

TOKEN_STD = 0.02


class Autoencoder(nn.Module):
    """Predict `values` numbers of each patch from int(L · (1 - ratio)) patches of an image.

    Parameters are initialised as in MAE: Xavier's uniform distribution, a patch embedding as if it were linear,
    sine-cosine positions that are not trained. Raises UsageError for an encoder that is no plain ViT with a class
    token.
    """

    def __init__(self, encoder: Backbone, values: int, ratio: float, *, width: int, depth: int, heads: int) -> None:
        super().__init__()
        grid = _grid(encoder)
        self.patches = grid[0] * grid[1]
        self.seen = seen(self.patches, ratio)
        net = encoder.net
        del net.pos_embed
        net.register_buffer("pos_embed", sine_cosine(grid, encoder.width, prefix=1))
        self.encoder = encoder
        self.decoder = Decoder(encoder.width, grid, values, width=width, depth=depth, heads=heads)
        self.apply(_begin)
        nn.init.xavier_uniform_(net.patch_embed.proj.weight.detach().flatten(1))
        for token in (net.cls_token, self.decoder.mask_token):
            nn.init.normal_(token, std=TOKEN_STD)

    def forward(self, images: Tensor, order: Tensor) -> Tensor:
        """Return [B, L, values] of images [B, C, H, W]; the first patches in the order [B, L] are visible."""
        predicted: Tensor = self.decoder(self.encode(images, order), order)
        return predicted

    def encode(self, images: Tensor, order: Tensor) -> Tensor:
        """Return the encoder's tokens [B, 1 + seen, width]: the class token, then the patches in their order."""
        net = self.encoder.net
        grid = net.patch_embed(images)  # some networks of timm keep rows and columns
        tokens = grid.flatten(1, -2) + net.pos_embed[:, 1:]
        places = order[:, : self.seen, None].expand(-1, -1, tokens.shape[2])
        first = (net.cls_token + net.pos_embed[:, :1]).expand(len(images), -1, -1)
        tokens = net.norm_pre(torch.cat([first, tokens.gather(1, places)], dim=1))
        for block in net.blocks:
            tokens = block(tokens)
        features: Tensor = net.norm(tokens)
        return features


def _grid(encoder: Backbone) -> tuple[int, int]:
    """Return rows and columns of the patches; raise UsageError for an encoder that cannot leave patches out."""
    net = encoder.net
    plain = encoder.kind == "vit" and encoder.name not in (*VARIANTS, *OWN)
    if not plain or net.cls_token is None or net.num_prefix_tokens != 1:
        raise UsageError(
            f"{encoder.name}: expected a plain ViT with a class token, which can leave patches out: take vit-s, vit-b, "
            "vit-l or vit-h"
        )
    rows, columns = net.patch_embed.grid_size
    return rows, columns


def _begin(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        module.reset_parameters()
