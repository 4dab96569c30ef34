"""Join: what was planned and what the proofs tell, as the index and the outcome of the build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sar_data.builder import blank, suspects
from sar_data.builder.draft import Draft, Job
from sar_data.builder.plan import PLAN
from sar_data.builder.proof import SLOTS, Proof
from sar_data.builder.scan import count_dropped
from sar_data.errors import BuildError
from sar_data.formats.container import Shard
from sar_data.sealed.contents import content_lines, digest_lines
from sar_data.sealed.documents import Quarantined, ShardDocument, SplitDocument
from sar_data.sealed.index import FILE, INDEX, INDEX_NAME, label_columns
from sar_data.sealed.leakage import Card, card, pixels_share
from sar_data.sealed.manifest import Outcome
from sar_data.sealed.samples import SAMPLES, SAMPLES_NAME, samples_table
from sar_data.sealed.summary import mask_pixels, normalization, summarise
from sar_data.split.policy import UNUSED
from sar_data.statistics.figures import FIGURES
from sar_data.statistics.stats import BandStats, merge
from sar_data.statistics.thumbnail import CELLS
from sar_data.system import durable

GROUP = 1 << 16  # rows that are joined at once, which take 200 MB, and of a group of rows in a table's file
MOST_COMPARED = 1_000  # samples of two splits, by their looks, while a build is sealed: at most 0.2 s
Keys = dict[str, list[str | None]]


@dataclass(frozen=True, slots=True)
class Joined:
    """What plan and proofs tell beside the rows of the tables.

    `keys` are of every slot, by split, None where the record was quarantined; `duplicates` are leakage by pixels,
    `sums` the sha256 of files that were hashed while they were packed.
    """

    keys: Keys
    outcome: Outcome
    duplicates: Card
    sums: dict[str, str]


@dataclass(slots=True)
class _Totals:
    """What is known of the shards that were joined so far; proofs without their slots."""

    merged: dict[str, BandStats]
    keys: Keys
    proofs: list[Proof] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    packed: Counter[str] = field(default_factory=Counter)
    lines: list[pa.Table] = field(default_factory=list)
    pictured: list[pa.Table] = field(default_factory=list)

    def add(self, planned: pa.Table, slots: pa.Table, packed: pa.Table) -> None:
        """Add the rows of some shards: as planned, what packing found, and those that are valid with both."""
        known = pc.if_else(slots["valid"], planned["key"], pa.scalar(None, pa.string())).to_pylist()
        for split, key in zip(planned["split"].to_pylist(), known, strict=True):
            self.keys[split].append(key)
        self.quarantined += _list_quarantined(planned, slots)
        self.dropped.update(count_dropped(packed))
        self.lines.append(content_lines(packed))
        self.packed.update(packed["split"].to_pylist())
        few = pa.array([split for split, count in self.packed.items() if count <= MOST_COMPARED], pa.string())
        compared = pc.is_in(packed["split"], few)
        thumbs = pc.if_else(compared, slots["thumbnail"].filter(slots["valid"]), pa.scalar(None, pa.binary()))
        self.pictured.append(packed.select(["split", "xxh3"]).append_column("thumbnail", thumbs))


def join(draft: Draft) -> Joined:
    """Write index and samples of a packed build, a group of shards at a time, and return what else its proofs tell.

    Raises BuildError where a shard has no proof.
    """
    job = draft.job
    totals = _Totals(
        {split: merge((), job.layout.units) for split in draft.splits}, {split: [] for split in draft.splits}
    )
    groups = _groups(draft.shards)
    with ExitStack() as files:
        plan = pa.ipc.open_file(files.enter_context(pa.OSFile(str(job.work / PLAN))))
        index = files.enter_context(_open_table(job.build / INDEX_NAME, INDEX))
        samples = files.enter_context(_open_table(job.build / SAMPLES_NAME, SAMPLES)) if job.statistics else None
        for shards in groups:
            slots = pa.concat_tables([_load_slots(job, shard, totals) for shard in shards])
            planned = pa.Table.from_batches([plan.get_batch(shard.batch) for shard in shards])
            packed = _join_slots(planned.filter(slots["valid"]), slots.filter(slots["valid"]))
            totals.add(planned, slots, packed)
            rows = [_make_index(packed, draft)]
            if shards is groups[-1]:
                unused = draft.plan.keep_unused().scanned
                unused = unused.append_column("split", pa.array([UNUSED] * len(unused), pa.string()))
                rows.append(_make_index(unused, draft))
            index.write_table(pa.concat_tables(rows))
            if samples is not None:
                samples.write_table(_samples(packed, slots, job.layout.bands))
    sums = {name: digest for proof in totals.proofs for name, digest in proof.sums.items()}
    duplicates = card(pa.concat_tables(totals.pictured), partial(pixels_share, most=MOST_COMPARED))
    return Joined(totals.keys, _make_outcome(draft, totals), duplicates, sums)


def _groups(shards: Sequence[Shard]) -> list[list[Shard]]:
    """Return the shards, cut into groups of GROUP rows or little more."""
    groups: list[list[Shard]] = [[]]
    for shard in shards:
        if sum(member.count for member in groups[-1]) >= GROUP:
            groups.append([])
        groups[-1].append(shard)
    return groups


@contextmanager
def _open_table(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Open a table's file, which appears when the block succeeds; it is flushed when the build is sealed."""
    with durable.publish_file(path, sync=False) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        yield writer


