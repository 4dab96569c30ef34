"""Open a draft: name the target after its recipe, take its lock, and write the plan beside it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import sar_data
from sar_data import formats
from sar_data.builder import plan as planning
from sar_data.builder.draft import BUILDING, Draft, Job, discard, hold
from sar_data.builder.origin import Origin, Raw
from sar_data.builder.pack import PLAN, missing_bytes
from sar_data.builder.request import BadRecords
from sar_data.errors import BuildError, SplitError, TargetError
from sar_data.sealed.manifest import NAME, Manifest, recipe_digest
from sar_data.sealed.opened import layout_of
from sar_data.split.policy import SPLITS
from sar_data.system import durable

SCAN_NAME = "scan.parquet"


def open_draft(
    out: Path,
    facts: Mapping[str, Any],
    origin: Origin,
    scanned: pa.Table,
    split: list[str],
    shares: Mapping[str, Mapping[str, float]],
    *,
    shard_length: int,
    statistics: bool,
    bad_records: BadRecords,
) -> Draft:
    """Return the draft of a build below `out`; `facts` lacks only what the plan and the pixels decide.

    Raises SplitError for an empty train split, TargetError where the target is held, unwritable or too small.
    """
    digest = recipe_digest(facts["recipe"])
    container = formats.get(facts["format"], facts["compression"])
    home = out.absolute() / facts["dataset"] / facts["version"]
    target = home / f"{container.name}-{digest[:8]}"
    if "train" not in split:
        raise SplitError(
            f"split {facts['split_policy']['policy']}: expected some train records, found none among {len(split)}. "
            "Choose another `split=…` or `seed=…`, or a source that has them."
        )
    splits = {name: _split(split.count(name), shard_length, container.multiple, shares[name]) for name in SPLITS}
    complete = {**facts, "sar_data_version": sar_data.__version__, "recipe_digest": digest, "splits": splits}
    layout = layout_of(Manifest.model_construct(**complete))
    job = Job(
        work=home / f".{target.name}{BUILDING}",
        recipe=digest,
        origin=origin,
        format=container.name,
        compression=container.compression,
        layout=layout,
        bad_records=bad_records,
        statistics=statistics,
        # What a sealed build holds was judged when it was made.
        may_be_empty=not isinstance(origin, Raw) or origin.pipeline.spec.may_be_empty,
    )
    shards, rows = planning.plan(scanned, split, shard_length, container.multiple)
    draft = Draft(target, job, shards, complete, scanned, split)
    draft.sealed = _sealed(draft)
    if draft.sealed:
        discard(job.work)  # left by a builder that was killed after the rename
        return draft
    draft.lock = hold(target, job.work, digest)
    if _sealed(draft):  # sealed by another builder while this one waited for nothing but luck
        draft.sealed = True
        discard(job.work)
        return draft
    try:
        _write_plan(draft, rows)
        _check_space(draft)
    except BaseException:
        draft.release()
        raise
    return draft


def _split(samples: int, most: int, multiple: int, shares: Mapping[str, float]) -> dict[str, Any]:
    length = planning.shard_length(samples, most, multiple)
    return {"count": samples, "shard_length": length, "class_shares": dict(shares), "shards": []}


def _sealed(draft: Draft) -> bool:
    """Say whether the target stands; raise BuildError where it is another build, or one that `stop` does not accept."""
    if not draft.target.exists():
        return False
    found, digest = Manifest.load(draft.target), draft.job.recipe
    if found.recipe_digest != digest:
        raise BuildError(f"{draft.target / NAME}: expected recipe {digest}, found {found.recipe_digest}: move it away")
    left_out = found.quarantine[len(draft.facts["quarantine"]) :]  # beyond what this run's scan or parent left out
    if left_out and draft.job.bad_records == "stop":
        raise BuildError(
            f"{draft.target}: sealed without {len(left_out)} bad records, the first {left_out[0].path}: "
            f"{left_out[0].reason}. Take it with `bad_records=quarantine`, or mend the source, move the build away and "
            "build again."
        )
    return True


def _write_plan(draft: Draft, rows: pa.Table) -> None:
    """Write scan.parquet for people, and plan.arrow with one batch a shard for the workers."""
    work = draft.job.work
    sink = pa.BufferOutputStream()
    pq.write_table(draft.scanned, sink, compression="zstd")
    # Both are written anew by every run, before any shard.
    durable.write(work / SCAN_NAME, sink.getvalue(), sync=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, rows.schema) as writer:
        at = 0
        for shard in draft.shards:
            batch = rows.slice(at, shard.count).combine_chunks().to_batches(max_chunksize=shard.count)
            writer.write_batch(batch[0])
            at += shard.count
    durable.write(work / PLAN, sink.getvalue(), sync=False)


def _check_space(draft: Draft) -> None:
    """Raise TargetError unless the disk has room for what is not packed yet."""
    need = missing_bytes(draft)
    free = shutil.disk_usage(draft.job.work).free
    if free < need:
        raise TargetError(
            f"{draft.target}: needs {need / 1e6:.1f} MB, {free / 1e6:.1f} MB free. "
            "Free some space or choose another `out=…`."
        )
