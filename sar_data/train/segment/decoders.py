"""Segmentation models: an encoder's levels, a neck for plain ViTs, a decoder by name, and a class for every pixel.

    upernet        UPerNet as mmseg has it (sar_data/train/segment/upernet.py)
    upernet-diary  UPerNet as the diary has it
    upernet-smp    UPerNet of segmentation_models_pytorch: mmseg's, with a LayerNorm on every level first
    unet           a U-Net's, up to the size of the image (sar_data/train/segment/unet.py)
    fpn            its FPN (Kirillov et al. 2019): GroupNorm, half as many channels at the end
    deeplabv3      its DeepLabv3 (Chen et al. 2017): rates 12, 24, 36 on an encoder dilated to stride 8
    deeplabv3-mmseg  DeepLabv3 as mmseg has it (sar_data/train/segment/aspp.py), with an auxiliary head of 512 channels

Of the library only the decoders are taken. Its encoders would be second copies of timm's under other names: weights,
layer decay and freezing would have to be written twice.
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
from sar_data.train.segment.upernet import DROPOUT, convolution, diary_form, mmseg_form, resized

GROUPS = 32  # of channels, which smp's FPN normalizes together
RATE_DROPOUT = 0.5
DILATED = ("deeplabv3", "deeplabv3-mmseg")
# mmseg's FCNHead: its channels, where they are others, and the level of stride 16 that it stands on.
AUXILIARY, AUXILIARY_OF, AUXILIARY_LEVEL = 256, {"deeplabv3-mmseg": 512}, 2


class Library(nn.Module):
    """A decoder of segmentation_models_pytorch, which expects two finer levels than the four and leaves them out."""

    def __init__(self, decoder: nn.Module, width: int) -> None:
        super().__init__()
        self.decoder, self.width = decoder, width

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return [B, width, H, W]."""
        found: Tensor = self.decoder([*levels[:2], *levels])
        return found


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
    """Give logits [B, classes, H, W] of images [B, C, H, W]; in training those of the auxiliary head, too.

    Of several dates C has the bands of each date, one date after the other; a `fusion` makes one image of their levels.
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
        found = [self.classes(self.decoder(levels))]
        if self.auxiliary is not None and self.training:
            found.append(self.auxiliary(levels[AUXILIARY_LEVEL]))
        # Half precision would make ties of the values between two pixels.
        return [resized(logits.float(), images.shape[-2:]) for logits in found]


def segmenter(
    encoder: Backbone, classes: int, *, head: str, channels: int, auxiliary: bool = False, fusion: Fusion | None = None
) -> Segmenter:
    """Put a fresh decoder on an encoder, which is settled on its levels; `fusion` is of several dates.

    `channels` is the decoder's width. Raises UsageError for an unknown head, one that does not fit the encoder, and
    images whose levels do not double in size where the head wants it.
    """
    if head not in DECODERS:
        raise unknown("head", head, DECODERS)
    if head == "fpn":
        _doubling(encoder)
    encoder.settle(LEVELS)
    if head in DILATED:
        dilate(encoder)
    fusion = fusion or Fusion()
    decoder = DECODERS[head]([fusion.factor * width for width in encoder.level_channels], channels)
    width = AUXILIARY_OF.get(head, AUXILIARY) if auxiliary else 0
    return Segmenter(encoder, decoder, classes, auxiliary=width, fusion=fusion)


def _classes(width: int, classes: int) -> nn.Conv2d:
    """Make the last convolution, with mmseg's initial values: normal of 0.01, biases 0."""
    made = nn.Conv2d(width, classes, 1)
    nn.init.normal_(made.weight, std=0.01)
    nn.init.zeros_(made.bias)  # type: ignore[arg-type]  # it has one
    return made


def _doubling(encoder: Backbone) -> None:
    """Raise UsageError where each level is not twice as large as the next, which smp's FPN takes for granted."""
    coarsest = 2 * encoder.patch if encoder.patch else encoder.strides[-1]
    if encoder.image_size % coarsest:
        raise UsageError(
            f"head fpn: expected images whose side is a multiple of {coarsest} pixels with {encoder.name}, found "
            f"{encoder.image_size}. Take another `image_size=…` or `crop=…`, or `head=upernet`"
        )
