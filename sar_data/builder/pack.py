"""Pack: read every planned record once, and in that pass store it, hash it and count it."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from sar_data.builder import blank
from sar_data.builder.draft import PENDING, Draft, Job
from sar_data.builder.following import write_each
from sar_data.builder.origin import PixelReader, Pixels, Raw
from sar_data.builder.plan import PLAN
from sar_data.builder.proof import SLOTS, Proof
from sar_data.builder.scan import offering_quarantine
from sar_data.builder.suspects import (
    BORDER,
    FILL,
    INFINITE,
    LOWEST_FILL,
    REASONS,
    ZERO,
    Counts,
    count_border,
    remove_fill,
)
from sar_data.errors import BadRecord, BuildError, TargetError
from sar_data.formats.container import Entry, Place, Shard, Written
from sar_data.formats.storage import physical
from sar_data.progress import Progress
from sar_data.record import Image, Mask, Record
from sar_data.runners import Runner
from sar_data.sealed.index import list_offsets
from sar_data.sealed.places import places_of
from sar_data.sealed.records import Records
from sar_data.statistics.figures import ZEROS
from sar_data.statistics.tally import Survey, Tally, survey
from sar_data.statistics.thumbnail import Thumbnails
from sar_data.system import durable
from sar_data.system.bulk import bulk

STARTED = "started"
MOST_KEPT = 64 << 20  # bytes of a shard that several containers share in memory: 256 patches are 29 MB
SPARE = 1.08  # room for headers, page rounding and metadata beyond the pixels
MOST_DB = 450.0  # 10 log10 of float32's smallest and largest power are -449 and 385: beyond, values are no dB


def pack(drafts: Sequence[Draft], runner: Runner, progress: Progress | None = None) -> None:
    """Write every shard that has no valid proof yet; afterwards all have one.

    The drafts are of the same samples, each in another container: what they put into equal shards is read, hashed and
    counted once. Raises BadRecord for a record that is wrong under `stop`, TargetError where the target cannot be
    written.
    """
    alike: dict[tuple[Shard, ...], list[Draft]] = {}
    for draft in drafts:
        if not draft.sealed:
            start(draft)
            alike.setdefault(tuple(draft.shards), []).append(draft)
    for shards, group in alike.items():
        _pack_alike(shards, group, runner, progress)


def _pack_alike(shards: Sequence[Shard], drafts: Sequence[Draft], runner: Runner, progress: Progress | None) -> None:
    """Pack drafts that have the same shards."""
    jobs = [draft.job for draft in drafts]
    lacking = {shard: [job for job in jobs if not proven(job, shard)] for shard in shards}
    todo = [shard for shard in shards if lacking[shard]]
    total = sum(shard.count for shard in shards)
    done = total - sum(shard.count for shard in todo)
    # Closed at once on failure: the target's lock must not go before the workers have put down their shards.
    offered = offering_quarantine(jobs[0].bad_records) if isinstance(jobs[0].origin, Raw) else nullcontext()
    with closing(runner.map(partial(pack_shard, jobs), todo)) as packed, _needs(drafts), offered:
        for shard in packed:
            for job in lacking[shard]:
                if job.container.spooled:
                    _commit(job, shard)
            for draft in drafts:
                draft.target.confirm()
            done += shard.count
            if progress:
                progress("pack", done, total)


def _commit(job: Job, shard: Shard) -> None:
    pending = job.proof(shard).with_suffix(PENDING)
    proof = Proof.load(pending)
    rows = read_plan(job, shard)["key"].to_pylist()
    if proof is None:
        raise BuildError(f"{pending}: expected the proof of shard {shard.name}, found none that is whole: run again")
    valid = proof.slots["valid"].to_pylist()
    keys = [key if ok else None for key, ok in zip(rows, valid, strict=True)]
    job.container.commit(job.build, job.layout, shard, keys, job.spool)
    with durable.explain_errors(pending):
        os.replace(pending, job.proof(shard))
        (job.spool / shard.name).unlink()


def missing_bytes(draft: Draft) -> int:
    """Return the disk space that the shards without a valid proof will take."""
    job, need = draft.job, 0
    for shard in draft.shards:
        if proven(job, shard):
            continue
        if job.layout.shape is not None:
            need += shard.count * job.layout.sample_bytes()
        else:
            rows = read_plan(job, shard)
            sizes = zip(rows["height"].to_pylist(), rows["width"].to_pylist(), strict=True)
            need += sum(job.layout.sample_bytes((h or 0, w or 0)) for h, w in sizes)
    return int(need * SPARE)


@contextmanager
def _needs(drafts: Sequence[Draft]) -> Iterator[None]:
    """Let a TargetError say what is needed, where the disk is too small for the rest."""
    try:
        yield
    except TargetError as error:
        drafts = [draft for draft in drafts if draft.job.deposit is None]  # what a store gets needs no room here
        if not drafts:
            raise
        need, free = sum(map(missing_bytes, drafts)), shutil.disk_usage(drafts[0].job.work).free
        if free >= need:
            raise
        raise TargetError(f"{error} What is left needs {need / 1e6:.1f} MB, {free / 1e6:.1f} MB free.") from error


def start(draft: Draft) -> None:
    """Lay out empty splits, once: what an interrupted start left is thrown away."""
    job = draft.job
    if (job.work / STARTED).exists():
        return
    with durable.explain_errors(job.build):
        shutil.rmtree(job.build, ignore_errors=True)
        job.build.mkdir()
        (job.work / "proofs").mkdir(exist_ok=True)
        for split in draft.splits:
            job.container.start(job.build, split)
        durable.write(job.work / STARTED, b"", sync=False)


def proven(job: Job, shard: Shard) -> bool:
    """Say whether a shard is on disk with a proof of this recipe, so that it need not be packed again."""
    proof = Proof.load(job.proof(shard))
    if proof is None or proof.recipe != job.recipe or (job.statistics and proof.statistics is None):
        return False
    if not proof.fits(shard.count, job.layout.units):
        return False
    if job.bad_records == "stop" and not pc.all(proof.slots["valid"]).as_py():
        return False  # packed under quarantine, which this run does not accept
    return job.has_files(shard, proof.bytes)


def read_plan(job: Job, shard: Shard) -> pa.Table:
    """Return the planned rows of one shard."""
    with pa.memory_map(str(job.work / PLAN)) as file:
        return pa.Table.from_batches([pa.ipc.open_file(file).get_batch(shard.batch)])


@bulk()
def pack_shard(jobs: Sequence[Job], shard: Shard) -> Shard:
    """Write one shard, and its proof, for each job that lacks it; runs in a worker."""
    jobs = [job for job in jobs if not proven(job, shard)]
    rows = read_plan(jobs[0], shard)
    records = Records(rows)
    places: list[Place | None] = [None] * len(records)
    if "parent" in rows.column_names:
        places = list(places_of(rows["parent"].combine_chunks()))
    accepting: dict[tuple[bool, ...], list[Job]] = {}
    for job in jobs:  # containers that refuse other keys store other records
        accepted = tuple(job.container.refuse(record.key) is None for record in records)
        accepting.setdefault(accepted, []).append(job)
    for group in accepting.values():
        _pack_once(group, shard, records, places)
    return shard


def _pack_once(jobs: Sequence[Job], shard: Shard, records: Sequence[Record], places: list[Place | None]) -> None:
    """Write one shard, and its proof, for each job, in one pass over its pixels."""
    pass_ = _Pass(jobs[0])
    writers = [
        partial(job.container.write, job.spool if job.container.spooled else job.build, job.layout, shard)
        for job in jobs
    ]
    size = sum(jobs[0].layout.sample_bytes(record.shape) for record in records)
    with jobs[0].origin.open(records) as reader:
        written = write_each(writers, pass_.entries(reader, records, places), small=size <= MOST_KEPT)
    proof = pass_.proof(jobs[0].recipe)
    for job, part in zip(jobs, written, strict=True):
        placed = replace(
            proof, recipe=job.recipe, bytes=part.bytes, sums=part.sums, slots=_with_places(proof.slots, part)
        )
        job.finish(shard, placed)


def _with_places(slots: pa.Table, written: Written) -> pa.Table:
    """Return slots with the offsets that a container gave them; an empty slot has none."""
    for name, offsets in (("offset", written.offsets), ("mask_offset", written.mask_offsets)):
        at = slots.column_names.index(name)
        known = pc.if_else(slots["valid"], pa.array(offsets, pa.int64()), pa.scalar(None, pa.int64()))
        slots = slots.set_column(at, slots.schema.field(at), known)
    return slots


class _Pass:
    """The one pass over a shard's pixels."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.refuse = job.container.refuse
        self.in_db = np.array([unit == "dB" for unit in job.layout.units])
        self.tally = Tally(job.layout.units) if job.statistics else None
        self.thumbnails = Thumbnails(job.layout.units)
        self.fallbacks = 0
        self.narrowed = 0
        self.clipped = np.zeros(len(job.layout.bands), np.int64)
        self.unvalued = np.zeros(len(job.layout.bands), np.int64)
        self.suspects = np.zeros((len(REASONS), len(job.layout.bands)), np.int64)
        self.pixels = 0  # of a band
        self.mask_pixels = np.zeros(256 if job.layout.mask else 0, np.int64)
        self.blank: dict[str, list[str]] = {}  # keys by reason
        self.slots: list[tuple[Any, ...]] = []  # SLOTS but for what is known at the end

    def entries(self, reader: PixelReader, records: Sequence[Record], places: list[Place | None]) -> Iterator[Entry]:
        layout = self.job.layout
        for record, place in zip(records, places, strict=True):
            try:
                if reason := self.refuse(record.key):
                    raise BadRecord(record.files[0].path, f"{record.key}: {reason}")
                pixels = reader.pixels(record, place)
                height, width = pixels.size
                inside = pixels.image[..., :height, :width]
                seen = survey(physical(inside, layout.scale), pixels.nodata)
                filled = None
                if seen.least <= LOWEST_FILL:
                    image, filled = remove_fill(pixels.image, layout.units)
                    pixels, inside = replace(pixels, image=image), image[..., :height, :width]
                    seen = survey(physical(inside, layout.scale), pixels.nodata)
                marked = [n == height * width * layout.frames for n in pixels.nodata]
                if not (self.job.may_be_empty and marked and all(marked)):
                    self._refuse_implausible(record, seen, pixels)
            except BadRecord as error:
                if self.job.bad_records == "stop":
                    raise
                self.slots.append((False, error.path, error.reason, None, None, None, None))
                yield Entry(record, None)
                continue
            if self.tally:
                self.tally.add(seen)
                self.thumbnails.add(seen, (height, width))
            self._suspect(inside, seen, filled)
            self.fallbacks += pixels.fallbacks
            self.narrowed += pixels.narrowed
            if pixels.clipped:
                self.clipped += pixels.clipped
            if pixels.unvalued:
                self.unvalued += pixels.unvalued
            masked = [
                {"band": band, "reason": reason, "count": int(count)}
                for reason, counts in seen.masked.items()
                for band, count in zip(layout.bands, counts, strict=True)
                if count
            ]
            hidden = None
            if pixels.mask is not None:
                hidden = xxhash.xxh3_128_hexdigest(pixels.mask.data)
                self._count_mask(record.key, seen, pixels.mask)
            xxh3 = xxhash.xxh3_128_hexdigest(pixels.image.data)
            self.slots.append((True, None, None, xxh3, hidden, pixels.files, masked))
            yield Entry(record, pixels.image, pixels.mask)

    def _count_mask(self, key: str, seen: Survey, mask: Mask) -> None:
        counts = np.bincount(mask.ravel(), minlength=256)
        self.mask_pixels += counts
        if (frames := self.job.layout.frames) > 1:  # a change
            for reason in blank.reasons(seen, frames, counts):
                self.blank.setdefault(reason, []).append(key)

    def _suspect(self, image: Image, seen: Survey, filled: Counts | None) -> None:
        """Count the pixels of an image that may be none, but for zeros, which the figures of all images have."""
        if filled is not None:
            self.suspects[FILL] += filled
        if seen.masked:
            self.suspects[INFINITE] += seen.masked["inf"]
        if (edges := count_border(image, self.job.layout.units)) is not None:
            self.suspects[BORDER] += edges
        self.pixels += seen.flat.shape[1]

    def _refuse_implausible(self, record: Record, seen: Survey, pixels: Pixels) -> None:
        if seen.valid is None and ("dB" not in self.job.layout.units or max(-seen.least, seen.most) <= MOST_DB):
            return
        bands, in_db = self.job.layout.bands, self.in_db
        empty = np.zeros(len(bands), np.bool_) if seen.valid is None else ~seen.valid.any(axis=1)
        beyond = in_db & ~empty & (np.maximum(np.abs(seen.low), np.abs(seen.high)) > MOST_DB)
        if pixels.unvalued:
            empty = np.zeros_like(
                empty
            )  # of a sealed build, which was judged when it was made: a band of zeros has no dB
        if empty.any():
            i, reason = int(np.argmax(empty)), "expected some valid pixels, found every one masked (NaN or infinite)"
        elif beyond.any():
            i = int(np.argmax(beyond))
            reason = f"expected values in dB, found {seen.low[i]:g} to {seen.high[i]:g}"
        else:
            return
        names = [file.path for file in record.files]
        path = next((name for name in names if bands[i] in name.rsplit("/", 1)[-1]), names[0])
        raise BadRecord(path, f"band {bands[i]}: {reason}")

    def proof(self, recipe: str) -> Proof:
        """Return the proof of what was packed; where that lies is not known yet."""
        slots = self._table()
        return Proof(
            recipe,
            0,
            self.fallbacks,
            self.narrowed,
            self.clipped.tolist(),
            self.unvalued.tolist(),
            self.suspects.tolist(),
            self.pixels,
            self.mask_pixels.tolist(),
            self.blank,
            {},
            self.tally.finish() if self.tally else None,
            slots,
        )

    def _table(self) -> pa.Table:
        """Return the slots in the SLOTS schema, without offsets."""
        rows = [(*slot, None, None) for slot in self.slots]
        fields = list(SLOTS)[:-2]
        columns = list(zip(*rows, strict=True)) or [()] * len(fields)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, fields, strict=True)]
        figures = self.tally.figures() if self.tally else np.empty((0, 0, 0))
        if self.tally:
            self.suspects[ZERO] = np.where(self.in_db, figures[..., ZEROS].sum(axis=0), 0)
        offsets = list_offsets(math.prod(figures.shape[1:]) * slot[0] for slot in self.slots)
        thumbs = iter(self.thumbnails.finish() if self.tally else ())
        pictures = [next(thumbs).tobytes() if self.tally and slot[0] else None for slot in self.slots]
        lists = pa.ListArray.from_arrays(offsets, pa.array(figures.ravel()))
        return pa.table([*arrays, lists, pa.array(pictures, pa.binary())], schema=SLOTS)
