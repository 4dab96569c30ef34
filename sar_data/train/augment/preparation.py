"""Preparation of images that is not random, in training and afterwards: tone or normalization, and one size."""

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

    Of `steps`, the steps of an augmentation, tone mapping alone is done. Images in physical units are normalized by
    `how`; with None they are normalized already. Pixels without data are NaN, and `fill` in the result.
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
        """Return a batch for evaluation: normalized or with mapped tones, resized, and cut to the central part.

        The shorter side becomes size / centre, of which the central size × size stay.
        """
        image = side_by_side(batch["image"])
        toned = batch | {"image": self.map_tones(image, torch.full((image.shape[0],), 0.5))}
        return self.fill(self.fit(toned, centre))

    def fill(self, batch: Batch) -> Batch:
        """Return a batch as a network takes it, without NaN."""
        return batch | {"image": batch["image"].nan_to_num(nan=self._fill)}

    def map_tones(self, image: Tensor, chance: Tensor) -> Tensor:
        """Return an image [B, C, H, W] after tone mapping by uniform numbers `chance` [B], or normalization."""
        if self._percent is not None and (self._how is None or self._how.stretch is None):
            return tone.compress(self._normalize(image), chance)
        if self._percent is not None:
            return tone.stretch(image, chance, self._percent)
        return self._normalize(image)

    def _normalize(self, image: Tensor) -> Tensor:
        if self._how is None:
            return image
        if self._normalizing is None or self._normalizing.device != image.device:
            planes = np.arange(image.shape[1]).reshape(-1, len(self._how.channels))  # of each date
            self._normalizing = Normalizing(self._how, planes, image.device)
        return side_by_side(self._normalizing(image))

    def fit(self, batch: Batch, centre: float) -> Batch:
        """Return a batch of images of one size."""
        source = (batch["image"].shape[-2], batch["image"].shape[-1])
        if centre == 1 and (self._size is None or source == (self._size, self._size)):
            return batch
        side = min(source) if self._size is None else self._size
        if batch.keys() == {"image"}:
            return {"image": self._resize(batch["image"], source, side, centre)}
        return self.cut_windows(batch, resample.central_windows(batch["image"].shape[0], source, side, centre))

    def _resize(self, images: Tensor, source: tuple[int, int], side: int, centre: float) -> Tensor:
        """Return images without targets at another size; the grid is kept, for sizes are mostly the same."""
        key = (source, side, centre, images.device)
        if self._grid is None or self._grid[0] != key:
            self._grid = (key, resample.central_windows(1, source, side, centre).grid(images.device))
        return self._resample(images, self._grid[1].images)

    def _resample(self, images: Tensor, act: Callable[[Tensor], Tensor]) -> Tensor:
        return act(images) if self._power is None else self._power(images, act)

    def cut_windows(self, batch: Batch, windows: resample.Windows) -> Batch:
        """Return windows of a batch's images, with the masks or boxes in them."""
        image, target = batch["image"], batch.get("target")
        grid = windows.grid(image.device)
        # On a GPU nothing asks whether data are missing: the processor would wait for all work queued there.
        missing = image.is_cuda or bool(image.isnan().any())
        window = batch | {"image": self._resample(image, grid.images if missing else grid.complete)}
        if masks(batch):
            window["target"] = grid.masks(batch["target"])
        elif isinstance(target, list):
            places = zip(target, windows.start, windows.step, strict=True)
            window["target"] = [objects.cut_window(item, start, step, windows.size) for item, start, step in places]
        return window


def side_by_side(images: Tensor) -> Tensor:
    """Return images [B, C, H, W] as they are, and those of several dates [B, date, C, H, W] as [B, date · C, H, W].

    So one operation moves all bands of all dates.
    """
    return images.flatten(1, 2) if images.ndim == 5 else images


def masks(batch: Batch) -> bool:
    """Say whether the targets of a batch are masks."""
    target = batch.get("target")
    return isinstance(target, Tensor) and target.ndim == 3
