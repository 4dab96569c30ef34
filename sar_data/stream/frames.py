"""One frame of several, such as a season: each sample's own choice among those that show anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sar_data.stream.bits import Purpose, mix
from sar_data.stream.storage.store import Integers


def choose(present: npt.NDArray[np.bool_], seeds: Sequence[int] | None) -> Integers:
    """Return int64 [sample], the number of one frame of each, of `present` [sample, frame], which have values.

    It is drawn from one seed a sample, each with the same chance, or the first one; 0 where no frame has values.
    """
    ranks = np.zeros(len(present), np.int64)  # of the frame among those with values
    if seeds is not None:
        for sample, (seed, count) in enumerate(zip(seeds, present.sum(axis=1).tolist(), strict=True)):
            ranks[sample] = (mix(Purpose.FRAME, seed) >> 32) * count >> 32
    frames: Integers = (present.cumsum(axis=1) > ranks[:, None]).argmax(axis=1)
    return frames
