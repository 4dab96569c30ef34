"""A checkpoint's tensors in the shapes of an encoder, every one of them or none.

Position embeddings are interpolated bicubically without anti-aliasing, as in MAE; that of the class token stays.
Scale-MAE computes them from the grid and the size of a pixel (util/pos_embed.py of its repository); here they are
computed for the encoder's grid, with a relative pixel size of 1. A Swin's tables of relative positions are
interpolated bicubically to another window, as in Microsoft's code and SAR-HUB's, and RVSA's relative positions of a
whole map to another side.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor
from torch.nn.functional import interpolate

from sar_data.errors import UsageError
from sar_data.naming import few
from sar_data.train.models.encoder import FINAL, Backbone
from sar_data.train.models.positions import sine_cosine

# Tensors that are no part of an encoder: decoders, heads, computed tables, and parts of RVSA that a plain ViT lacks.
BESIDE = re.compile(
    r"(decoder|mask_token|hog|heads?[._]|fc\.|classifier\.|norm[0-3]\.|fpn|fcn|pos_emb_projection|projector|intermediates\.|upsample|queue)"
    r"|.*(relative_position_index|relative_coords_table|attn_mask|attn\.k_bias)$"
    r"|blocks\.\d+\.attn\.(sampling_\w+|(full_attn_)?rel_pos_[hw]|relative_position_bias_table)"
)
COMPUTED = "mask_token_decoder"  # only Scale-MAE's files have it
FRESH = ("fc_norm.weight", "fc_norm.bias")


@dataclass
class Fit:
    """The changes to a checkpoint: names dropped, initialised, and resized (name → from and to)."""

    dropped: list[str]
    fresh: list[str]
    resized: dict[str, str]


def fit(encoder: Backbone, tensors: dict[str, Tensor], stem: Callable[[Tensor], Tensor], *, computed: bool) -> Fit:
    """Load tensors named as timm names them; raise UsageError with all names that are missing, left over or misshapen.

    `stem` maps a first layer's weight to the encoder's bands; `computed` says that position embeddings are computed, as
    for Scale-MAE.
    """
    target: dict[str, Tensor] = encoder.net.state_dict()
    done = Fit([], [], {})
    done.dropped += [name for name in tensors if name not in target and (BESIDE.match(name) or name.startswith(FINAL))]
    own = {name: value for name, value in tensors.items() if name not in done.dropped}
    for first in own.keys() & stems_of(encoder):
        own[first] = stem(own[first])
    if "pos_embed" in target and (computed or COMPUTED in tensors):
        like, grid = target["pos_embed"], tuple(encoder.net.patch_embed.grid_size)
        own["pos_embed"] = sine_cosine(grid, like.shape[2], prefix=like.shape[1] - math.prod(grid)).to(like)
        done.resized["pos_embed"] = f"computed for {grid}"
    for name in own.keys() & target.keys():
        own[name] = reshape(name, own[name], target[name], encoder.net, done.resized)
    done.fresh += [name for name in FRESH if name in target and name not in own]
    # Files from before PyTorch 0.4.1 do not count a norm's batches.
    counts = [name for name in target if name.endswith("num_batches_tracked") and name not in own]
    _complete(encoder, own, target, {*done.fresh, *counts})
    with torch.no_grad():
        encoder.net.load_state_dict({**{name: target[name] for name in (*done.fresh, *counts)}, **own})
    return done


def stems_of(encoder: Backbone) -> list[str]:
    """Return the names of the weights that see the bands: of the first layer, or of several parallel ones."""
    first = encoder.net.pretrained_cfg["first_conv"]
    return [f"{name}.weight" for name in ([first] if isinstance(first, str) else first)]


def reshape(name: str, value: Tensor, like: Tensor, net: Any, resized: dict[str, str]) -> Tensor:
    """Return a tensor in the shape of another, where positions can be interpolated, and record that in `resized`."""
    if value.shape == like.shape:
        return value
    before = tuple(value.shape)
    if name == "pos_embed" and value.ndim == 3 and value.shape[2] == like.shape[2]:
        prefix = like.shape[1] - math.prod(net.patch_embed.grid_size)
        if not prefix and _is_square(value.shape[1] - 1):
            value = value[:, 1:]  # the class token's, which the network does not have
        if _is_square(value.shape[1] - prefix):
            value = resample_abs_pos_embed(value, net.patch_embed.grid_size, None, prefix, antialias=False)
    elif name.endswith("relative_position_bias_table") and value.shape[1:] == like.shape[1:] and _is_square(len(value)):
        before_side, side = math.isqrt(len(value)), math.isqrt(len(like))
        table = value.T.reshape(1, -1, before_side, before_side).float()
        value = interpolate(table, size=(side, side), mode="bicubic").reshape(-1, side * side).T.contiguous()
    elif re.search(r"full_attn_rel_pos_[hw]$", name) and value.shape[1:] == like.shape[1:] and len(value):
        row = value.T[None, :, :, None].float()
        value = interpolate(row, size=(len(like), 1), mode="bicubic")[0, :, :, 0].T.contiguous()
    elif value.numel() == like.numel() and value.shape == like.shape[: value.ndim]:
        return value.reshape(like.shape)  # a linear layer where timm has a 1 × 1 convolution
    if value.shape == like.shape:
        resized[name] = f"{before} → {tuple(like.shape)}"
    return value


def _is_square(number: int) -> bool:
    return number > 0 and math.isqrt(number) ** 2 == number


def _complete(encoder: Backbone, own: dict[str, Tensor], target: dict[str, Tensor], spared: Collection[str]) -> None:
    missing = [name for name in target if name not in own and name not in spared]
    if not own.keys() & target.keys() - {"pos_embed"}:  # which may be computed here
        raise UsageError(
            f"expected weights of {encoder.name}, found a checkpoint of another kind of network: it has "
            f"{', '.join(sorted(own)[:4])} …, not {', '.join(missing[:4])} …"
        )
    extra = [name for name in own if name not in target]
    shapes = [
        f"{name} {tuple(own[name].shape)} for {tuple(target[name].shape)}"
        for name in own
        if name in target and own[name].shape != target[name].shape
    ]
    flaws = [
        f"{what}: {few(sorted(names))}"
        for what, names in (("missing", missing), ("unexpected", extra), ("of another shape", shapes))
        if names
    ]
    if flaws:
        remedy = _remedy(encoder, own, missing)
        raise UsageError(f"expected every weight of {encoder.name}, found {'; '.join(flaws)}: {remedy}")


def _remedy(encoder: Backbone, own: dict[str, Tensor], missing: list[str]) -> str:
    if encoder.kind == "vit" and "cls_token" not in own and encoder.net.cls_token is not None:
        return "it has no class token, so take a ViT without one, such as vit-b-gap"
    if missing and all(name.startswith(FINAL) for name in missing):
        mean = ", or on the mean of tokens: then take `pooling=mean`" if encoder.kind == "vit" else ""
        return f"it was trained without what is last, on masks or boxes, and is for `segment` and `detect`{mean}"
    return "take the model that the checkpoint was trained in"
