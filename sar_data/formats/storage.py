"""Storage of numbers: floats without a change, or dB as scaled integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sar_data.record import Image

Floats = npt.NDArray[np.float32]
SCALE = 500.0  # int16 stores dB x 500: steps of 0.002 dB over ±65.534 dB, rounding error at most 0.001 dB
MISSING = -32768


def physical(image: Image, scale: float | None) -> Image | Floats:
    """Return values in the declared unit: floats without a change, scaled integers divided, with NaN where missing."""
    if scale is None:
        return image
    return np.where(image == MISSING, np.float32(np.nan), image.astype(np.float32) / np.float32(scale))


def narrow(values: Floats) -> tuple[Image, tuple[int, ...]]:
    """Return dB as int16 steps of 1 / SCALE, MISSING where masked (NaN, ±inf), and the pixels [band] clipped."""
    valid = np.isfinite(values)
    scaled = np.rint(np.where(valid, values, np.float32(0)) * np.float32(SCALE))
    clipped = np.abs(scaled) > -MISSING - 1
    bounded = np.clip(scaled, MISSING + 1, -MISSING - 1)
    stored = np.ascontiguousarray(np.where(valid, bounded, np.float32(MISSING)), np.int16)
    summed = clipped.sum(axis=(-2, -1)).reshape(-1, values.shape[-3]).sum(axis=0)
    return stored, tuple(int(n) for n in summed)
