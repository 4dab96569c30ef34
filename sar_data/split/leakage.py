"""Leakage: how many test patches lie right beside a train patch, and so hardly test anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sar_data.record import Record
from sar_data.split import frames
from sar_data.split.ground import Ground, touching

MOST_BLIND = 0.05
"""Share of the train or test samples that may lack a footprint, so that those of the others still tell of the split."""


@dataclass(frozen=True, slots=True)
class Leakage:
    """A share of `of` test samples; `value` is None where it is not known.

    `reason` says why it is not known, or what was not looked at.
    """

    value: float | None
    of: int
    reason: str = ""


def leakage_of(records: Sequence[Record], split: Sequence[str]) -> dict[str, Leakage]:
    """Return the figures of a split by name: `touching`, test samples whose footprint touches one of train."""
    return {"touching": _touching(records, split)}


def touching_share(records: Sequence[Record], split: Sequence[str]) -> float | None:
    """Return the share of test patches whose footprint touches that of a train patch, in whatever frame that lies.

    Touching means to intersect or to share an edge or a corner, within 1e-6 of the extent. Test patches without a
    footprint do not count. None means unknown, never 0: no test patches, or more than 5 % of the train or test patches
    without a footprint. Raises SplitError where a footprint is empty or reversed. Random hold-outs of neighbouring
    patches overestimate a network by up to 28 % (Kattenborn et al. 2022, doi:10.1016/j.ophoto.2022.100018).
    """
    return _touching(records, split).value


def _touching(records: Sequence[Record], split: Sequence[str]) -> Leakage:
    train, test = (
        Ground.of([record for record, name in zip(records, split, strict=True) if name == side])
        for side in ("train", "test")
    )
    blind = {side: int((~ground.known).sum()) for side, ground in (("train", train), ("test", test))}
    if not len(test):
        return Leakage(None, 0, "there are no test samples")
    if blind["train"] > MOST_BLIND * len(train) or blind["test"] > MOST_BLIND * len(test):
        return Leakage(None, len(test), "some samples have no footprint")
    seen = test.take(test.known)
    return Leakage(float(np.mean(touching(seen, train))), len(seen), "; ".join(_unseen(blind, train, seen)))


def _unseen(blind: dict[str, int], train: Ground, test: Ground) -> list[str]:
    """Return what a share of touching samples says nothing about."""
    found = [f"{count:,} {side} samples have no footprint" for side, count in blind.items() if count]
    own = {name for ground in (train, test) for name in ground.members if not frames.is_on_earth(name)}
    if len(own) > 1:
        found.append(f"footprints in {len(own):,} frames are compared within each alone, such as {min(own)}")
    return found
