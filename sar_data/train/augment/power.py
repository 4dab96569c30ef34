"""Resampling in linear power: the mean of values in dB is that of a geometric mean, which loses power."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from sar_data.errors import UsageError
from sar_data.normalization.presets import presets
from sar_data.radiometry import CONVERTIBLE
from sar_data.stream.channels import operands
from sar_data.stream.normalize import Figures
from sar_data.torch.normalize import in_unit
from sar_data.train.augment.steps import parse


class Power:
    """Convert normalized images to linear power and back, by the `units` and the `figures` of their channels."""

    def __init__(self, units: Mapping[str, str], figures: Figures) -> None:
        self._units = tuple(units.values())
        self._terms = torch.tensor([figures[name] for name in units], dtype=torch.float32)[:, :, None, None]

    def __call__(self, images: Tensor, act: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply `act` to images [B, C, H, W] in power and return the result, normalized as before; NaN stays NaN.

        C has the channels of one date, or of several.
        """
        offset, divisor = self._terms.to(images.device).unbind(1)
        dates = torch.unflatten(images, 1, (-1, len(self._units)))
        result = act(self._between(dates * divisor + offset, to_power=True).flatten(1, 2))
        back = self._between(torch.unflatten(result, 1, (-1, len(self._units))), to_power=False)
        return ((back - offset) / divisor).flatten(1, 2)

    def _between(self, dates: Tensor, *, to_power: bool) -> Tensor:
        """Return [B, date, channel, H, W] in power, or back in the channels' units."""
        ways = [(unit, "power") if to_power else ("power", unit) for unit in self._units]
        return torch.stack([in_unit(dates[:, :, i], *way) for i, way in enumerate(ways)], dim=2)


def power_of(
    resample: str, units: Mapping[str, str], normalize: str, figures: Figures | None, augment: Iterable[str] = ()
) -> Power | None:
    """Return how images are resampled in power, None where `resample` is dB: their values as they are.

    Raises UsageError for channels that have no power, and for a normalization or a tone mapping that cannot be undone.
    """
    if resample == "dB":
        return None
    preset = presets()[normalize]
    if not preset.affine or preset.clip or figures is None or "drae" in parse(augment):
        raise UsageError(
            f"resample=power: expected a normalization that can be undone, such as zscore, found {normalize}"
            f"{' and drae' if 'drae' in parse(augment) else ''}: leave `resample` out"
        )
    for name, unit in units.items():
        if unit not in CONVERTIBLE or (len(operands(name)) > 1 and unit != "power"):
            raise UsageError(
                f"resample=power: expected bands in {', '.join(CONVERTIBLE)}, found {name} in {unit or 'no unit'}: "
                "leave `resample` out"
            )
    return Power(units, figures)
