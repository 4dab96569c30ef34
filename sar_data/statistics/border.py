"""Border noise: small values between the edge of a scene and its signal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.bool_]


def count_beside(low: Pixels, absent: Pixels) -> int:
    """Return how many `low` pixels [y, x] are connected with an `absent` one through low pixels, diagonals included."""
    if not absent.any():
        return 0
    reached, count = absent, -1
    while count != (count := int(np.count_nonzero(reached & low))):
        reached = absent | (_grow(reached) & low)
    return count


def _grow(pixels: Pixels) -> Pixels:
    """Return the pixels and their eight neighbours."""
    rows = pixels.copy()
    rows[1:] |= pixels[:-1]
    rows[:-1] |= pixels[1:]
    both = rows.copy()
    both[:, 1:] |= rows[:, :-1]
    both[:, :-1] |= rows[:, 1:]
    return both
