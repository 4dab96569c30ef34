"""Added speckle: linear power times Gamma(L′, 1/L′), as if the image had been taken with fewer looks.

An image of L looks becomes one of L_eff looks, 1/L_eff = 1/L + 1/L′ + 1/(L L′), with the same mean power. The factor is
exact in physical units only, so the step undoes an affine normalization, or comes before one that is not affine. Every
pixel of every channel has its own factor: neighbours in real images are correlated, added speckle is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sar_data.errors import UsageError
from sar_data.sealed.manifest import Manifest
from sar_data.stream import bits
from sar_data.stream.normalize import Normalizer
from sar_data.torch.pinned import sent
from sar_data.train.augment.chance import log_gamma_quantiles, look_up

# Units in which a factor of power acts on a value: dB adds 10 log10 of it, amplitude takes its root.
UNITS = ("dB", "power", "amplitude")
STEP, *FACTORS = (number - (1 << 64) for number in (bits.GOLDEN, bits.FIRST, bits.SECOND))  # as int64 has them
CACHED = 1 << 16  # pixels whose 64-bit states fit a processor's cache


class Speckle:
    """Speckle of `looks` L′ for images of some channels, normalized by `how` or (None) in physical units."""

    def __init__(self, manifest: Manifest, channels: Sequence[str], looks: float, how: Normalizer | None) -> None:
        units = _units(manifest, channels)
        # log of the power factor → what is added (dB), or the log of what the value is multiplied by.
        slope = {"dB": 10 / math.log(10), "power": 1.0, "amplitude": 0.5}
        terms = np.tile(np.array([[0.0, 1.0]], np.float32), (len(units), 1)) if how is None else how.terms
        scale = 1.0 if how is None else manifest.storage.scale or 1.0
        by_channel = (
            torch.tensor([unit == "dB" for unit in units]),
            torch.tensor([slope[unit] for unit in units]),
            torch.from_numpy(terms[:, 0] / np.float32(scale)),
            torch.from_numpy(terms[:, 1] * np.float32(scale)),
        )
        self._table = (log_gamma_quantiles(looks) - math.log(looks)).float()
        self._figures = [figures[:, None, None] for figures in by_channel]

    def __call__(self, images: Tensor, seeds: Tensor) -> Tensor:
        """Return speckled images [B, C, H, W], C of one date or of several; NaN stays. `seeds` int64 [B] decide it."""
        if self._table.device != images.device:
            self._table = self._table.to(images.device)
            self._figures = [figures.to(images.device) for figures in self._figures]
        if images.is_cuda or not len(images):
            return self._add_speckle(images, sent(seeds, images.device))
        # A processor's caches are small beside a batch: a few samples at a time take a third of the time.
        size = max(1, CACHED // images[0].numel())
        pieces = zip(torch.split(images, size), torch.split(seeds, size), strict=True)
        return torch.cat([self._add_speckle(*piece) for piece in pieces])

    def _add_speckle(self, images: Tensor, seeds: Tensor) -> Tensor:
        decibel, slope, offset, factor = self._figures
        dates = torch.unflatten(images, 1, (-1, len(decibel)))  # each of which has its own speckle
        logs = look_up(self._table, uniform(seeds, dates.shape[1:])).mul_(slope)
        # (x - offset) * factor, where x was multiplied by exp(logs); in dB it is a sum, where offsets cancel out.
        added = dates + logs * factor
        raised = (dates + offset * factor).mul_(logs.exp_()).sub_(offset * factor)
        return torch.where(decibel, added, raised).flatten(1, 2)


def uniform(seeds: Tensor, shape: Sequence[int]) -> Tensor:
    """Return float32 [B, *shape] above 0 and below 1: the 23 upper bits of SplitMix64's numbers from each seed on."""
    count = math.prod(shape)
    states = seeds[:, None] + torch.arange(1, count + 1, device=seeds.device) * STEP  # int64 wraps as uint64 does
    for shift, factor in zip(bits.SHIFTS, FACTORS, strict=False):
        states = (states ^ _shift_right(states, shift)).mul_(factor)
    upper = _shift_right(states.bitwise_xor_(_shift_right(states, bits.SHIFTS[2])), 41)
    return upper.float().add_(0.5).mul_(2.0**-23).view(len(seeds), *shape)


def _shift_right(states: Tensor, by: int) -> Tensor:
    """Return a logical shift to the right, which int64 does not have."""
    return (states >> by).bitwise_and_((1 << (64 - by)) - 1)


def _units(manifest: Manifest, channels: Sequence[str]) -> list[str]:
    """Return the channels' units; raise UsageError where one of them admits no added speckle."""
    known = {band.name: band.unit for band in manifest.bands}
    if any(step.step == "normalize" for step in manifest.applied):
        raise UsageError("speckle: this build is normalized already, its units are gone: take its parent")
    for name in channels:
        if name not in known:
            raise UsageError(
                f"speckle: {name} is derived of two bands, which would need a factor each: take the bands themselves"
            )
        if known[name] not in UNITS:
            raise UsageError(
                f"speckle: expected bands in {', '.join(UNITS)}, found {name} in {known[name]}; stretched pictures,"
                " phases, complex and interferometric values have no linear power to multiply: leave speckle out"
            )
    return [known[name] for name in channels]
