"""Group split: what belongs together (a scene, a place, a ship's track) goes to one split as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sar_data.errors import SplitError, unknown
from sar_data.record import Record
from sar_data.split.drawn import Whole, kept_codes, kept_notes
from sar_data.split.placement import assignment, usable
from sar_data.split.policy import Assignment, added

FIELDS = {"group": "group", "acquisition": "group", "place": "place"}
"""What a split may go by → the field of a record that says it; any other word is an attribute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Whole):
    """Place whole groups, in the order of their hashes, where most samples are still missing.

    `by` says what is not torn apart: "group" or "acquisition" (a scene, one flight), "place" (a unit of ground, such as
    a tile of the MGRS, a city, a ship's MMSI), or the name of an attribute. Acquisitions of one place lie in different
    groups, so that a group split of a dataset that sees places again and again tests on ground that it trained on:
    group:by=place does not. Places may still touch each other, which Blocks alone prevents. The first group goes to
    train, so train is never empty. Few or very unequal groups miss the shares: val or test may stay empty.
    """

    by: str = added("group")

    def draw(self, records: Sequence[Record], seed: int, kept: Mapping[str, str]) -> Assignment:
        """Place every usable record with its group; raise SplitError where a record has none."""
        positions = usable(records)
        placed = [records[i] for i in positions]
        codes, groups = self.place(units_by(self.by, placed), placed, kept_codes(placed, kept), seed)
        return assignment(records, positions, codes, notes={"groups": groups, **kept_notes(records, kept)})


def units_by(by: str, records: Sequence[Record]) -> list[str]:
    """Return what each record belongs to, by a field or an attribute.

    Raises UsageError where no record says it, and SplitError where only some do.
    """
    field = FIELDS.get(by)
    found = [getattr(one, field) if field else one.attrs.get(by) for one in records]
    units = [one for one in found if one is not None]
    if len(units) == len(found):
        return units
    if not units and not field:
        raise unknown("unit of a group split", by, [*FIELDS, *records[0].attrs])
    raise SplitError(
        f"record {records[found.index(None)].key!r}: expected a {by}, found none: "
        "use `split=random` or `split=stratified`, or let the pipeline's scan say it"
    )
