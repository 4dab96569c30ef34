"""What is predicted of each patch: its pixels, histograms of oriented gradients, or gradients by ratio."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sar_data.errors import UsageError
from sar_data.normalization.presets import presets
from sar_data.train.pretrain import hog, mgf
from sar_data.train.pretrain.patches import cut, standardize


@dataclass(frozen=True)
class Target:
    """The target of patches of `patch` × `patch` pixels: `name` is pixel, hog or mgf, of images of some channels.

    `radii` are those of mgf's windows. With `standardize` the values of each patch have mean 0 and variance 1.
    """

    name: str
    patch: int
    channels: int
    radii: tuple[int, ...]
    standardize: bool

    def check(self, side: int, normalize: str) -> None:
        """Raise UsageError for images of `side` pixels, or a normalization, that the target does not fit."""
        if self.name == "hog" and (self.patch % hog.CELLS or side % hog.WINDOW):
            raise UsageError(
                f"target hog: expected images that windows of {hog.WINDOW} pixels tile and patches of an even side, "
                f"found images of {side} and patches of {self.patch} pixels: take another `image_size=…`"
            )
        if self.name == "mgf" and max(self.radii) >= side:
            raise UsageError(f"mgf_radii {max(self.radii)}: expected less than the side of an image, {side} pixels")
        if self.name == "mgf" and presets()[normalize].unit_after != "minmax":
            fitting = [name for name, preset in presets().items() if preset.unit_after == "minmax"]
            raise UsageError(
                f"target mgf: expected images from 0 to 1, for it takes ratios, found `normalize={normalize}`: take "
                f"{', '.join(fitting)}"
            )

    @property
    def values(self) -> int:
        """How many numbers a patch has."""
        if self.name == "hog":
            return hog.width(self.channels)
        return self.patch**2 * self.channels * (len(self.radii) if self.name == "mgf" else 1)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 [B, L, values] of images [B, C, H, W] as an encoder sees them."""
        images = images.float()
        if self.name == "hog":
            values = hog.histograms(images, self.patch)
        elif self.name == "mgf":
            values = cut(mgf.gradients(images.clamp_min(0), self.radii), self.patch)
        else:
            values = cut(images, self.patch)
        return standardize(values) if self.standardize else values
