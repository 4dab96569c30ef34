"""Places before and after a flood, as backscatter of VV and VH, and what is flooded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sar_data import synth

LAND, WATER, FLOOD = range(3)
# VV and VH in dB of land, of a lake, and of land under water, which wind makes brighter than a lake.
SIGMA0_DB = np.array([(-9.5, -16.0), (-20.5, -28.0), (-18.0, -26.0)])


def flood(random: np.random.Generator, side: int) -> tuple[synth.Floats, synth.Floats, npt.NDArray[np.intp]]:
    """Return the power [VV and VH, y, x] before and after, and LAND, WATER or FLOOD of each pixel."""
    state, _ = synth.mosaic(random.standard_normal((3, 7, 7), np.float32), side)
    power = synth.from_db(SIGMA0_DB.T)
    return np.take(power, np.where(state == FLOOD, LAND, state), axis=1), np.take(power, state, axis=1), state
