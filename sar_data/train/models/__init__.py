"""Networks by name: an encoder for any bands, and a classifier on one of its poolings.

The names are in sar_data.train.networks. A network has random values until sar_data.train.weights loads others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import timm
from torch import Tensor, nn

from sar_data.errors import UsageError, unknown
from sar_data.train.models.encoder import Backbone
from sar_data.train.models.rvsa import rotate_windows
from sar_data.train.models.variants import attend_by_distance, gate, pad_patches, squeeze_first, stride_first
from sar_data.train.models.vitae import ViTAEv2
from sar_data.train.networks import MODELS, OWN, VARIANTS

CHANGES: Mapping[str, Callable[[Any], None]] = {
    "se-resnet50-sarhub": stride_first,
    "mobilenetv3-small-sarhub": squeeze_first,
    **dict.fromkeys(("vit-b-rvsa", "vit-l-rvsa"), rotate_windows),
    **dict.fromkeys(("terramind-b", "terramind-l"), gate),
    **dict.fromkeys(("croma-b", "croma-l"), attend_by_distance),
    **dict.fromkeys(("dofa-b", "dofa-l"), pad_patches),
}
"""Changes to a network of VARIANTS after timm has made it."""
HEADS = ("linear", "bn-linear")


def backbone(name: str, channels: Sequence[str], *, image_size: int, drop_path: float = 0.0) -> Backbone:
    """Make an encoder by a name of MODELS, VARIANTS or timm, for images of these bands, `image_size` pixels a side.

    `drop_path` is the rate of the last block, as in timm. Raises UsageError for an unknown name, a network that cannot
    be used here, an image that patches do not tile, and a drop path where the network has none.
    """
    if not channels:
        raise UsageError(f"{name}: expected at least one channel, found none")
    net = ViTAEv2(len(channels), drop_path) if name in OWN else _of_timm(name, len(channels), image_size, drop_path)
    encoder = Backbone(net, name, channels, image_size)
    if encoder.patch and image_size % encoder.patch:
        near = max(1, round(image_size / encoder.patch)) * encoder.patch
        raise UsageError(
            f"{name}: expected an image size that patches of {encoder.patch} pixels tile, found {image_size}: "
            f"take {near}"
        )
    return encoder


def _of_timm(name: str, channels: int, image_size: int, drop_path: float) -> Any:
    timm_name, given = VARIANTS.get(name, (MODELS.get(name, name), {}))
    if not timm.is_model(timm_name):
        raise unknown("model", name, [*MODELS, *VARIANTS, *OWN, *timm.list_models(module="vision_transformer")])
    options = {**given, **({"drop_path_rate": drop_path} if drop_path else {})}
    config = timm.get_pretrained_cfg(timm_name)
    if config is not None and config.fixed_input_size:
        options["img_size"] = image_size
    try:
        net = timm.create_model(timm_name, in_chans=channels, num_classes=0, **options)
    except TypeError as error:
        raise UsageError(f"{name}: expected a network that takes {', '.join(options)}, found {error}") from None
    if name in CHANGES:
        CHANGES[name](net)
    return net


class Classifier(nn.Module):
    """Return logits [B, classes] of images [B, C, H, W]: a head on one pooling of an encoder."""

    def __init__(self, encoder: Backbone, head: nn.Module, pooling: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.pooling = pooling

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        logits: Tensor = self.head(self.encoder(images, (self.pooling,))[self.pooling])
        return logits


def classifier(encoder: Backbone, classes: int, *, pooling: str, head: str = "linear") -> Classifier:
    """Put a fresh head on an encoder, which is fixed to the pooling.

    `head` is "linear", or "bn-linear" as in FG-MAE's probing and fine-tuning: a BatchNorm without weights (eps 1e-6)
    before the linear layer. Linear weights are drawn with a standard deviation of 0.01, biases are 0. Raises UsageError
    for an unknown head or pooling.
    """
    if head not in HEADS:
        raise unknown("head", head, HEADS)
    width = encoder.size(pooling)
    encoder.settle(pooling)
    linear = nn.Linear(width, classes)
    nn.init.trunc_normal_(linear.weight, std=0.01)
    nn.init.zeros_(linear.bias)
    layers = [linear] if head == "linear" else [nn.BatchNorm1d(width, affine=False, eps=1e-6), linear]
    return Classifier(encoder, nn.Sequential(*layers), pooling)
