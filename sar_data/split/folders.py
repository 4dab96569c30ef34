"""Split by the folders, lists or files of a copy of a dataset, which may differ from the official split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sar_data.record import Record
from sar_data.split.placement import OUT, assignment, usable
from sar_data.split.policy import SPLITS, Assignment, Lists

ATTR = "folder_split"


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Place records as the copy does: `attrs["folder_split"]` is train, val or test.

    A record without it is left out.
    """

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        """Place every usable record; the seed plays no part."""
        positions = usable(records)
        names = [records[i].attrs.get(ATTR) for i in positions]
        codes = np.array([SPLITS.index(name) if name in SPLITS else OUT for name in names], dtype=np.int8)
        reasons = {
            i: "in no folder of a split" for i, code in zip(positions, codes.tolist(), strict=True) if code == OUT
        }
        return assignment(records, positions, codes, reasons=reasons)
