"""A sealed build planned again: from its manifest and its index, with the same records in the same slots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc

from sar_data.builder.origin import Origin, PixelReader, Pixels
from sar_data.builder.plan import Plan
from sar_data.builder.sharding import shard_length, shards_of
from sar_data.errors import BadRecord, BuildError, SourceError
from sar_data.formats.container import Place, Shard
from sar_data.record import Record
from sar_data.sealed.documents import PlannedSplit
from sar_data.sealed.index import SCAN
from sar_data.sealed.manifest import Decisions, Identity, Manifest
from sar_data.split.policy import SPLITS


@dataclass(frozen=True, slots=True)
class Slots:
    """Where the samples of a sealed build are: its shards, and `rows` [slot] with the columns of a plan.

    A slot before the last sample of a shard may be empty, of a record that packing left out: its row has no files.
    """

    splits: dict[str, PlannedSplit]
    shards: list[Shard]
    rows: pa.Table

    @classmethod
    def of(cls, manifest: Manifest, index: pa.Table) -> Slots:
        """Return the slots of an index, with their column `parent`, if they have it."""
        splits = _planned_splits(manifest)
        names = [*SCAN.names, *(name for name in index.column_names if name == "parent"), "split", "shard", "position"]
        shards: list[Shard] = []
        parts: list[pa.Table] = []
        for split in splits:
            table = index.filter(pc.equal(index["split"], split))
            for number in range(len(manifest.splits[split].shards)):
                rows = table.filter(pc.equal(table["shard"], number)).sort_by("position").select(names)
                rows = pa.concat_tables([rows, _empty_rows(rows, split, number)]).sort_by("position")
                shards.append(Shard(split, number, len(rows), splits[split].shard_length, len(shards)))
                parts.append(rows)
        return cls(splits, shards, pa.concat_tables(parts))

    def parts(self) -> Iterator[pa.Table]:
        """Yield the rows of each shard."""
        ends = accumulate(shard.count for shard in self.shards)
        return (self.rows.slice(end - shard.count, shard.count) for shard, end in zip(self.shards, ends, strict=True))


def _planned_splits(manifest: Manifest) -> dict[str, PlannedSplit]:
    """Return the splits of a manifest as they were planned, in the order in which rows lie in an index."""
    return {
        name: PlannedSplit(count=split.count, shard_length=split.shard_length, class_shares=split.class_shares)
        for name, split in ((name, manifest.splits[name]) for name in SPLITS)
    }


def planned_slots(manifest: Manifest, index: pa.Table) -> Slots:
    """Return the slots that a build's records get by the order of their hashes; `index` is that of another container.

    Raises BuildError where these are not the shards of the manifest: its build left out records that it could not read.
    """
    splits, counts = _planned_splits(manifest), Counter(index["split"].to_pylist())
    lengths = {name: split.shard_length for name, split in splits.items()}
    multiple = manifest.container.multiple
    for most in range(max(lengths.values()), 0, -1):
        if all(shard_length(counts[name], most, multiple) == length for name, length in lengths.items()):
            records = index.select([name for name in (*SCAN.names, "parent") if name in index.column_names])
            shards, rows = shards_of(records, index["split"].to_pylist(), most, multiple)
            return Slots(splits, shards, pa.concat_tables(rows))
    raise BuildError(f"expected records for shards of {lengths}, found {dict(counts)}")


def _empty_rows(rows: pa.Table, split: str, shard: int) -> pa.Table:
    """Return the rows of the empty slots of a shard."""
    positions = set(rows["position"].to_pylist())
    gaps = sorted(set(range(max(positions, default=1))) - positions)
    values: dict[str, list[object]] = {name: [None] * len(gaps) for name in rows.column_names}
    values |= {"key": [f"empty slot {gap}" for gap in gaps], "position": [*gaps]}
    values |= {"split": [split] * len(gaps), "shard": [shard] * len(gaps)}
    values |= {name: [[]] * len(gaps) for name in ("files", "targets", "objects", "attrs", "dropped")}
    return pa.Table.from_pydict(values, schema=rows.schema)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An origin of records that were all sound: an empty slot stays empty, and any other bad record is an error."""

    origin: Origin

    @contextmanager
    def open(self, records: Sequence[Record] = ()) -> Iterator[PixelReader]:
        with self.origin.open(records) as reader:
            yield _Reader(reader)


@dataclass(frozen=True, slots=True)
class _Reader:
    reader: PixelReader

    def pixels(self, record: Record, place: Place | None) -> Pixels:
        if not record.files:
            raise BadRecord(record.key, "left out when the build was made")
        try:
            return self.reader.pixels(record, place)
        except BadRecord as error:
            raise SourceError(f"{error}: the build was made of another source") from error


def recorded_plan(
    manifest: Manifest, index: pa.Table, origin: Origin, *, before: Mapping[str, Mapping[str, int]] | None = None
) -> Plan:
    """Return the plan of a sealed build, with pixels from `origin`.

    `before` has the counts `clipped` and `unvalued` of what the origin reads.
    """
    return Plan(
        identity=Identity(**{name: getattr(manifest, name) for name in Identity.model_fields}),
        decisions=Decisions(**{name: getattr(manifest, name) for name in Decisions.model_fields}),
        origin=Recorded(origin),
        scanned=index.select(SCAN.names),
        split=index["split"].to_pylist(),
        shares={name: split.class_shares for name, split in manifest.splits.items()},
        shard_length=max(split.shard_length for split in manifest.splits.values()),
        statistics=manifest.statistics is not None,
        bad_records="quarantine",  # of empty slots
        suspect_limit=1.0,  # it was judged when it was made
        quarantine=manifest.quarantine,
        content_digest=manifest.content_digest,
        **(before or {}),
    )
