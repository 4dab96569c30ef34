"""Leakage: how many test patches lie right beside a train patch, and so hardly test anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sar_data.record import Record
from sar_data.split.neighbours import boxes_of, near


@dataclass(frozen=True, slots=True)
class Leakage:
    """A share of `of` test samples; `value` is None where it is not known, for the `reason` given."""

    value: float | None
    of: int
    reason: str = ""


def leakage_of(records: Sequence[Record], split: Sequence[str]) -> dict[str, Leakage]:
    """Return the figures of a split by name: `touching`, test samples whose footprint touches one of train."""
    tests = sum(name == "test" for name in split)
    share = touching_share(records, split)
    reason = "" if share is not None else "there are no test samples" if not tests else "some samples have no footprint"
    return {"touching": Leakage(share, tests, reason)}


def touching_share(records: Sequence[Record], split: Sequence[str]) -> float | None:
    """Return the share of test patches whose footprint touches that of a train patch in the same frame.

    Touching means to intersect or to share an edge or a corner, within 1e-6 of the extent. None means unknown,
    never 0: a train or test record without footprint or frame, or no test records at all. Raises SplitError where
    a footprint is empty or reversed. Random hold-outs of neighbouring patches overestimate a network by up to
    28 % (Kattenborn et al. 2022, doi:10.1016/j.ophoto.2022.100018).
    """
    sides: dict[str, dict[str, list[Record]]] = {"train": {}, "test": {}}
    for record, name in zip(records, split, strict=True):
        if name not in sides:
            continue
        if record.footprint is None or record.footprint_frame is None:
            return None
        sides[name].setdefault(record.footprint_frame, []).append(record)
    tests = sum(len(members) for members in sides["test"].values())
    if not tests:
        return None
    touching = 0
    for frame, members in sides["test"].items():
        hits = near(boxes_of(members), boxes_of(sides["train"].get(frame, [])))
        touching += int(np.count_nonzero(hits))
    return touching / tests
