"""Foundation models as encoders of one SAR image: their tensors in the names and shapes of timm's ViT.

- TerraMind (IBM/terratorch at 7cbd330, models/backbones/terramind): a linear layer embeds the pixels of a patch,
  channels last; an embedding of the product and fixed positions are added. Norms have no biases, and the larger sizes
  no bias at all.
- CROMA (antofuller/CROMA, use_croma.py): no positions, but a bias by distance in every attention.
- DOFA (zhu-xlab/DOFA, wave_dynamic_layer.py): a transformer computes the patch embedding from wavelengths, so that for
  given bands it is one convolution, which is computed here, once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sar_data.errors import UsageError

Tensors = Mapping[str, Tensor]
PRODUCTS = {"s1grd": "untok_sen1grd@224", "s1rtc": "untok_sen1rtc@224"}  # TerraMind's names of products
TERRAMIND, GENERATOR = "encoder_norm.weight", "patch_embed.weight_generator.weight_tokens"
C_BAND = 5.405  # DOFA's wavelength of Sentinel-1 as published; in fact it is a frequency in GHz
DOFA_HEADS, DOFA_SCALE = 4, 0.01
_CROMA = {"0.input_norm": "norm1", "0.to_qkv": "attn.qkv", "0.to_out": "attn.proj"}
_CROMA |= {"1.input_norm": "norm2", "1.net.0": "mlp.fc1", "1.net.3": "mlp.fc2"}


def of_product(tensors: Tensors, stem: str | None) -> dict[str, Tensor]:
    """Return TerraMind's encoder with the embedding of one product; raise UsageError where `stem` names none."""
    if stem not in PRODUCTS:
        raise UsageError(
            f"the file embeds products apart: expected {' or '.join(f'`stem={name}`' for name in PRODUCTS)}, by the "
            f"calibration of the build, found {f'stem {stem}' if stem else 'none'}"
        )
    home = f"encoder_embeddings.{PRODUCTS[stem]}."
    embedding = {name.removeprefix(home): value for name, value in tensors.items() if name.startswith(home)}
    if missing := {"proj.weight", "mod_emb", "pos_emb"} - embedding.keys():
        raise UsageError(f"expected the embedding {PRODUCTS[stem]}, found no {', '.join(sorted(missing))} of it")
    kept = {name: value for name, value in tensors.items() if re.match(r"encoder(\.\d+\.|_norm\.)", name)}
    return {**kept, **{f"embedding.{name}": value for name, value in embedding.items()}}


def terramind(tensors: Tensors, net: Any) -> dict[str, Tensor]:
    """Name TerraMind's encoder as timm does; layers without a bias get zeros."""
    side, width = net.patch_embed.patch_size[0], net.embed_dim
    pixels = tensors["embedding.proj.weight"].reshape(width, side, side, -1)
    renamed = {"patch_embed.proj.weight": pixels.permute(0, 3, 1, 2).contiguous()}
    renamed["pos_embed"] = tensors["embedding.pos_emb"] + tensors["embedding.mod_emb"]
    gated = "encoder.0.mlp.fc3.weight" in tensors
    for name, value in tensors.items():
        name = re.sub(r"^encoder\.", "blocks.", name).replace("encoder_norm.", "norm.")
        if gated:
            name = name.replace("mlp.fc1.", "mlp.fc1_g.").replace("mlp.fc3.", "mlp.fc1_x.")
        if not name.startswith("embedding."):
            renamed[name] = value
    biases = [name for name in net.state_dict() if re.search(r"(norm\d?|patch_embed\.proj)\.bias$", name)]
    return {**{name: torch.zeros(width) for name in biases}, **renamed}


def croma(tensors: Tensors, net: Any) -> dict[str, Tensor]:
    """Name CROMA's encoder of Sentinel-1 as timm does."""
    side, width = net.patch_embed.patch_size[0], net.embed_dim
    renamed = {
        "patch_embed.proj.weight": tensors["linear_input.weight"].reshape(width, -1, side, side),
        "patch_embed.proj.bias": tensors["linear_input.bias"],
    }
    for name, value in tensors.items():
        if block := re.fullmatch(r"transformer\.layers\.(\d+)\.(.+)\.(weight|bias)", name):
            renamed[f"blocks.{block[1]}.{_CROMA.get(block[2], block[2])}.{block[3]}"] = value
        elif name.startswith("transformer.norm_out."):
            renamed[name.replace("transformer.norm_out.", "norm.")] = value
    return renamed


def dofa(tensors: Tensors, net: Any) -> dict[str, Tensor]:
    """Compute DOFA's patch embedding for as many C-band channels as a network has; keep the rest."""
    kept = {name: value for name, value in tensors.items() if not name.startswith("patch_embed.")}
    home = "patch_embed.weight_generator."
    own = {name.removeprefix(home): value.float() for name, value in tensors.items() if name.startswith(home)}
    count, width = net.patch_embed.proj.in_channels, own["weight_tokens"].shape[1]
    rate = 10000.0 ** -(torch.arange(width // 2) / (width / 2))
    waves = torch.cat([(C_BAND * 1000 * rate).sin(), (C_BAND * 1000 * rate).cos()]).repeat(count, 1)
    inner = _linear(tensors, "patch_embed.fclayer.w2", _linear(tensors, "patch_embed.fclayer.w1", waves).relu())
    waves = waves + inner.relu()
    inside = {name.removeprefix(_LAYER): value for name, value in own.items() if name.startswith(_LAYER)}
    layer = nn.TransformerEncoderLayer(
        width, DOFA_HEADS, inside["linear1.weight"].shape[0], dropout=0.0, activation="gelu"
    )
    layer.load_state_dict(inside)
    with torch.no_grad():
        seen = layer.eval()(torch.cat([own["weight_tokens"], waves, own["bias_token"]]))
    weight = _linear(own, "fc_weight", seen[-1 - count : -1] + waves) * DOFA_SCALE
    side = math.isqrt(weight.shape[1] // net.embed_dim)
    weight = weight.reshape(count, side, side, net.embed_dim).permute(3, 0, 1, 2)
    kept["patch_embed.proj.weight"] = weight.contiguous()
    kept["patch_embed.proj.bias"] = _linear(own, "fc_bias", seen[-1]) * DOFA_SCALE
    return kept


_LAYER = "transformer_encoder.layers.0."


def _linear(tensors: Tensors, name: str, values: Tensor) -> Tensor:
    return nn.functional.linear(values, tensors[f"{name}.weight"].float(), tensors[f"{name}.bias"].float())
