"""Images of any unit as 8-bit pictures, in one stretch for all images of a build, so that they compare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sar_data.exporters.source import Source
from sar_data.record import Image
from sar_data.statistics.units import DOMAINS

Floats = npt.NDArray[np.float32]
LOW, HIGH = "p1", "p99"
COLOURS = 3


@dataclass(frozen=True, slots=True)
class Stretch:
    """How images [band, y, x] become uint8 [1 or 3, y, x].

    The first three `bands` are taken, of which each is stretched between its two `limits`, in dB where it is a power
    or an amplitude. Without limits the values are 8-bit already.
    """

    bands: tuple[str, ...]
    units: tuple[str, ...]
    limits: tuple[tuple[float, float], ...] | None

    @classmethod
    def of(cls, source: Source) -> Stretch:
        """Return the stretch of a build, by the percentiles of its train split.

        Raises UsageError for a build of several frames a sample, and of other units without train statistics.
        """
        source.check_single()
        names, units = source.layout.bands[:COLOURS], source.layout.units[:COLOURS]
        if source.layout.dtype == "uint8":
            return cls(names, units, None)
        train = (source.manifest.statistics or {}).get("train")
        if train is None:
            raise source.refusal("expected train statistics, by which values become 8-bit, found none: build with them")
        limits = []
        for name in names:
            figures = (train.bands[name].db or train.bands[name].stored).percentiles
            low, high = figures.get(LOW), figures.get(HIGH)
            limits.append((0.0, 1.0) if low is None or high is None else (low, max(high, low + 1e-6)))
        return cls(names, units, tuple(limits))

    @property
    def words(self) -> str:
        """What was done, as a sentence."""
        if self.limits is None:
            return f"values of {', '.join(self.bands)} as stored"
        scales = (f"{name} {low:.6g} to {high:.6g}" for name, (low, high) in zip(self.bands, self.limits, strict=True))
        return f"0 to 255 are, in dB or the band's unit ({LOW} to {HIGH} of train): {', '.join(scales)}"

    def __call__(self, image: Image) -> Image:
        """Return uint8 [1 or 3, y, x] of an image [band, y, x]; pixels without a value are 0."""
        planes = image[: len(self.bands)]
        if self.limits is not None:
            pairs = zip(planes, self.units, self.limits, strict=True)
            planes = np.stack([_byte(plane, unit, *limits) for plane, unit, limits in pairs])
        if len(planes) == 2:
            planes = np.concatenate([planes, np.zeros_like(planes[:1])])
        return np.ascontiguousarray(planes)


def _byte(plane: Image, unit: str, low: float, high: float) -> npt.NDArray[np.uint8]:
    values = plane.astype(np.float32)
    if unit in ("power", "amplitude"):
        values = DOMAINS[unit]["dB"](values).astype(np.float32)
    scaled = np.clip((values - low) / (high - low), 0, 1) * 255
    return np.where(np.isfinite(scaled), scaled, 0).round().astype(np.uint8)
