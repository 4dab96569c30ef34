"""Join: what was planned and what the proofs tell, as the index and the outcome of the build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.builder import blank, suspects
from sar_data.builder.draft import Draft
from sar_data.builder.plan import PLAN
from sar_data.builder.proof import Proof
from sar_data.builder.scan import count_dropped
from sar_data.sealed.documents import Quarantined, ShardDocument, SplitDocument
from sar_data.sealed.index import FILE, INDEX, label_columns
from sar_data.sealed.leakage import Card, card, pixels_share
from sar_data.sealed.manifest import Outcome, content_digest
from sar_data.sealed.samples import samples_table
from sar_data.sealed.summary import mask_pixels, normalization, summarise
from sar_data.split.policy import UNUSED
from sar_data.statistics.figures import FIGURES
from sar_data.statistics.stats import BandStats
from sar_data.statistics.thumbnail import CELLS

MOST_COMPARED = 1_000  # samples of two splits, by their looks, while a build is sealed: at most 0.2 s
Keys = dict[str, list[str | None]]


@dataclass(frozen=True, slots=True)
class Joined:
    """`index` is in the INDEX schema, `samples` in that of SAMPLES, None without statistics.

    `keys` are of every slot, by split, None where the record was quarantined; `duplicates` are leakage by pixels.
    """

    index: pa.Table
    samples: pa.Table | None
    keys: Keys
    outcome: Outcome
    duplicates: Card


def join(draft: Draft, proofs: Sequence[Proof], merged: Mapping[str, BandStats]) -> Joined:
    """Return the joined documents; `proofs` are in the order of the draft's shards, `merged` their statistics."""
    with pa.memory_map(str(draft.job.work / PLAN)) as source:
        planned = pa.ipc.open_file(source).read_all()
    slots = pa.concat_tables([proof.slots for proof in proofs]).replace_schema_metadata(None)
    valid = slots["valid"]
    packed = _join_slots(planned.filter(valid), slots.filter(valid))
    keys = _keys(planned, valid, list(draft.splits))
    bands = draft.job.layout.bands
    clipped = np.sum([proof.clipped for proof in proofs], axis=0).tolist()
    unvalued = np.sum([proof.unvalued for proof in proofs], axis=0).tolist()
    before, lost = draft.plan.clipped, draft.plan.unvalued  # by the conversions that led here
    without = {band: n + lost.get(band, 0) for band, n in zip(bands, unvalued, strict=True)}
    statistics = draft.job.statistics
    outcome = Outcome(
        splits=_splits(draft, proofs, keys),
        statistics={split: summarise(stats, bands) for split, stats in merged.items()} if statistics else None,
        normalization=normalization(merged["train"], bands) if statistics else None,
        clipped={band: count + before.get(band, 0) for band, count in zip(bands, clipped, strict=True)},
        unvalued={band: n for band, n in without.items() if n},
        quarantine=[*draft.plan.quarantine, *(_list_quarantined(planned, slots) if draft.plan.is_new else ())],
        dropped_objects=dict(sorted(count_dropped(packed).items())),
        suspect_pixels=suspects.documents(
            np.sum([proof.suspects for proof in proofs], axis=0), sum(proof.pixels for proof in proofs), bands
        ),
        blank_samples=blank.documents([proof.blank for proof in proofs]),
        fallback_reads=sum(proof.fallbacks for proof in proofs),
        narrowed_records=sum(proof.narrowed for proof in proofs),
        content_digest=content_digest(packed),
    )
    unused = draft.plan.scanned.filter(pa.array([split == UNUSED for split in draft.plan.split], pa.bool_()))
    unused = unused.append_column("split", pa.array([UNUSED] * len(unused), pa.string()))
    samples = _samples(packed, slots, bands) if statistics else None
    pictured = packed.select(["split", "xxh3"]).append_column("thumbnail", slots["thumbnail"].filter(valid))
    duplicates = card(pictured, partial(pixels_share, most=MOST_COMPARED))
    return Joined(_make_index([packed, unused], draft), samples, keys, outcome, duplicates)


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


def _keys(planned: pa.Table, valid: pa.ChunkedArray, splits: Sequence[str]) -> Keys:
    keys: Keys = {split: [] for split in splits}
    known = pc.if_else(valid, planned["key"], pa.scalar(None, pa.string())).to_pylist()
    for split, key in zip(planned["split"].to_pylist(), known, strict=True):
        keys[split].append(key)
    return keys


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


def _make_index(parts: list[pa.Table], draft: Draft) -> pa.Table:
    """Return packed and unused rows in the INDEX schema; what an unused row cannot have is null."""
    layout = draft.job.layout
    default, classes = next(iter(layout.classes.items()), (None, ()))
    whole = []
    for part in parts:
        names, indices = label_columns(part["targets"], default, classes)
        part = part.append_column("labels", names).append_column("label_indices", indices)
        for name, size in zip(("height", "width"), layout.shape or (), strict=False):
            own = pc.fill_null(part[name], pa.scalar(size, pa.int32()))  # else all have the build's
            part = part.set_column(part.column_names.index(name), name, own)
        empty = {f.name: pa.nulls(len(part), f.type) for f in INDEX if f.name not in part.column_names}
        columns = [empty.get(f.name) if f.name in empty else part[f.name].cast(f.type) for f in INDEX]
        whole.append(pa.Table.from_arrays(columns, schema=INDEX))
    return pa.concat_tables(whole)


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
