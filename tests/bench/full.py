"""A build of 590,326 records on one machine: `make bench-full`. Processor seconds and memory, by step.

The tree has 590,326 folders of patches as BigEarthNet-S1 has them, on a lattice of 73 tiles: a JSON of its own in each,
and two GeoTIFFs that are hard links to those of BENCH_PATCHES patches (10,000 by default; about 7 GB of disk in all).
So scan, split, plan and seal work on all records. Pixels of BENCH_PATCHES records are packed, and the last shard of
each split; all other shards are links to the first one of their split, with a copy of its proof.

Seconds are of the processor: `serial` is what the builder itself takes, `workers` what its two processes take. Memory
is the most that the builder, and the largest worker, had in use until the end of a step.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

from sar_data import catalog
from sar_data.builder.draft import Draft
from sar_data.builder.pack import pack, start
from sar_data.builder.prepare import prepare
from sar_data.builder.request import BuildRequest
from sar_data.builder.seal import seal
from sar_data.builder.target import FolderTarget
from sar_data.runners import Processes
from tests.bench.build import OUT, PATCHES, archive
from tests.bench.scale import COUNT, EXTENT, SIDE

RAW = OUT / "full"
PIPELINE = catalog.pipeline("bigearthnet-s1")
T = TypeVar("T")


def tree() -> Path:
    """Return the folder of 590,326 patches, made once."""
    if not (OUT / "full-made").exists():
        models = sorted(path for path in archive().iterdir() if path.is_dir())
        print(f"making {COUNT:,} patches of {len(models):,} …", flush=True)
        shutil.rmtree(RAW, ignore_errors=True)
        for number in range(COUNT):
            _link(models[number % len(models)], number)
        (OUT / "full-made").touch()
    return RAW


def _link(model: Path, number: int) -> None:
    """Make one patch: its name and place follow from its number, its pixels are those of a model."""
    tile, cell = divmod(number, SIDE**2)
    column, row = divmod(cell, SIDE)
    letters = f"{chr(ord('A') + tile // 26)}{chr(ord('A') + tile % 26)}"
    key = f"{model.name.rsplit('_', 3)[0]}_33U{letters}_{column}_{row}"
    folder = RAW / "BigEarthNet-S1-v1.0" / key
    folder.mkdir(parents=True)
    for band in ("VV", "VH"):
        os.link(model / f"{model.name}_{band}.tif", folder / f"{key}_{band}.tif")
    facts = json.loads((model / f"{model.name}_labels_metadata.json").read_bytes())
    x, y = 300_000 + column * EXTENT, 4_000_000 + (tile * SIDE + row) * EXTENT
    facts["coordinates"] = {"ulx": x, "uly": y + EXTENT, "lrx": x + EXTENT, "lly": y}
    (folder / f"{key}_labels_metadata.json").write_text(json.dumps(facts))


def _pack_some(draft: Draft, runner: Processes) -> int:
    """Pack the shards of PATCHES records and the last one of each split, and link the others; return the records."""
    shards = draft.shards
    last = {shard.split: shard for shard in shards}
    room, chosen = PATCHES, []
    for shard in shards:
        if room > 0 or shard == last[shard.split] or shard.number == 0:
            chosen.append(shard)
            room -= shard.count
    pack([dataclasses.replace(draft, shards=chosen)], runner)
    job, packed = draft.job, set(chosen)
    for shard in shards:
        if shard not in packed:
            first = next(other for other in chosen if other.split == shard.split)
            file, link = (job.build / job.container.file(one, job.layout) for one in (first, shard))
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, link)
            shutil.copyfile(job.proof(first), job.proof(shard))
    return sum(shard.count for shard in chosen)


def _step(name: str, work: Callable[[], T]) -> T:
    clock, (_, before, _) = time.perf_counter(), _usage()
    result = work()
    _, after, most = _usage()
    print(f"{name:10} {time.perf_counter() - clock:7.1f} s, serial {after - before:6.1f} s, {most:.2f} GB", flush=True)
    return result


def _usage(_: int = 0) -> tuple[int, float, float]:
    """Return this process, its processor seconds, and the most memory that it had in use, in GB."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return os.getpid(), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6


def main() -> None:
    source, builds = tree(), OUT / "full-builds"
    shutil.rmtree(builds, ignore_errors=True)
    request = BuildRequest(dataset=PIPELINE, source=source, out=builds, format="zarr", split="random")
    with Processes(2) as runner:
        # The links take no room, which the builder cannot know.
        with (
            patch.object(FolderTarget, "check_space"),
            _step("prepare", lambda: prepare(request, runner, say=print)) as draft,
        ):
            start(draft)
            count = _step("pack", lambda: _pack_some(draft, runner))
            _step("seal", lambda: seal(draft, runner))
        usage = {process: (seconds, most) for process, seconds, most in runner.map(_usage, range(64))}
    seconds, most = zip(*usage.values(), strict=True)
    print(f"pixels of {count:,} records; workers {sum(seconds):.1f} s of processor, at most {max(most):.2f} GB each")
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    shutil.rmtree(builds)


if __name__ == "__main__":
    main()
