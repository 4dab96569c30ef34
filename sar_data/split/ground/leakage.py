"""Spatial leakage: how many samples lie in, on or beside those of another split, and so hardly test a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sar_data.record import Record
from sar_data.split.ground import frames
from sar_data.split.ground.footprints import Footprints, find_identical, find_touching
from sar_data.split.ground.neighbours import Mask, extent_of

MAX_MISSING = 0.05
"""The largest share of samples of either side without the compared value; above it the leakage is unknown."""
EXTENTS = (1, 2, 4, 8)
"""Distances to the nearest sample, in extents of a footprint."""


@dataclass(frozen=True, slots=True)
class Leakage:
    """A share of `of` samples; `value` is None where it is unknown.

    `reason` says why it is unknown, or what was not compared.
    """

    value: float | None
    of: int
    reason: str = ""


def touching_share(records: Sequence[Record], split: Sequence[str]) -> float | None:
    """Return the share of test patches whose footprint touches that of a train patch, in any frame.

    None means unknown, never 0, as in `footprint_leakage`. Raises SplitError where a footprint is empty or reversed.
    """
    test, train = (
        Footprints.of([record for record, name in zip(records, split, strict=True) if name == side])
        for side in ("test", "train")
    )
    if reason_unknown(len(test), test.known, train.known, "footprint"):
        return None
    return float(find_touching(test.take(test.known), train).mean())


def footprint_leakage(queries: Footprints, targets: Footprints) -> dict[str, Leakage]:
    """Return the shares of the queries that have a target nearby, by name.

    `touching`: their footprints intersect or share an edge or a corner, within 1e-6 of the extent. `identical`: they
    are the same within 1e-6. `within_N`: at most N usual extents lie between them, along x and along y. Queries without
    a footprint do not count. None means unknown, never 0: no queries, or more than 5 % of either side without a
    footprint. Random hold-outs of neighbouring patches overestimate a network by up to 28 % (Kattenborn et al. 2022,
    doi:10.1016/j.ophoto.2022.100018).
    """
    names = ("touching", "identical", *(f"within_{extents}" for extents in EXTENTS))
    if reason := reason_unknown(len(queries), queries.known, targets.known, "footprint"):
        return dict.fromkeys(names, Leakage(None, len(queries), reason))
    with_footprint = queries.take(queries.known)
    reason = "; ".join(_list_limits(queries, targets))
    touched = find_touching(with_footprint, targets)
    shares = {"touching": touched, "identical": find_identical(with_footprint, targets)}
    sizes = _sizes(with_footprint, targets)
    for extents in EXTENTS:
        touched = touched.copy()  # touching samples are near: only the others are searched for in the larger circle
        remaining = ~touched
        touched[remaining] = find_touching(
            with_footprint.take(remaining), targets, {name: extents * size for name, size in sizes.items()}
        )
        shares[f"within_{extents}"] = touched
    return {name: Leakage(float(shares[name].mean()), len(with_footprint), reason) for name in names}


def reason_unknown(count: int, query_mask: Mask, target_mask: Mask, what: str) -> str:
    """Return why a share of `count` samples is unknown, empty where it is known: both masks say who has `what`."""
    if not count:
        return "there are no samples"
    if not len(target_mask):
        return "there is nothing to compare with"
    lacking = [int((~mask).sum()) > MAX_MISSING * len(mask) for mask in (query_mask, target_mask)]
    if not any(lacking):
        return ""
    return f"{'some' if query_mask.any() and target_mask.any() else 'the'} samples have no {what}"


def _sizes(queries: Footprints, targets: Footprints) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Return the usual extent (x, y) of the footprints of each frame."""
    names = {*queries.members, *targets.members}
    parts = {
        name: [side.boxes[side.members[name]] for side in (queries, targets) if name in side.members] for name in names
    }
    return {name: extent_of(np.concatenate(boxes)) for name, boxes in parts.items()}


def _list_limits(queries: Footprints, targets: Footprints) -> list[str]:
    """Return what the shares of near samples do not cover."""
    count = sum(int((~side.known).sum()) for side in (queries, targets))
    limits = [f"{count:,} samples have no footprint"] if count else []
    own = {name for side in (queries, targets) for name in side.members if not frames.is_on_earth(name)}
    if len(own) > 1:
        limits.append(f"footprints in {len(own):,} frames are compared within each alone, such as {min(own)}")
    return limits
