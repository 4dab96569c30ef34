"""Build against `cp -r`, in one run on one machine: `make bench`. Quote the ratios, not the rates.

Every contender starts from the same 10,000 patches in a warm page cache, after a sync; rounds alternate between them.
Ratios are given for the medians and for the best rounds. A build's time is that of everything honest (labels, hashes
of sources and samples, moments in dB and power, histogram, masks, an fsync a shard, index and manifest) but SHA256SUMS,
which is timed apart.
"""

from __future__ import annotations

import io
import os
import pickle
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import lmdb
import numpy as np

from sar_data import catalog
from sar_data.builder import seal as sealing
from sar_data.builder.bake import resize
from sar_data.builder.pack import pack
from sar_data.builder.prepare import prepare
from sar_data.builder.request import BuildRequest
from sar_data.builder.sharding import hash_order
from sar_data.runners import Processes, Runner
from sar_data.sources.tree import Folder, RecordingTree

OUT = Path("bench-out")
RAW = OUT / "raw"
PATCHES = int(os.environ.get("BENCH_PATCHES", "10000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
DIARY = 1000  # patches: enough for the diary's way, which is slow
TARGETS = {"zarr": 1.2, "zarr, no statistics": 1.5, "webdataset": 1.0, "lmdb": 0.7}
PIPELINE = catalog.pipeline("bigearthnet-s1")


def archive() -> Path:
    """Return the folder of raw patches, made once."""
    if not (RAW / "made").exists():
        print(f"making {PATCHES} patches …", flush=True)
        shutil.rmtree(RAW, ignore_errors=True)
        catalog.synthesise("bigearthnet-s1")(RAW, count=PATCHES, seed=0)
        (RAW / "made").touch()
    return RAW / "BigEarthNet-S1-v1.0"


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def copied(patches: Path, number: int) -> float:
    """Return the seconds of `cp -r`; the copy stays until the end.

    ext4 looks for inodes that were not deleted in the last minutes, so a copy made after another was removed takes
    up to ten times as long, which would flatter every ratio.
    """
    os.sync()
    return timed(lambda: subprocess.run(["cp", "-r", patches, OUT / f"copy-{number}"], check=True))


def written(count: int) -> float:
    """Return the seconds that the disk alone takes for the pixels: one file, one fsync."""
    blocks = count * PIPELINE.spec.shape[0] * PIPELINE.spec.shape[1] * 8 >> 20
    target = OUT / "zeros"
    command = ["dd", "if=/dev/zero", f"of={target}", "bs=1M", f"count={blocks}", "conv=fsync", "status=none"]
    os.sync()
    seconds = timed(lambda: subprocess.run(command, check=True))
    target.unlink()
    return seconds


def built(runner: Runner, options: dict[str, Any]) -> float:
    """Return the seconds of a build without its SHA256SUMS."""
    clock: list[float] = []
    whole = sealing.file_sums

    def file_sums(*arguments: Any) -> dict[str, str]:
        clock.append(time.perf_counter())
        sums = whole(*arguments)
        clock.append(time.perf_counter())
        return sums

    shutil.rmtree(OUT / "builds", ignore_errors=True)
    os.sync()
    start = time.perf_counter()
    with prepare(BuildRequest(dataset=PIPELINE, source=RAW, out=OUT / "builds", **options), runner) as draft:
        planned = time.perf_counter()
        pack([draft], runner)
        packed = time.perf_counter()
        with patch("sar_data.builder.seal.file_sums", file_sums):
            sealing.seal(draft, runner)
    end = time.perf_counter()
    sums = clock[1] - clock[0]
    print(
        f"    {options.format:10} scan+split+plan {planned - start:.2f} s, pack {packed - planned:.2f} s, "
        f"seal {end - packed - sums:.2f} s, SHA256SUMS {sums:.2f} s",
        flush=True,
    )
    return end - start - sums


def reading(patches: Path) -> tuple[float, float]:
    """Return patches a second in one process: open/read/close alone, and the pipeline's read with its source hashes."""
    tree = Folder.at(patches.parent)
    units = sorted(PIPELINE.units(tree))
    records = [record for unit in units for record in PIPELINE.scan(tree, unit)]
    files = [f"{tree.root}/{file.path}" for record in records for file in record.files if file.path.endswith(".tif")]

    def loop() -> None:
        for file in files:
            descriptor = os.open(file, os.O_RDONLY)
            os.read(descriptor, 1 << 17)
            os.close(descriptor)

    def read() -> None:
        for record in records:
            PIPELINE.read(RecordingTree(tree, {}), record)

    loop()
    return len(records) / min(timed(loop) for _ in range(3)), len(records) / min(timed(read) for _ in range(3))


def diary_patch(folder: str) -> tuple[str, bytes]:
    """One patch as the research diary prepared it: rasterio, bicubic resize to 128, pickle."""
    import rasterio

    bands = []
    for band in ("VV", "VH"):
        with rasterio.open(f"{folder}/{os.path.basename(folder)}_{band}.tif") as raster:
            bands.append(resize(raster.read(1), 128, 128))
    image = np.stack(bands, axis=-1)
    stream = io.BytesIO()
    pickle.dump((image.tobytes(), image.shape, np.zeros(19).tobytes()), stream)
    return os.path.basename(folder), stream.getvalue()


def diary(patches: Path) -> float:
    """Return the seconds a patch of the diary's way: two worker processes, pickled values, one LMDB writer."""
    shutil.rmtree(OUT / "diary", ignore_errors=True)
    folders = sorted(str(path) for path in patches.iterdir())[:DIARY]
    os.sync()
    start = time.perf_counter()
    environment = lmdb.open(str(OUT / "diary"), map_size=1 << 40)
    with ProcessPoolExecutor(2) as pool, environment.begin(write=True) as transaction:
        for key, value in pool.map(diary_patch, [folders[i] for i in hash_order(folders)], chunksize=16):
            transaction.put(key.encode(), value)
    environment.close()
    shutil.rmtree(OUT / "diary", ignore_errors=True)
    return (time.perf_counter() - start) / len(folders)


def main() -> None:
    patches = archive()
    count = sum(1 for _ in patches.iterdir())
    loop, read = reading(patches)
    contenders = {
        "zarr": {"format": "zarr", "split": "random"},
        "zarr, no statistics": {"format": "zarr", "split": "random", "statistics": False},
        "webdataset": {"format": "webdataset", "split": "random"},
        "lmdb": {"format": "lmdb", "split": "random"},
    }
    rounds: dict[str, list[float]] = {}
    with Processes(2) as runner:
        list(runner.map(abs, range(8)))  # the pool is up before the clock starts
        for number in range(ROUNDS):
            print(f"round {number + 1}", flush=True)
            seconds = {"cp -r": copied(patches, number), "dd conv=fsync": written(count)}
            print(f"    cp -r {seconds['cp -r']:.2f} s, dd conv=fsync {seconds['dd conv=fsync']:.2f} s", flush=True)
            for name, options in contenders.items():
                seconds[name] = built(runner, options)
            for name, taken in seconds.items():
                rounds.setdefault(name, []).append(taken)
    rounds["the diary's way"] = [diary(patches) * count]
    for left in (OUT / "builds", *OUT.glob("copy-*")):
        shutil.rmtree(left, ignore_errors=True)
    print(
        f"\n{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}, {count} patches, 2 processes"
    )
    print(
        f"raw read    {read:8.0f} patches/s a process, {read / loop:.2f} of open/read/close ({loop:.0f}); target 0.40"
    )
    print(f"{'':20} median s    best s  patches/s    of cp -r: medians, best rounds")
    copies = rounds["cp -r"]
    for name, times in rounds.items():
        middle, best = median(times), min(times)
        ratios = f"{median(copies) / middle:.2f}, {min(copies) / best:.2f}"
        target = f"   target {TARGETS[name]}" if name in TARGETS else ""
        print(f"{name:20} {middle:8.2f} {best:9.2f} {count / middle:10.0f}    {ratios}{target}")


if __name__ == "__main__":
    main()
