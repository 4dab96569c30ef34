"""Random bits: SplitMix64's (Steele, Lea & Flood 2014), of some integers of which the first says what they are for.

They do not depend on numpy's random streams, which may change between its versions.
"""

from __future__ import annotations

from enum import IntEnum, unique
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.system.native import inline

U64 = (1 << 64) - 1
GOLDEN, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # SplitMix64's step and factors
SHIFTS = (30, 27, 31)


@unique
class Purpose(IntEnum):
    """What a stream of random numbers is for: streams of two purposes have nothing in common. Numbers never change."""

    SHUFFLE = 1  # the order of samples
    DRAW = 2  # of samples by weights
    SHARDS = 3  # the order of shards
    SUBSET = 4  # a share of the samples
    OFFSET = 5  # where draws by weights begin
    CROP = 6  # windows of a loader
    TURN = 7  # the orders of a part of a mix
    FRAME = 8  # one image of several of a sample
    AUGMENT = 101
    CONTROL = 102  # shuffled labels
    CHANCE = 103  # dropout and stochastic depth
    WEIGHTS = 104  # of a fresh encoder
    HEADS = 105  # fresh weights of a probe's heads
    FEATURES = 106  # the order of a probe's features


def mix(*parts: int) -> int:
    """Return 64 well mixed bits of some integers."""
    state = 0
    for part in parts:
        z = (state + GOLDEN + (part & U64)) & U64
        z = ((z ^ (z >> SHIFTS[0])) * FIRST) & U64
        z = ((z ^ (z >> SHIFTS[1])) * SECOND) & U64
        state = z ^ (z >> SHIFTS[2])
    return state


def finish(states: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return SplitMix64's output for each uint64 state; compiled loops call `finish_one`."""
    z = (states ^ (states >> np.uint64(SHIFTS[0]))) * np.uint64(FIRST)
    z = (z ^ (z >> np.uint64(SHIFTS[1]))) * np.uint64(SECOND)
    return z ^ (z >> np.uint64(SHIFTS[2]))


finish_one: Any = inline(finish)
