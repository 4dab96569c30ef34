"""What a build would come to before it begins: splits, shards, bytes, disk, memory, minutes, and what is missing."""

from __future__ import annotations

import glob
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sar_data import formats
from sar_data.builder import published
from sar_data.builder.calibration import Name, calibrate, folder_bytes, nearest_folder
from sar_data.builder.prepare import containers_of, open_source, scan_source
from sar_data.builder.request import BuildRequest
from sar_data.builder.sharding import shard_length
from sar_data.builder.sizes import largest
from sar_data.builder.splits import SplitOutlook, policies_of, split_outlook
from sar_data.errors import UsageError
from sar_data.progress import Progress, Say
from sar_data.runners import AHEAD, Runner, Serial
from sar_data.sources.archives.detect import archive_at
from sar_data.split.policy import SPLITS
from sar_data.system.store import is_url


@dataclass(frozen=True, slots=True)
class PlannedBuild:
    """A build that would be sealed; `baked` from another one, else lossless."""

    format: str
    baked: bool
    shards: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a build would come to.

    `splits` are those that were asked for, or all; figures of one are those of the first that exists. `read_bytes` are
    those of the files of all records, `written_bytes` those of all builds. `peak_disk_bytes` adds to the builds what
    lies there already, the raw files or their archives with what was unpacked, and at most so much of LMDB's spool as
    is under way; `needed_bytes` is what has to be free, `free_bytes` what is. `minutes` are of the scan and the builds,
    on this machine with these workers, `memory_bytes` the least that they take. `missing` says what a build lacks.
    """

    splits: Sequence[SplitOutlook]
    records: int
    quarantined: int
    builds: Sequence[PlannedBuild]
    read_bytes: int
    written_bytes: int
    peak_disk_bytes: int
    needed_bytes: int
    free_bytes: int
    memory_bytes: int
    minutes: float
    missing: Sequence[str]

    def document(self) -> dict[str, Any]:
        """Return the outlook as JSON has it."""
        return asdict(self) | {"splits": [split.document() for split in self.splits]}


def outlook(
    request: BuildRequest,
    split: str | Sequence[str] | None,
    runner: Runner,
    progress: Progress | None = None,
    say: Say | None = None,
) -> Outlook:
    """Return what a build would come to in some splits, or in all that the dataset offers; one scan serves all.

    `split` is a list of policies, or a text of them, "A,B". Small samples are built beside `out` and removed, for ten
    seconds at most. Raises UsageError for a split that does not exist, and what preparing a build raises.
    """
    if is_url(request.out):
        raise UsageError(f"`out={request.out}`: a plan measures the disk of a folder, expected one, found an address")
    fit, lists = open_source(request, progress, say)
    policies = policies_of(split, fit.pipeline)
    containers_of(request, fit.pipeline.spec)  # which raises what they do not admit
    began = time.monotonic()
    scanned, fit = scan_source(request, fit, runner, progress, say)
    scan_s = time.monotonic() - began
    spec = fit.pipeline.spec
    request.check_sizes(largest(scanned.table, spec.shape))
    splits = [split_outlook(text, policy, scanned, spec, request.seed, lists) for text, policy in policies]
    calibration = calibrate(request, fit, scanned, runner)
    counts = next((split.counts for split in splits if not split.failure), {"train": len(scanned.records)})
    builds = [_plan_build(name, size, counts, request) for name, size in calibration.bytes.items()]
    written = sum(build.bytes for build in builds)
    needed = written + sum(_spool_bytes(build, runner) for build in builds)
    free = shutil.disk_usage(nearest_folder(Path(request.out))).free
    count = len(scanned.records)
    whole = request.limit is not None or spec.samples is None or count >= spec.samples
    lacking = "" if whole else published.describe_counts(spec, count, {})
    return Outlook(
        splits=splits,
        records=count,
        quarantined=len(scanned.quarantined),
        builds=builds,
        read_bytes=_file_bytes(scanned.table),
        written_bytes=written,
        peak_disk_bytes=_source_bytes(request) + needed,
        needed_bytes=needed,
        free_bytes=free,
        memory_bytes=calibration.memory_bytes,
        minutes=(scan_s + calibration.seconds) / 60,
        missing=list(_missing(splits, lacking, needed, free)),
    )


def _plan_build(name: Name, size: int, counts: Mapping[str, int], request: BuildRequest) -> PlannedBuild:
    format, baked = name
    packing = request.packing if request.packing in formats.get(format).compressions else None
    multiple = formats.get(format, packing).multiple
    filled = [count for split, count in counts.items() if split in SPLITS and count]
    shards = sum(math.ceil(count / shard_length(count, request.shard_length, multiple)) for count in filled)
    return PlannedBuild(format, baked, shards, size)


def _spool_bytes(build: PlannedBuild, runner: Runner) -> int:
    """Return the bytes of the shards that may wait for the one writer of a container."""
    if not formats.get(build.format).spooled:
        return 0
    waiting = 1 if isinstance(runner, Serial) else AHEAD * runner.workers
    return build.bytes * min(waiting, build.shards) // max(build.shards, 1)


def _file_bytes(table: pa.Table) -> int:
    """Return the bytes of the files of all records, each counted once."""
    files = pc.list_flatten(table["files"]).combine_chunks()
    sizes = dict(zip(files.field("path").to_pylist(), files.field("size").to_pylist(), strict=True))
    return sum(sizes.values())


def _source_bytes(request: BuildRequest) -> int:
    """Return the bytes here of the raw files or archives, and of the plain archives that were made of these."""
    if is_url(request.source):
        return 0
    source, work = Path(request.source), request.work
    if source.is_dir():
        inside = work is None or work.absolute().is_relative_to(source.absolute())
        return folder_bytes(source) + (0 if inside or work is None or not work.is_dir() else folder_bytes(work))
    packed = archive_at(source)
    plain = (work or source.parent).glob(f"{glob.escape(packed.name)}.*{packed.plain}") if packed.compressed else ()
    return sum(path.stat().st_size for path in {*packed.files, *plain})


def _missing(splits: Sequence[SplitOutlook], records: str, needed: int, free: int) -> Iterator[str]:
    """Yield what a build would lack: splits that there are not, published records, room on the disk."""
    yield from (f"split {split.split}: {split.failure}" for split in splits if split.failure)
    if records:
        yield records
    if needed > free:
        yield f"{(needed - free) / 1e9:,.1f} GB on the disk: {needed / 1e9:,.1f} are needed, {free / 1e9:,.1f} are free"