def _load_slots(job: Job, shard: Shard, totals: _Totals) -> pa.Table:
    """Return the slots of a shard's proof, and add the rest of it to the totals."""
    proof = Proof.load(job.proof(shard))
    if proof is None:
        raise BuildError(f"shard {shard.name} has no proof: pack it first")
    if proof.statistics is not None:
        totals.merged[shard.split] += proof.statistics
    # Its histogram alone is 250 kB, its slots are as much.
    totals.proofs.append(replace(proof, statistics=None, slots=SLOTS.empty_table()))
    return proof.slots.replace_schema_metadata(None)


def _make_outcome(draft: Draft, totals: _Totals) -> Outcome:
    bands, plan, proofs = draft.job.layout.bands, draft.plan, totals.proofs
    clipped, unvalued = (
        dict(zip(bands, np.sum([getattr(proof, name) for proof in proofs], axis=0).tolist(), strict=True))
        for name in ("clipped", "unvalued")
    )  # to which those of the conversions that led here are added
    without = {band: count + plan.unvalued.get(band, 0) for band, count in unvalued.items()}
    statistics = draft.job.statistics
    return Outcome(
        splits=_splits(draft, proofs, totals.keys),
        statistics={split: summarise(stats, bands) for split, stats in totals.merged.items()} if statistics else None,
        normalization=normalization(totals.merged["train"], bands) if statistics else None,
        clipped={band: count + plan.clipped.get(band, 0) for band, count in clipped.items()},
        unvalued={band: n for band, n in without.items() if n},
        quarantine=[*plan.quarantine, *(totals.quarantined if plan.is_new else ())],
        dropped_objects=dict(sorted(totals.dropped.items())),
        suspect_pixels=suspects.documents(
            np.sum([proof.suspects for proof in proofs], axis=0), sum(proof.pixels for proof in proofs), bands
        ),
        blank_samples=blank.documents([proof.blank for proof in proofs]),
        fallback_reads=sum(proof.fallbacks for proof in proofs),
        narrowed_records=sum(proof.narrowed for proof in proofs),
        content_digest=digest_lines(pa.concat_tables(totals.lines)),
    )


def _samples(packed: pa.Table, slots: pa.Table, bands: Sequence[str]) -> pa.Table:
    valid = slots.filter(slots["valid"])
    flat = valid["figures"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    thumbs = np.frombuffer(b"".join(valid["thumbnail"].to_pylist()), np.int8).reshape(-1, len(bands), CELLS)
    return samples_table(packed, bands, flat.reshape(-1, len(bands), len(FIGURES)), thumbs)


def _list_quarantined(planned: pa.Table, slots: pa.Table) -> list[Quarantined]:
    """Return the records that packing left out, with the reason."""
    lost = pc.invert(slots["valid"])
    rows = zip(*(slots[name].filter(lost).to_pylist() for name in ("path", "reason")), strict=True)
    keys = planned["key"].filter(lost).to_pylist()
    return [Quarantined(key=key, path=path, reason=reason) for key, (path, reason) in zip(keys, rows, strict=True)]


def _join_slots(planned: pa.Table, slots: pa.Table) -> pa.Table:
    """Return the valid rows with what the pass found: offset, hashes, masked counts."""
    files = planned["files"].combine_chunks()
    hashes = slots["files"].combine_chunks().flatten()
    values = files.flatten()
    hashed = pa.StructArray.from_arrays([values.field("path"), values.field("size"), hashes], fields=list(FILE))
    planned = planned.set_column(
        planned.column_names.index("files"), "files", pa.ListArray.from_arrays(_offsets(files), hashed)
    )
    for name in ("xxh3", "mask_xxh3", "offset", "mask_offset", "masked"):
        planned = planned.append_column(name, slots[name])
    return planned


def _offsets(lists: pa.ListArray) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy())]).astype(np.int32))


def _make_index(part: pa.Table, draft: Draft) -> pa.Table:
    """Return packed or unused rows in the INDEX schema; what an unused row cannot have is null."""
    layout = draft.job.layout
    default, classes = next(iter(layout.classes.items()), (None, ()))
    names, indices = label_columns(part["targets"], default, classes)
    part = part.append_column("labels", names).append_column("label_indices", indices)
    for name, size in zip(("height", "width"), layout.shape or (), strict=False):
        own = pc.fill_null(part[name], pa.scalar(size, pa.int32()))  # else all have the build's
        part = part.set_column(part.column_names.index(name), name, own)
    empty = {f.name: pa.nulls(len(part), f.type) for f in INDEX if f.name not in part.column_names}
    columns = [empty.get(f.name) if f.name in empty else part[f.name].cast(f.type) for f in INDEX]
    return pa.Table.from_arrays(columns, schema=INDEX)


def _splits(draft: Draft, proofs: Sequence[Proof], keys: Keys) -> dict[str, SplitDocument]:
    """Return the manifest's splits, with what each shard really holds."""
    layout, splits = draft.job.layout, {}
    for split, planned in draft.splits.items():
        shards, mask_values, at = [], [], 0
        for shard, proof in zip(draft.shards, proofs, strict=True):
            if shard.split == split:
                count = sum(key is not None for key in keys[split][at : at + shard.count])
                at += shard.count
                file = draft.job.container.file(shard, layout)
                shards.append(ShardDocument(name=shard.name, file=file, count=count, bytes=proof.bytes))
                mask_values.append(proof.mask_pixels)
        splits[split] = SplitDocument(
            count=sum(shard.count for shard in shards),
            shard_length=planned.shard_length,
            class_shares=planned.class_shares,
            mask_pixels=mask_pixels(layout.mask_classes, mask_values) if layout.mask else None,
            shards=shards,
        )
    return splits
