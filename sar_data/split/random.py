"""Random split: each key is placed by its own hash, so that new data move no placed record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sar_data.record import Record
from sar_data.split.balance import FREE
from sar_data.split.drawn import Drawn, kept_codes, kept_notes
from sar_data.split.placement import assignment, salted_hashes, usable
from sar_data.split.policy import Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class Random(Drawn):
    """Place every key by its salted hash alone.

    The shares are met on average, not exactly: n records deviate by about sqrt(share * (1 - share) / n). Patches
    of one scene are in all splits; use Blocks, or Group by place, to separate ground.
    """

    def draw(self, records: Sequence[Record], seed: int, kept: Mapping[str, str]) -> Assignment:
        """Place every usable record; raise SplitError where a key occurs twice."""
        positions = usable(records)
        placed = [records[i] for i in positions]
        hashes = salted_hashes((record.key for record in placed), seed)
        # 53 bits fill a float64 exactly and stay below 1; all 64 could round up to 1 and fall behind the last split.
        chance = (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53
        shares = self.bins
        borders = np.cumsum(shares)
        # 0.8 + 0.1 + 0.1 is a little below 1 in float64: the last split with a share takes the remainder.
        borders[np.flatnonzero(shares)[-1] :] = 1.0
        codes = self.homes[np.searchsorted(borders, chance, side="right")]
        before = kept_codes(placed, kept)
        return assignment(records, positions, np.where(before == FREE, codes, before), notes=kept_notes(records, kept))
