"""Baking: what `repack` does to stored values, one image at a time: cut to one size, resize, normalize, narrow.

Resampling is cubic convolution (Keys 1981, a = -0.5), widened when shrinking; masked pixels (NaN) get no weight and
the others' weights are renormalized; a pixel is masked in the result where its nearest source pixel is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from sar_data.builder.request import Domain
from sar_data.builder.speckle import Filter
from sar_data.crop import cut
from sar_data.formats.storage import narrow, physical
from sar_data.normalization.presets import Preset, presets
from sar_data.normalization.stretch import stretch
from sar_data.radiometry import convert_unit
from sar_data.record import IGNORE, Image, Mask

Floats = npt.NDArray[np.float32]
LEAST_WEIGHT = 0.05  # below this share of valid weight a cubic sum is not an average any more


class Baked(NamedTuple):
    """A baked image, its mask, the pixels clipped in each band, and those without a value in its new unit."""

    image: Image
    mask: Mask | None
    clipped: tuple[int, ...]
    unvalued: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bake:
    """What to do; `offset`, `divisor` are [band] and hold the normalization's figures, both empty for none.

    `units` are what the bands are in and what they become. A filter of speckle sees power, before all else; resizing is
    done on values as they are, or in power (`resample`).
    `cut` is the side of the one size that all images get; `scale` is that of the parent's stored integers, None where
    the parent stores floats; `fill` is the value of its missing pixels.
    """

    cut: int | None = None
    units: tuple[tuple[str, str], ...] = ()
    speckle: Filter | None = None
    resize: int | None = None
    resample: Domain = "dB"
    normalize: str | None = None
    offset: tuple[float, ...] = ()
    divisor: tuple[float, ...] = ()
    dtype: Literal["float32", "float16", "int16"] | None = None
    scale: float | None = None
    fill: float = float("nan")

    @property
    def keeps_pixels(self) -> bool:
        """Say whether every pixel is there afterwards, be it in other numbers."""
        return self.cut is None and self.resize is None

    def apply(self, image: Image, mask: Mask | None = None) -> Baked:
        """Return the baked image [..., band, y, x] and mask [y, x]."""
        bands, scale, fill = image.shape[-3], self.scale, self.fill
        if self.speckle is not None:  # before pixels beyond a window are gone
            image = in_power(physical(image, scale).astype(np.float32), self._before, self.speckle.apply)
            scale, fill = None, float("nan")
        if self.cut is not None:
            image = cut(image, self.cut, fill)
            mask = None if mask is None else cut(mask, self.cut, IGNORE)
        if self.resize is None and self.normalize is None and self.dtype is None and not self._converts:
            return Baked(image, mask, (0,) * bands, (0,) * bands)
        values, unvalued = self._convert(physical(image, scale).astype(np.float32))
        if self.resize is not None:
            side = self.resize
            if self.resample == "power":
                values = in_power(values, self._after, lambda plane: resize(plane, side, side))
            else:
                values = _each(values, lambda plane, _: resize(plane, side, side))
            if mask is not None:
                rows, columns = (_taps(size, side)[2] for size in mask.shape)
                mask = np.ascontiguousarray(mask[rows[:, None], columns])
        if self.normalize is not None:
            values = self._normalize(values, presets()[self.normalize])
        if self.dtype == "int16":
            stored, clipped = narrow(values)
            return Baked(stored, mask, clipped, unvalued)
        return Baked(np.ascontiguousarray(values, self.dtype or np.float32), mask, (0,) * bands, unvalued)

    def _normalize(self, values: Floats, preset: Preset) -> Floats:
        """Return float32 [..., band, y, x] normalized; masked pixels are NaN where others are stretched or cut."""
        if preset.affine:
            offset, divisor = (np.array(v, np.float32)[:, None, None] for v in (self.offset, self.divisor))
            values = (values - offset) / divisor
            return np.where(np.isfinite(values), values.clip(0, 1), np.float32(np.nan)) if preset.clip else values
        bands = values.shape[-3]
        planes = np.ascontiguousarray(values).reshape(-1, bands, math.prod(values.shape[-2:]))
        terms = np.ones((bands, 2), np.float32)  # of which "range" needs none
        if preset.kind == "grey":
            terms[:] = np.transpose([self.offset, self.divisor])
        stretch(planes, preset.kind == "grey", terms, np.float32(np.nan))
        return planes.reshape(values.shape)

    @property
    def _before(self) -> list[str]:
        return [before for before, _ in self.units]

    @property
    def _after(self) -> list[str]:
        return [after for _, after in self.units]

    @property
    def _converts(self) -> bool:
        return self._before != self._after

    def _convert(self, values: Floats) -> tuple[Floats, tuple[int, ...]]:
        """Return values [..., band, y, x] in their new units, and the pixels [band] that have none there."""
        output, unvalued = values, [0] * values.shape[-3]
        for band, (unit, target) in enumerate(self.units):
            if unit != target:
                before = values[..., band, :, :]
                output = output.copy() if output is values else output
                output[..., band, :, :] = convert_unit(before, unit, target)
                lost = np.isfinite(before) & ~np.isfinite(output[..., band, :, :])
                unvalued[band] = int(lost.sum())
        return output, tuple(unvalued)


def in_power(values: Floats, units: Sequence[str], act: Callable[[Floats], Floats]) -> Floats:
    """Return values [..., band, y, x] in their units; each plane was handed to `act` in power and taken from it."""

    def in_own_unit(plane: Floats, band: int) -> Floats:
        return convert_unit(act(convert_unit(plane, units[band], "power")), "power", units[band])

    return _each(values, in_own_unit)


def _each(values: Floats, act: Callable[[Floats, int], Floats]) -> Floats:
    """Return values [..., band, y, x] of which each plane is what `act` made of it and its band's number."""
    bands, planes = values.shape[-3], values.reshape(-1, *values.shape[-2:])
    results = np.stack([act(plane, number % bands) for number, plane in enumerate(planes)])
    return results.reshape(*values.shape[:-2], *results.shape[-2:])


