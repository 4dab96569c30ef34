"""What the values of images show of their unit: evidence for a person, who decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sar_data.record import Image

MOST_DB, LEAST_DB = 40.0, -60.0  # between them lies all backscatter in dB


@dataclass(frozen=True, slots=True)
class Values:
    """Figures of some images' finite pixels."""

    dtype: str
    low: float
    high: float
    median: float
    negative: float
    zeros: float

    @classmethod
    def of(cls, *images: Image) -> Values | None:
        """Return the figures of images of one dtype, None where no pixel is finite."""
        dtype = images[0].dtype
        values = np.concatenate([np.asarray(image, np.float64).ravel() for image in images])
        values = values[np.isfinite(values)]
        if not values.size:
            return None
        share = [float(np.mean(flags)) for flags in (values < 0, values == 0)]
        return cls(dtype.name, float(values.min()), float(values.max()), float(np.median(values)), *share)

    def sentence(self) -> str:
        """Say the range of the values, and what it suggests."""
        span = f"values lie between {self.low:.4g} and {self.high:.4g}, half of them below {self.median:.4g}"
        return f"{span}: {self.suggests()}"

    def suggests(self) -> str:
        """Say which units such values can be of."""
        if self.dtype == "uint8":
            return "a picture of 8 bits, stretched for the eye, or a detected amplitude"
        if self.negative and self.low >= LEAST_DB and self.high <= MOST_DB and self.negative > 0.05:
            return "negative values in the range of backscatter suggest dB"
        if self.negative:
            return "negative values are no power and no amplitude, and these reach beyond what dB has"
        if self.high <= 4 and self.median < 1 and self.dtype.startswith("float"):
            return "small positive numbers suggest linear power or linear amplitude, not dB"
        if self.dtype in ("uint16", "int16", "int32", "uint32") or self.high > 1000:
            return "large positive numbers suggest amplitude or uncalibrated DN, not dB"
        return "positive numbers suggest power or amplitude, not dB"


def sample_of(paths: Iterable[str], most: int = 8) -> list[str]:
    """Return up to `most` of the paths, spread over all of them."""
    paths = list(paths)
    step = max(1, len(paths) // most)
    return paths[::step][:most]
