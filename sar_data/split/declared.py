"""Declared split: the dataset itself gives the split of a sample, by a folder, a file name or a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sar_data.errors import SplitError
from sar_data.record import Record
from sar_data.split.placement import OUT, assignment, usable
from sar_data.split.policy import SPLITS, Assignment, Lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Place records in the split of their publisher: `Record.official` is train, val or test.

    A record without it is left out, for the reason `otherwise`.
    """

    otherwise: str = "in no official split"

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        """Place every usable record; the seed plays no part. Raise SplitError for a split of another name."""
        positions = usable(records)
        codes = np.full(len(positions), OUT, dtype=np.int8)
        reasons: dict[int, str] = {}
        for j, i in enumerate(positions):
            name = records[i].official
            if name is None:
                reasons[i] = self.otherwise
            elif name not in SPLITS:
                raise SplitError(f"{records[i].key}: expected an official split of {', '.join(SPLITS)}, found {name!r}")
            else:
                codes[j] = SPLITS.index(name)
        return assignment(records, positions, codes, reasons=reasons)