@lru_cache(maxsize=8)
def _taps(size: int, target: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """Return for each wanted pixel its source pixels [wanted, tap], their weights, and the nearest one [wanted]."""
    ratio = size / target
    widening = max(ratio, 1.0)
    centre = (np.arange(target) + 0.5) * ratio - 0.5
    reach = int(np.ceil(2 * widening))
    taps = np.floor(centre)[:, None].astype(np.intp) + np.arange(1 - reach, reach + 1)
    x = np.abs(taps - centre[:, None]) / widening
    weight = np.where(x <= 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, ((-0.5 * x + 2.5) * x - 4) * x + 2, 0.0))
    weight[(taps < 0) | (taps >= size)] = 0
    weight /= weight.sum(axis=1, keepdims=True)
    nearest = (2 * np.arange(target) + 1) * size // (2 * target)  # in integers, so that an edge goes one way
    return np.clip(taps, 0, size - 1), weight.astype(np.float32), nearest


def _sum_taps(band: Floats, height: int, width: int) -> Floats:
    rows, row_weight, _ = _taps(band.shape[0], height)
    columns, column_weight, _ = _taps(band.shape[1], width)
    # Sums over a few taps, not a matrix product: BLAS may sum in another order on another machine.
    tall = np.zeros((height, band.shape[1]), np.float32)
    for t in range(rows.shape[1]):
        tall += band[rows[:, t]] * row_weight[:, t, None]
    wide = np.zeros((height, width), np.float32)
    for t in range(columns.shape[1]):
        wide += tall[:, columns[:, t]] * column_weight[:, t]
    return wide


def resize(band: Floats, height: int, width: int) -> Floats:
    """Return a [y, x] float32 band resampled by cubic convolution, NaN where the nearest source pixel is NaN."""
    valid = np.isfinite(band)
    if valid.all():
        return _sum_taps(band, height, width)
    total = _sum_taps(np.where(valid, band, np.float32(0)), height, width)
    weight = _sum_taps(valid.astype(np.float32), height, width)
    nearest = band[_taps(band.shape[0], height)[2][:, None], _taps(band.shape[1], width)[2]]
    averaged = np.where(weight > LEAST_WEIGHT, total / np.maximum(weight, LEAST_WEIGHT), nearest)
    return np.where(np.isfinite(nearest), averaged, np.float32(np.nan)).astype(np.float32)
