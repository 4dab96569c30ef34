"""Group split: records that belong together (a scene, a place, the track of a ship) go to one split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sar_data.errors import SplitError, UsageError, unknown
from sar_data.record import Record
from sar_data.split.balance import FREE
from sar_data.split.buffer import footprints_of, leave_out
from sar_data.split.drawn import TRAIN, WholeUnits, kept_codes, kept_notes
from sar_data.split.placement import assignment, usable
from sar_data.split.policy import Assignment, optional_parameter

FIELDS = {"group": "group", "acquisition": "group", "place": "place"}
"""Value of `by` → the field of a record; any other value is the name of an attribute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(WholeUnits):
    """Place whole groups, in the order of their hashes, in the split with the fewest samples for its share.

    `by` chooses the groups: "group" or "acquisition" (a scene, one flight), "place" (a unit of ground, such as a tile
    of the MGRS, a city, a ship's MMSI), or the name of an attribute. Acquisitions of one place are different groups, so
    that such a split tests on ground it trained on; group:by=place does not. Places may still touch each other: with a
    `buffer` of 1, records that touch another split are left out, as in Blocks, which needs footprints. The first group
    goes to train, so that train is never empty. With few or very unequal groups val or test may stay empty.
    """

    by: str = optional_parameter("group")
    buffer: int = optional_parameter(0)

    def __post_init__(self) -> None:
        WholeUnits.__post_init__(self)
        if self.buffer < 0:
            raise UsageError(f"group buffer: expected 0 patches or more, found {self.buffer}")

    def draw(self, records: Sequence[Record], seed: int, kept: Mapping[str, str]) -> Assignment:
        """Place every usable record with its group; raise SplitError where one has none, or train would be empty."""
        positions = usable(records)
        placed = [records[i] for i in positions]
        before = kept_codes(placed, kept)
        codes, groups = self.place(units_by(self.by, placed), placed, before, seed)
        reasons: dict[int, str] = {}
        if self.buffer:
            lost = leave_out(codes, footprints_of(placed), self.buffer, before != FREE)
            reasons = {positions[j]: why for j, why in lost.items()}
            if placed and not np.any(codes == TRAIN):
                raise SplitError(
                    f"{groups} groups with a buffer of {self.buffer}: expected train samples, found none left of "
                    f"{len(placed)}: use a smaller buffer, or `split=blocks`"
                )
        notes = {"groups": groups, **kept_notes(records, kept)}
        return assignment(records, positions, codes, reasons=reasons, notes=notes)


def units_by(by: str, records: Sequence[Record]) -> list[str]:
    """Return the unit of each record, by a field or an attribute.

    Raises UsageError where no record has it, and SplitError where only some do.
    """
    field = FIELDS.get(by)
    values = [getattr(record, field) if field else record.attrs.get(by) for record in records]
    units = [value for value in values if value is not None]
    if len(units) == len(values):
        return units
    if not units and not field:
        raise unknown("unit of a group split", by, [*FIELDS, *records[0].attrs])
    raise SplitError(
        f"record {records[values.index(None)].key!r}: expected a {by}, found none: "
        "use `split=random` or `split=stratified`, or let the pipeline's scan say it"
    )
