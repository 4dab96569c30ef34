"""What is done to images without any chance, in training and afterwards: their tone, and one size for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sar_data.stream.normalize import Normalizer
from sar_data.torch.normalize import Normalizing
from sar_data.train.augment import objects, resample, tone
from sar_data.train.augment.power import Power

Batch = dict[str, Any]
MASKED = 0.0  # what a masked pixel becomes, once images are normalized


class Preparation:
    """Tone mapping or normalization of batches, and their size.

    `steps` are those of an augmentation, of which tone mapping is heeded. Images are normalized by `how`, which is that
    of channels in physical units; None: they come normalized. Pixels without data are NaN, and `fill` in the end.
    `size` is the side of the output, None that of the input; with `power` images are resampled in power.
    """

    def __init__(
        self,
        steps: Mapping[str, float],
        how: Normalizer | None,
        *,
        size: int | None,
        power: Power | None = None,
        fill: float = MASKED,
    ) -> None:
        self._percent, self._how, self._size, self._fill = steps.get("drae"), how, size, fill
        self._power = power
        self._normalizing: Normalizing | None = None
        self._grid: tuple[tuple[object, ...], resample.Grid] | None = None

    def __call__(self, batch: Batch, centre: float = 1.0) -> Batch:
        """Return a batch for evaluation: normalized or toned, resized, the central part cut out.

        The shorter side becomes size / centre, of which the central size × size stay.
        """
        image = side_by_side(batch["image"])
        toned = batch | {"image": self.toned(image, torch.full((image.shape[0],), 0.5))}
        return self.filled(self.fitted(toned, centre))

    def filled(self, batch: Batch) -> Batch:
        """Return a batch as a network takes it, without NaN."""
        return batch | {"image": batch["image"].nan_to_num(nan=self._fill)}

    def toned(self, image: Tensor, chance: Tensor) -> Tensor:
        """Do what is to be done to values: tone mapping, or the normalization that was put off."""
        if self._percent is not None and (self._how is None or self._how.stretch is None):
            return tone.compressed(self._normalized(image), chance)
        if self._percent is not None:
            return tone.stretched(image, chance, self._percent)
        return self._normalized(image)

    def _normalized(self, image: Tensor) -> Tensor:
        if self._how is None:
            return image
        if self._normalizing is None or self._normalizing.device != image.device:
            planes = np.arange(image.shape[1]).reshape(-1, len(self._how.channels))  # of each date
            self._normalizing = Normalizing(self._how, planes, image.device)
        return side_by_side(self._normalizing(image))

    def fitted(self, batch: Batch, centre: float) -> Batch:
        """Return a batch of images of one size."""
        source = (batch["image"].shape[-2], batch["image"].shape[-1])
        if centre == 1 and (self._size is None or source == (self._size, self._size)):
            return batch
        side = min(source) if self._size is None else self._size
        if batch.keys() == {"image"}:
            return {"image": self._resized(batch["image"], source, side, centre)}
        return self.windowed(batch, resample.centred(batch["image"].shape[0], source, side, centre))

    def _resized(self, images: Tensor, source: tuple[int, int], side: int, centre: float) -> Tensor:
        """Return images alone at another size; what follows from sizes is kept, for they are mostly the same."""
        asked = (source, side, centre, images.device)
        if self._grid is None or self._grid[0] != asked:
            self._grid = (asked, resample.centred(1, source, side, centre).grid(images.device))
        return self._resampled(images, self._grid[1].images)

    def _resampled(self, images: Tensor, act: Callable[[Tensor], Tensor]) -> Tensor:
        return act(images) if self._power is None else self._power(images, act)

    def windowed(self, batch: Batch, windows: resample.Windows) -> Batch:
        """Return windows of a batch's images, with the masks or boxes in them."""
        image, target = batch["image"], batch.get("target")
        grid = windows.grid(image.device)
        # A GPU is not asked whether data are missing: the processor would wait for all that it has to do.
        missing = image.is_cuda or bool(image.isnan().any())
        found = batch | {"image": self._resampled(image, grid.images if missing else grid.complete)}
        if masks(batch):
            found["target"] = grid.masks(batch["target"])
        elif isinstance(target, list):
            places = zip(target, windows.start, windows.step, strict=True)
            found["target"] = [objects.windowed(one, start, step, windows.size) for one, start, step in places]
        return found


def side_by_side(images: Tensor) -> Tensor:
    """Return images [B, C, H, W] as they are, and those of several dates [B, date, C, H, W] as [B, date · C, H, W].

    So what moves one band moves all bands of all dates.
    """
    return images.flatten(1, 2) if images.ndim == 5 else images


def masks(batch: Batch) -> bool:
    """Say whether the targets of a batch are masks."""
    target = batch.get("target")
    return isinstance(target, Tensor) and target.ndim == 3
