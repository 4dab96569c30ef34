"""Buffers: samples too near to another split are left out, also across zones of UTM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sar_data.errors import SplitError
from sar_data.record import Record
from sar_data.split.drawn import TEST, TRAIN, VAL
from sar_data.split.ground.footprints import Footprints, find_touching
from sar_data.split.ground.neighbours import Mask, extent_of
from sar_data.split.placement import OUT, Codes
from sar_data.split.policy import SPLITS

Extents = Mapping[str, npt.NDArray[np.float64]]


def footprints_of(records: Sequence[Record]) -> Footprints:
    """Return the footprints of records; raise SplitError where one has no footprint, or its frame is unknown."""
    for record in records:
        if record.footprint is None or record.footprint_frame is None:
            missing = "footprint" if record.footprint is None else "crs"
            raise SplitError(
                f"record {record.key!r}: expected a footprint and its crs, found no {missing}: "
                "use `split=group` or `split=random`, which need no georeference"
            )
    return Footprints.of(records)


def extents_of(footprints: Footprints) -> Extents:
    """Return the median (width, height) of the footprints of each frame."""
    return {frame: extent_of(footprints.boxes[rows]) for frame, rows in footprints.members.items()}


def leave_out(codes: Codes, footprints: Footprints, buffer: int, fixed: Mask) -> dict[int, str]:
    """Leave out samples within `buffer` median extents of another split, and return the reason of each.

    A buffer of 1 leaves out touching samples. Evaluation keeps as many as possible: val gives way to test, train to
    both. Samples that are `fixed` stay, and the others give way to them.
    """
    gaps = {frame: (buffer - 1) * extent for frame, extent in extents_of(footprints).items()}
    width = f"{buffer} {'patch' if buffer == 1 else 'patches'}"
    reasons: dict[int, str] = {}

    def give_way(loser: int, winner: int, winners: Mask) -> None:
        losers, winner_rows = np.flatnonzero((codes == loser) & ~fixed), np.flatnonzero((codes == winner) & winners)
        lost = losers[find_touching(footprints.take(losers), footprints.take(winner_rows), gaps)]
        codes[lost] = OUT
        reasons.update(dict.fromkeys(lost.tolist(), f"buffer: within {width} of {SPLITS[winner]}"))

    if fixed.any():
        for loser in (TRAIN, VAL, TEST):
            for winner in {TRAIN, VAL, TEST} - {loser}:
                give_way(loser, winner, fixed)
    # Val first: train need not avoid val patches that have given way themselves.
    for loser, winner in ((VAL, TEST), (TRAIN, TEST), (TRAIN, VAL)):
        give_way(loser, winner, ~fixed)
    return reasons
