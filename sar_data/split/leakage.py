"""Leakage: how many test patches lie right beside a train patch, and so hardly test anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sar_data.record import Record
from sar_data.split.neighbours import boxes_of, near


def touching_share(records: Sequence[Record], split: Sequence[str]) -> float | None:
    """Return the share of test patches whose footprint touches that of a train patch in the same crs.

    Touching means to intersect or to share an edge or a corner, within 1e-6 of the extent. None means unknown,
    never 0: a train or test record without footprint or crs, or no test records at all. Raises SplitError where
    a footprint is empty or reversed. Random hold-outs of neighbouring patches overestimate a network by up to
    28 % (Kattenborn et al. 2022, doi:10.1016/j.ophoto.2022.100018).
    """
    sides: dict[str, dict[str, list[Record]]] = {"train": {}, "test": {}}
    for record, name in zip(records, split, strict=True):
        if name not in sides:
            continue
        if record.footprint is None or record.crs is None:
            return None
        sides[name].setdefault(record.crs, []).append(record)
    tests = sum(len(members) for members in sides["test"].values())
    if not tests:
        return None
    touching = 0
    for crs, members in sides["test"].items():
        hits = near(boxes_of(members), boxes_of(sides["train"].get(crs, [])))
        touching += int(np.count_nonzero(hits))
    return touching / tests
