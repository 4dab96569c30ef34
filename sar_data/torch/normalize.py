"""Stored images normalized where they have been sent: few passes over the batch, the CPU's numbers.

Affine presets take three passes where all bands are wanted: subtract (which converts on the way), scale, fill. They are
not compiled into one, which would take seconds before the first batch; nor folded into `x * scale - offset * scale`,
which a single addcmul could do, but which is off by more than 1e-6 where a mean is as large as 50 deviations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sar_data.normalization.stretch import HIGH, LEVELS, LOW
from sar_data.radiometry import DECIBELS
from sar_data.stream.normalize import Conversion, Normalizer
from sar_data.stream.storage.store import Integers


class Normalizing:
    """What to do with the stored images of one build; its figures wait on the device, for sending them would block.

    `planes` [frame, band] says where the bands are.
    """

    def __init__(self, how: Normalizer, planes: Integers, device: torch.device) -> None:
        def there(values: Any) -> Tensor:
            return torch.as_tensor(np.ascontiguousarray(values), device=device)

        self._how, self._frames, self.device = how, len(planes), device
        first, paired = planes[:, how.first].ravel(), how.second >= 0
        whole = np.array_equal(first, np.arange(planes.size))
        self._first = None if whole else there(first)
        second = planes[:, np.where(paired, how.second, how.first)].ravel()
        self._second = there(second) if paired.any() else None
        self._less = there(np.tile(-paired.astype(np.float32), len(planes)))[:, None, None]
        self._offset, self._scale = there(how.terms)[:, :, None, None].unbind(1)
        self._shares = there(np.array([LOW, HIGH]))
        if how.after is not None:
            self._shift, self._factor = there(how.after)[:, :, None, None].unbind(1)
        self._floor, self._span = there(how.grey)[:, :, None, None].unbind(1)

    def __call__(self, stored: Tensor) -> Tensor:
        """Return float32 [sample, (frame,) channel, y, x] of stored images [sample, plane, y, x], on their device.

        The same operations in the same order as in the CPU's compiled loop, on the whole batch at once.
        """
        if stored.dtype == torch.uint16:
            stored = stored.float()  # torch can do little else with this type
        raw = stored if self._first is None else stored.index_select(1, self._first)
        known = not np.isnan(self._how.missing)
        hidden = raw == int(self._how.missing) if known else None
        if self._second is not None:
            other = stored.index_select(1, self._second)
            hidden = hidden.logical_or_(other == int(self._how.missing)) if hidden is not None else None
            raw = torch.addcmul(raw.float(), other.float(), self._less)  # a - b, or a - 0 * a: exact
        image = torch.sub(torch.unflatten(raw, 1, (self._frames, -1)), self._offset).mul_(self._scale)
        blank = float(self._how.blank)
        if stored.is_floating_point():
            image.nan_to_num_(nan=blank, posinf=blank, neginf=blank)
        if hidden is not None:
            image.masked_fill_(torch.unflatten(hidden, 1, (self._frames, -1)), blank)
        if self._how.conversions:
            image = self._convert(image)
        if self._how.stretch is not None:
            image = self._stretch(image)
        return image if self._frames > 1 else image[:, 0]

    def _convert(self, image: Tensor) -> Tensor:
        """Return images [sample, frame, channel, y, x] in their new units, normalized; NaN where there is no value."""
        planes = [self._channel(image, i, conversion) for i, conversion in enumerate(self._how.conversions)]
        normalized = torch.stack(planes, dim=2).sub_(self._shift).mul_(self._factor)
        if self._how.stretch is None:
            normalized.nan_to_num_(*(float(self._how.fill),) * 3)
        return normalized

    @staticmethod
    def _channel(image: Tensor, number: int, how: Conversion) -> Tensor:
        """Return one channel [sample, frame, y, x] of planes [sample, frame, plane, y, x]."""
        if how.formula is None:
            return in_unit(image[:, :, number], how.unit, how.target)
        first, second = (
            in_unit(image[:, :, number], how.unit, "power"),
            in_unit(image[:, :, how.second], how.other, "power"),
        )
        derived: Tensor = how.formula.of(first, second)
        return torch.where(torch.isfinite(derived), derived, torch.nan)

    def _stretch(self, image: Tensor) -> Tensor:
        """Stretch each channel of each image in place, clipped to its own two quantiles, or clip it to 0 … 1."""
        if self._how.stretch == "clip":
            return image.clamp_(0, 1).nan_to_num_(nan=float(self._how.fill))
        low, high = _quantiles(image.flatten(3), self._shares)
        floor, span = self._floor, self._span
        if self._how.stretch == "range":
            floor, span = low, torch.where(high > low, high - low, 1.0)
        image.clamp_(low, high).sub_(floor).div_(span)
        if self._how.stretch == "grey":
            image.mul_(LEVELS).clamp_(0, LEVELS).floor_().div_(LEVELS)
        return image.nan_to_num_(nan=float(self._how.fill))


def in_unit(values: Tensor, unit: str, target: str) -> Tensor:
    """Return float32 values of one unit in another, as sar_data.radiometry does on the CPU; NaN where there is none."""
    if unit == target:
        return values
    if target == "dB":
        converted = torch.where(values > 0, DECIBELS[unit] * torch.log10(values), torch.nan)
    elif unit == "dB":
        converted = torch.pow(10.0, values / DECIBELS[target])
    else:
        converted = torch.where(
            values >= 0, torch.square(values) if target == "power" else torch.sqrt(values), torch.nan
        )
    return torch.where(torch.isfinite(converted), converted, torch.nan)


def _quantiles(values: Tensor, shares: Tensor) -> Tensor:
    """Return the quantiles [share, sample, frame, channel, 1, 1] of what is not NaN in [sample, frame, channel, pixel].

    Interpolated between order statistics in float64, as numpy's default does.
    """
    last = (values.shape[-1] - 1 - values.isnan().sum(dim=-1, keepdim=True)).clamp_min_(0)
    at = last * shares
    rank = at.long()
    ascending = values.sort(dim=-1).values  # NaN come last
    low = ascending.gather(-1, rank).double()
    high = ascending.gather(-1, torch.minimum(rank + 1, last)).double()
    quantiles = low + (high - low) * (at - rank)
    return quantiles.float().movedim(-1, 0)[..., None, None]
