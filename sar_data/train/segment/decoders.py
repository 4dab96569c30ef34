"""Segmentation models: an encoder's levels, a neck for plain ViTs, a decoder by name, and a class for every pixel.

    upernet        mmseg's UPerNet (sar_data/train/segment/upernet.py)
    upernet-diary  the UPerNet of the diary
    upernet-smp    UPerNet of segmentation_models_pytorch: mmseg's, with a LayerNorm on every level first
    unet           a U-Net's decoder, up to the size of the image (sar_data/train/segment/unet.py)
    fpn            FPN of segmentation_models_pytorch (Kirillov et al. 2019): GroupNorm, half the channels at the end
    deeplabv3      its DeepLabv3 (Chen et al. 2017): rates 12, 24, 36 on an encoder dilated to stride 8
    deeplabv3-mmseg  mmseg's DeepLabv3 (sar_data/train/segment/aspp.py), with an auxiliary head of 512 channels

Only the decoders of that library are used. Its encoders are copies of timm's under other names, for which weights,
layer decay and freezing would have to be written a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from sar_data.errors import UsageError, unknown
from sar_data.train.models.encoder import LEVELS, Backbone
from sar_data.train.segment.aspp import ASPP, RATES
from sar_data.train.segment.dilation import dilate
from sar_data.train.segment.fusion import Fusion
from sar_data.train.segment.pyramid import Feature2Pyramid
from sar_data.train.segment.unet import UNet
from sar_data.train.segment.upernet import DROPOUT, convolution, diary_form, mmseg_form, resize

GROUPS = 32  # of channels, each normalized together by smp's FPN
RATE_DROPOUT = 0.5
DILATED = ("deeplabv3", "deeplabv3-mmseg")
# mmseg's FCNHead: its channels by default and by head, and the level that it reads, of stride 16.
AUXILIARY, AUXILIARY_OF, AUXILIARY_LEVEL = 256, {"deeplabv3-mmseg": 512}, 2


class Library(nn.Module):
    """A decoder of segmentation_models_pytorch, which expects two levels before the four and ignores them."""

    def __init__(self, decoder: nn.Module, width: int) -> None:
        super().__init__()
        self.decoder, self.width = decoder, width

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return [B, width, H, W]."""
        features: Tensor = self.decoder([*levels[:2], *levels])
        return features


def _upernet(inputs: Sequence[int], channels: int) -> Library:
    from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder

    return Library(UPerNetDecoder([0, 0, *inputs], decoder_channels=channels), channels)


def _fpn(inputs: Sequence[int], channels: int) -> Library:
    from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder

    if channels % (2 * GROUPS):
        raise UsageError(f"head fpn: expected channels in multiples of {2 * GROUPS}, found {channels}")
    return Library(
        FPNDecoder([0, 0, *inputs], pyramid_channels=channels, segmentation_channels=channels // 2), channels // 2
    )


def _deeplab(inputs: Sequence[int], channels: int) -> Library:
    from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3Decoder

    return Library(DeepLabV3Decoder(inputs[-1], channels, RATES, False, RATE_DROPOUT), channels)


DECODERS: dict[str, Callable[[Sequence[int], int], Any]] = {
    "upernet": mmseg_form,
    "upernet-diary": diary_form,
    "upernet-smp": _upernet,
    "unet": UNet,
    "fpn": _fpn,
    "deeplabv3": _deeplab,
    "deeplabv3-mmseg": ASPP,
}


class Segmenter(nn.Module):
    """Give logits [B, classes, H, W] of images [B, C, H, W], and in training those of the auxiliary head.

    With several dates, C has the bands of each date in turn, and `fusion` combines their levels.
    `auxiliary` is the width of that head, 0 for none.
    """

    def __init__(self, encoder: Backbone, decoder: Any, classes: int, *, auxiliary: int, fusion: Fusion) -> None:
        super().__init__()
        self.encoder, self.fusion = encoder, fusion
        self.neck = Feature2Pyramid(fusion.factor * encoder.width) if encoder.kind == "vit" else None
        self.decoder = decoder
        self.classes = _classes(decoder.width, classes)
        self.auxiliary: nn.Module | None = None
        if auxiliary:
            inputs = fusion.factor * encoder.level_channels[AUXILIARY_LEVEL]
            self.auxiliary = nn.Sequential(
                convolution(inputs, auxiliary, 3), nn.Dropout2d(DROPOUT), _classes(auxiliary, classes)
            )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return [logits], or [logits, auxiliary logits] in training, float32, of the images' height and width."""
        levels = self.fusion.levels(self.encoder, images)
        if self.neck is not None:
            levels = self.neck(levels)
        outputs = [self.classes(self.decoder(levels))]
        if self.auxiliary is not None and self.training:
            outputs.append(self.auxiliary(levels[AUXILIARY_LEVEL]))
        # In half precision, interpolated values between two pixels would be equal.
        return [resize(logits.float(), images.shape[-2:]) for logits in outputs]


def segmenter(
    encoder: Backbone, classes: int, *, head: str, channels: int, auxiliary: bool = False, fusion: Fusion | None = None
) -> Segmenter:
    """Return a segmenter with a new decoder on an encoder, which gives its levels; `fusion` is for several dates.

    `channels` is the decoder's width. Raises UsageError for an unknown head, a head that does not fit the encoder, and
    images whose levels do not double in size where the head requires it.
    """
    if head not in DECODERS:
        raise unknown("head", head, DECODERS)
    if head == "fpn":
        _check_doubling(encoder)
    encoder.settle(LEVELS)
    if head in DILATED:
        dilate(encoder)
    fusion = fusion or Fusion()
    decoder = DECODERS[head]([fusion.factor * width for width in encoder.level_channels], channels)
    width = AUXILIARY_OF.get(head, AUXILIARY) if auxiliary else 0
    return Segmenter(encoder, decoder, classes, auxiliary=width, fusion=fusion)


def _classes(width: int, classes: int) -> nn.Conv2d:
    """Make the last convolution, with mmseg's initial values: normal with deviation 0.01, biases 0."""
    layer = nn.Conv2d(width, classes, 1)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # this layer has a bias
    return layer


def _check_doubling(encoder: Backbone) -> None:
    """Raise UsageError where a level is not twice as large as the next, which smp's FPN requires."""
    coarsest = 2 * encoder.patch if encoder.patch else encoder.strides[-1]
    if encoder.image_size % coarsest:
        raise UsageError(
            f"head fpn: expected images whose side is a multiple of {coarsest} pixels with {encoder.name}, found "
            f"{encoder.image_size}. Take another `image_size=…` or `crop=…`, or `head=upernet`"
        )
