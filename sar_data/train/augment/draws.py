"""Random numbers of augmentation: a pure function of seed, epoch and a sample's global position.

Nothing is carried from batch to batch, so a resumed epoch draws what the uninterrupted one would have drawn, and a
sample is augmented alike in every batch and on every rank. The bits come from SplitMix64 (Steele, Lea & Flood 2014),
as do those of the order of samples.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sar_data.stream.bits import GOLDEN, Purpose, finish, mix

COLUMNS = 35  # numbers a sample; sar_data/train/augment/__init__.py says which step uses which


def draws(seed: int, epoch: int, position: int, count: int, columns: int = COLUMNS) -> Tensor:
    """Return float32 [count, columns] on the CPU, uniform in [0, 1), for the samples from `position` on.

    Multiples of 2**-24. `position` counts the samples that all ranks have taken since the epoch began. A number depends
    on seed, epoch, position and its column alone: not on `count`, nor on how many columns are asked for.
    """
    step = np.uint64(GOLDEN)
    start = np.uint64(mix(Purpose.AUGMENT, seed, epoch))
    positions = np.arange(position + 1, position + count + 1, dtype=np.uint64)
    states = finish(start + step * positions)
    bits = finish(states[:, None] + step * np.arange(1, columns + 1, dtype=np.uint64))
    return torch.from_numpy((bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24))


def whole(draw: Tensor, bits: int = 24) -> Tensor:
    """Return int64 in 0 … 2**bits - 1 of uniform numbers, at most all the 24 bits they have."""
    return (draw.double() * 2.0**bits).long()


def seeds(chance: Tensor) -> Tensor:
    """Return int64 [count] of 48 bits, of two uniform numbers [count, 2] each."""
    upper, lower = whole(chance).unbind(1)
    return (upper << 24) | lower
