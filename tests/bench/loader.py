"""Our loader beside a memory map, in one run on one machine: `make bench-loader`. Quote the ratios, not the rates.

Ten thousand patches in each container, batches of 256 normalized float32, two threads, medians of five rounds that
alternate with the reference. Cold: the files are dropped from the page cache first. Opening and resuming are measured
on a sparse build of 590,326 samples, each in a process of its own, after the imports.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.runners import Processes
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import Build
from sar_data.stream.dataset import Stream
from sar_data.stream.throughput import Reference
from tests.bench.build import OUT, PIPELINE, archive
from tests.mini.resealed import edit

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SAMPLES, LENGTH = 590_326, 256  # of the sparse build
TARGETS = {"zarr": 1.4, "webdataset": 0.9, "lmdb": 0.9}
DEEP = {"epoch": 15, "position": 400_128}
SPLIT = "random:train=0.98,val=0.01,test=0.01"


def builds() -> dict[str, Build]:
    """Return the patches in every container, built once."""
    source, made = archive().parent, {}
    with Processes(2) as runner:
        for name in TARGETS:
            options: dict[str, Any] = {"format": name, "split": SPLIT}
            made[name] = build(
                BuildRequest(dataset=PIPELINE, source=source, out=OUT / "loader", **options), runner=runner
            )
    return made


def epoch(stream: Stream) -> int:
    return sum(len(batch["key"]) for batch in stream)


def rate(work: Callable[[], int]) -> float:
    began = time.perf_counter()
    done = work()
    return done / (time.perf_counter() - began)


def dropped(path: Path) -> None:
    """Drop a build's shards from the page cache."""
    os.sync()
    for file in (path / "train").rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def cold(path: Path) -> float:
    dropped(path)
    with Stream(path, seed=1) as stream:
        return rate(lambda: epoch(stream))


def sparse(like: Build) -> Path:
    """Return a build of as many samples as BigEarthNet has, whose shards are holes: to open it is real."""
    out = OUT / "sparse"
    shutil.rmtree(out, ignore_errors=True)
    size = like.manifest.splits["train"].shards[0].bytes // like.manifest.splits["train"].shard_length
    shards = []
    for number in range(-(-SAMPLES // LENGTH)):
        file = f"train/image/c/{number}/0/0/0"
        (out / file).parent.mkdir(parents=True)
        with open(out / file, "wb") as hole:
            hole.truncate(LENGTH * size)
        count = min(LENGTH, SAMPLES - number * LENGTH)
        shards.append({"name": f"train/{number:06d}", "file": file, "count": count, "bytes": LENGTH * size})
    shutil.copy(like.path / NAME, out / NAME)
    split = {"count": SAMPLES, "shard_length": LENGTH, "shards": shards}
    edit(out, lambda document: document["splits"]["train"].update(split))
    index, rows = like.index(), np.arange(SAMPLES)
    train = index.slice(0, like.manifest.splits["train"].count)
    table = train.take(pa.array(rows % len(train)))
    for name, values in {
        "key": pa.array([f"S1A_IW_GRDH_1SDV_20170613T165043_33UUP_{i // 1000}_{i % 1000}" for i in range(SAMPLES)]),
        "shard": pa.array((rows // LENGTH).astype(np.int32)),
        "position": pa.array((rows % LENGTH).astype(np.int32)),
        "offset": pa.array(rows % LENGTH * size),
    }.items():
        table = table.set_column(table.column_names.index(name), table.schema.field(name), values)
    pq.write_table(table, out / "index.parquet", compression="zstd")
    return out


OPENING = """
import sys, time
from sar_data.stream.dataset import Stream
began = time.perf_counter()
stream = Stream(sys.argv[1])
opened = time.perf_counter()
if sys.argv[2:]:
    stream.load_state_dict({**stream.state_dict(), "epoch": int(sys.argv[2]), "position": int(sys.argv[3])})
batches = iter(stream)
next(batches)
print(time.perf_counter() - began, time.perf_counter() - opened)
"""


def opening(path: Path) -> tuple[float, float]:
    """Return the median seconds to the first batch, and how many more it takes to one deep in an epoch.

    Each in a process of its own; both read as many bytes, so that the difference is what resuming costs.
    """
    command = [sys.executable, "-c", OPENING, str(path)]
    ways = ([], [str(DEEP["epoch"]), str(DEEP["position"])])
    times: list[list[list[float]]] = [[], []]
    for _ in range(2 * ROUNDS):
        for found, way in zip(times, ways, strict=True):
            done = subprocess.run([*command, *way], capture_output=True, text=True, check=True)
            found.append([float(word) for word in done.stdout.split()])
    plain, deep = (median(row[1] for row in found) for found in times)
    return median(row[0] for row in times[0]), deep - plain


def main() -> None:
    made = builds()
    streams = {name: Stream(own.path) for name, own in made.items()}
    rates: dict[str, list[float]] = {name: [] for name in ("reference", *streams)}
    with tempfile.TemporaryFile() as file:
        reference = Reference(streams["zarr"].collection, file.fileno(), 256)
        for stream in streams.values():
            epoch(stream)
        for _ in range(ROUNDS):
            rates["reference"].append(reference.rate())
            for name, stream in streams.items():
                rates[name].append(rate(lambda stream=stream: epoch(stream)))  # type: ignore[misc]
    for stream in streams.values():
        stream.close()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}, {len(streams['zarr'])} steps"
    )
    print(f"{'warm':12} samples/s   ratio to the reference, median of {ROUNDS}")
    for name, found in rates.items():
        ratio = median(a / b for a, b in zip(found, rates["reference"], strict=True))
        target = f"   target {TARGETS[name]}" if name in TARGETS else ""
        print(f"{name:12} {median(found):9.0f}   {ratio:.2f}{target}")
    print("cold")
    for name, own in made.items():
        print(f"{name:12} {median(cold(own.path) for _ in range(3)):9.0f}")
    first, deep = opening(sparse(made["zarr"]))
    print(f"{SAMPLES:,} samples: first batch {first:.3f} s (target 0.3)")
    print(f"deep in epoch 16: {deep * 1000:.0f} ms more (target 50)")


if __name__ == "__main__":
    main()
