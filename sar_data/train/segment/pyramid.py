"""Feature2Pyramid: four maps of a plain ViT, all at the same stride, become a pyramid as of convolutional encoders."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Feature2Pyramid(nn.Module):
    """Bring four maps [B, width, H, W] to 4, 2, 1 and 1/2 times their height and width, in this order.

    By two transposed convolutions of 2 × 2 with BatchNorm and GELU between them; by one; unchanged; by max pooling of
    2 × 2. As in mmseg/models/necks/featurepyramid.py. With patches of 16 pixels the strides are 4, 8, 16 and 32.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            [
                nn.Sequential(_upsampling(width), nn.BatchNorm2d(width), nn.GELU(), _upsampling(width)),
                _upsampling(width),
                nn.Identity(),
                nn.MaxPool2d(2),
            ]
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return the pyramid, finest first."""
        return [scale(level) for scale, level in zip(self.scales, levels, strict=True)]


def _upsampling(width: int) -> nn.Module:
    return nn.ConvTranspose2d(width, width, 2, stride=2)
