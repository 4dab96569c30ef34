"""A plan: all that is known of a build before its first pixel, and where it is written for the workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from sar_data import formats
from sar_data.builder.origin import Origin
from sar_data.builder.request import BadRecords
from sar_data.builder.sharding import shard_length
from sar_data.formats.container import Format
from sar_data.sealed.documents import PlannedSplit, Quarantined
from sar_data.sealed.manifest import Decisions, Identity, recipe_digest
from sar_data.split.policy import SPLITS, UNUSED

PLAN = "plan.arrow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that is known of a build before its first pixel.

    `scanned` has the SCAN columns of all records (and where their pixels lie in a parent), `split` their split and
    `shares` the share of each class in a split. `quarantine` is of the scan, or of the parent as `clipped` and
    `unvalued` are. `content_digest` is that of a build that is made again, None for a new one.
    """

    identity: Identity
    decisions: Decisions
    origin: Origin
    scanned: pa.Table
    split: list[str]
    shares: Mapping[str, Mapping[str, float]]
    shard_length: int
    statistics: bool
    bad_records: BadRecords
    suspect_limit: float
    quarantine: Sequence[Quarantined]
    clipped: Mapping[str, int] = field(default_factory=dict)
    unvalued: Mapping[str, int] = field(default_factory=dict)
    content_digest: str | None = None

    @property
    def container(self) -> Format:
        return formats.get(self.decisions.format, self.decisions.compression)

    def packed_in(self, container: Format) -> Plan:
        """Return the plan of the same samples in another container."""
        recipe = {**self.decisions.recipe, "format": [container.name, container.version, container.compression]}
        packing = {"format": container.name, "compression": container.compression}
        changed = {**packing, "recipe": recipe, "recipe_digest": recipe_digest(recipe)}
        return replace(self, decisions=self.decisions.model_copy(update=changed))

    @property
    def is_new(self) -> bool:
        """Whether a build is planned that was not made before; what an earlier one left out is in `quarantine`."""
        return self.content_digest is None

    def keep_unused(self) -> Plan:
        """Return the plan with those records alone that are not packed: the others are in PLAN once that is written."""
        unused = self.scanned.filter(pa.array([split == UNUSED for split in self.split], pa.bool_()))
        return replace(self, scanned=unused, split=[UNUSED] * len(unused))

    def splits(self) -> dict[str, PlannedSplit]:
        """Return what is known of each split."""
        multiple = self.container.multiple
        counts = {name: self.split.count(name) for name in SPLITS}
        return {
            name: PlannedSplit(
                count=count,
                shard_length=shard_length(count, self.shard_length, multiple),
                class_shares=dict(self.shares[name]),
            )
            for name, count in counts.items()
        }
