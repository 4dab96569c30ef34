"""Join: what the plan intended and what the proofs found, as the index and the manifest's remaining facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.builder.draft import Draft
from sar_data.builder.pack import PLAN
from sar_data.builder.proof import Proof
from sar_data.sealed.index import FILE, INDEX, label_columns
from sar_data.sealed.manifest import Quarantined, content_digest
from sar_data.sealed.summary import mask_pixels, normalization, summarise
from sar_data.split.policy import UNUSED
from sar_data.statistics.stats import BandStats


@dataclass(frozen=True, slots=True)
class Joined:
    """`index` in the INDEX schema; `keys` of every slot by split (None where quarantined); `facts` for the manifest."""

    index: pa.Table
    keys: dict[str, list[str | None]]
    facts: dict[str, Any]


def join(draft: Draft, proofs: Sequence[Proof], merged: Mapping[str, BandStats]) -> Joined:
    """Return the joined documents; `proofs` are in the order of the draft's shards, `merged` their statistics."""
    with pa.memory_map(str(draft.job.work / PLAN)) as source:
        planned = pa.ipc.open_file(source).read_all()
    slots = pa.concat_tables([proof.slots for proof in proofs]).replace_schema_metadata(None)
    valid = slots["valid"]
    lost = pc.invert(valid)
    quarantined = [
        Quarantined(key=key, path=slot["path"], reason=slot["reason"])
        for key, slot in zip(planned["key"].filter(lost).to_pylist(), slots.filter(lost).to_pylist(), strict=True)
    ]
    keys = pc.if_else(valid, planned["key"], pa.scalar(None, pa.string())).to_pylist()
    by_split: dict[str, list[str | None]] = {split: [] for split in draft.facts["splits"]}
    for split, key in zip(planned["split"].to_pylist(), keys, strict=True):
        by_split[split].append(key)
    packed = _packed(planned.filter(valid), slots.filter(valid))
    clipped = np.sum([proof.clipped for proof in proofs], axis=0)
    before = draft.facts.get("clipped", {})  # by the repacks that led here
    facts = {
        **_splits(draft, proofs, by_split),
        **_statistics(draft, merged),
        "content_digest": content_digest(packed),
        "quarantine": [*draft.facts["quarantine"], *quarantined],
        "fallback_reads": sum(proof.fallbacks for proof in proofs),
        "narrowed_records": sum(proof.narrowed for proof in proofs),
        "clipped": {
            band: int(n) + before.get(band, 0) for band, n in zip(draft.job.layout.bands, clipped, strict=True)
        },
    }
    unused = draft.scanned.filter(pa.array([split == UNUSED for split in draft.split], pa.bool_()))
    unused = unused.append_column("split", pa.array([UNUSED] * len(unused), pa.string()))
    return Joined(_indexed([packed, unused], draft), by_split, facts)


def _packed(planned: pa.Table, slots: pa.Table) -> pa.Table:
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


def _indexed(parts: list[pa.Table], draft: Draft) -> pa.Table:
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


def _splits(draft: Draft, proofs: Sequence[Proof], keys: dict[str, list[str | None]]) -> dict[str, Any]:
    """Return the manifest's splits, with what each shard really holds."""
    splits: dict[str, Any] = {}
    for split, planned in draft.facts["splits"].items():
        shards, at = [], 0
        for shard, proof in zip(draft.shards, proofs, strict=True):
            if shard.split == split:
                count = sum(key is not None for key in keys[split][at : at + shard.count])
                at += shard.count
                file = draft.job.container.file(shard, draft.job.layout)
                shards.append({"name": shard.name, "file": file, "count": count, "bytes": proof.bytes})
        splits[split] = {**planned, "count": sum(shard["count"] for shard in shards), "shards": shards}
        if draft.job.layout.mask:
            mine = [p.mask_pixels for s, p in zip(draft.shards, proofs, strict=True) if s.split == split]
            splits[split]["mask_pixels"] = mask_pixels(draft.job.layout.mask_classes, mine)
    return {"splits": splits}


def _statistics(draft: Draft, merged: Mapping[str, BandStats]) -> dict[str, Any]:
    if not draft.job.statistics:
        return {"statistics": None, "normalization": None}
    bands = draft.job.layout.bands
    statistics = {split: summarise(stats, bands) for split, stats in merged.items()}
    return {"statistics": statistics, "normalization": normalization(merged["train"], bands)}
