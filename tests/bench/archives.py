"""Build from archives against a build from the folder they were made of: `make bench`. Quote the ratios, not the rates.

Rounds alternate between the sources. Warm: everything is in the page cache. Cold: the source's pages are dropped first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from sar_data.builder.pack import pack
from sar_data.builder.prepare import prepare
from sar_data.builder.request import BuildRequest
from sar_data.builder.seal import seal
from sar_data.runners import Processes, Runner
from tests.bench.build import OUT, PIPELINE, RAW, ROUNDS, archive, timed
from tests.mini.hostile import header, long_name

MEMBERS = int(os.environ.get("BENCH_MEMBERS", "1800000"))
TAR = OUT / "archives" / "data.tar"
ZST = OUT / "archives" / "data.tar.zst"
SPARSE = OUT / "archives" / "sparse.tar"
INDEX = """
import resource, sys, time
from pathlib import Path
from sar_data.sources.archives.open import open_tree
start = time.perf_counter()
tree = open_tree(Path(sys.argv[1]), work=Path(sys.argv[2]))
seconds = time.perf_counter() - start
start = time.perf_counter()
names = tree.folders("BigEarthNet-S1-v1.0")
listed = time.perf_counter() - start
start = time.perf_counter()
for name in names[:100_000]:
    tree.size(f"BigEarthNet-S1-v1.0/{name}/{name}_VV.tif")
looked = time.perf_counter() - start
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, len(names), listed, looked)
"""


def made() -> None:
    """Make the archives once."""
    archive()
    TAR.parent.mkdir(exist_ok=True)
    if not TAR.exists():
        subprocess.run(["tar", "--sort=name", "-C", RAW, "-cf", TAR, "."], check=True)
    if not ZST.exists():
        subprocess.run(["zstd", "-q", "-3", "-k", TAR, "-o", ZST], check=True)


def built(runner: Runner, source: Path) -> float:
    """Return the seconds of a build, from an archive with its index; what an earlier one left is removed."""
    work = OUT / "archives" / "work"
    for left in (OUT / "builds", work):
        shutil.rmtree(left, ignore_errors=True)
    work.mkdir()
    os.sync()
    options: dict[str, Any] = {"format": "zarr", "split": "random", "work": work}
    start = time.perf_counter()
    with prepare(BuildRequest(dataset=PIPELINE, source=source, out=OUT / "builds", **options), runner) as draft:
        prepared = time.perf_counter()
        pack([draft], runner)
        packed = time.perf_counter()
        seal(draft, runner)
    end = time.perf_counter()
    steps = {"prepare": prepared - start, "pack": packed - prepared, "seal": end - packed}
    print(f"    {source.name:14}", ", ".join(f"{name} {seconds:.2f} s" for name, seconds in steps.items()), flush=True)
    return end - start


def forget(source: Path) -> None:
    """Drop a source's pages from the cache."""
    os.sync()
    for path in [source] if source.is_file() else source.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def written() -> float:
    """Return the seconds that the disk takes for the plain tar: no compressed archive is turned into it in less."""
    target = OUT / "zeros"
    blocks = TAR.stat().st_size >> 20
    command = ["dd", "if=/dev/zero", f"of={target}", "bs=1M", f"count={blocks}", "conv=fsync", "status=none"]
    os.sync()
    seconds = timed(lambda: subprocess.run(command, check=True))
    target.unlink()
    return seconds


def sparse() -> None:
    """Write the headers of a tar of MEMBERS files, with BigEarthNet-S1's names and sizes, without contents.

    It is made anew for each run: 7 GB of headers, one a page, are in the page cache then, and hardly later.
    """
    with open(SPARSE, "wb") as file:
        at = 0
        for number in range(MEMBERS // 3):
            patch = f"S1A_IW_GRDH_1SDV_20170613T165043_33UUP_{number // 1000}_{number % 1000}"
            for end, size in (("VH.tif", 58024), ("VV.tif", 58024), ("labels_metadata.json", 1100)):
                name = f"BigEarthNet-S1-v1.0/{patch}/{patch}_{end}".encode()
                head = long_name(name) + header(name[:100], size, magic=b"ustar  \0")
                os.pwrite(file.fileno(), head, at)
                at += len(head) + -(-size // 512) * 512
        file.truncate(at + 10240)


def indexed() -> None:
    sparse()
    work = SPARSE.parent / "index"
    shutil.rmtree(work, ignore_errors=True)
    done = subprocess.run([sys.executable, "-c", INDEX, SPARSE, work], capture_output=True, text=True, check=True)
    seconds, gigabytes, patches, listed, looked = map(float, done.stdout.split())
    size = sum(path.stat().st_size for path in work.iterdir()) / 1e6
    print(
        f"index of a plain tar of {MEMBERS:,} members, {SPARSE.stat().st_size / 1e9:.0f} GB: {seconds:.1f} s, target 20"
    )
    print(f"    {gigabytes:.2f} GB of memory, target 1.5; a table of {size:.0f} MB")
    print(f"    {patches:,.0f} folders listed in {listed:.2f} s; {looked * 10:.1f} µs a look-up")
    shutil.rmtree(work)
    SPARSE.unlink()


def main() -> None:
    made()
    folder: list[float] = []
    tar: list[float] = []
    zst: list[float] = []
    bare: list[float] = []
    disk: list[float] = []
    cold: dict[str, list[float]] = {"folder": [], "tar": []}
    with Processes(2) as runner:
        list(runner.map(abs, range(8)))
        built(runner, RAW)
        for number in range(ROUNDS):
            print(f"round {number + 1}", flush=True)
            subprocess.run(["cat", TAR], stdout=subprocess.DEVNULL, check=True)
            folder.append(built(runner, RAW))
            tar.append(built(runner, TAR))
            bare.append(
                timed(lambda: subprocess.run(["zstd", "-q", "-d", "-c", ZST], stdout=subprocess.DEVNULL, check=True))
            )
            disk.append(written())
            zst.append(built(runner, ZST))
            for name, source in (("folder", RAW), ("tar", TAR)):
                forget(source)
                cold[name].append(built(runner, source))
    shutil.rmtree(OUT / "builds", ignore_errors=True)
    shutil.rmtree(OUT / "archives" / "work", ignore_errors=True)
    warm = median(folder) / median(tar), min(folder) / min(tar)
    print(f"\nfrom a plain tar, warm: {warm[0]:.2f} of the folder's rate, {warm[1]:.2f} in the best rounds; target 0.9")
    print(f"from a plain tar, cold: {median(cold['folder']) / median(cold['tar']):.2f} of the folder's rate, target 1")
    both = median(bare) + median(folder)
    print(f"from .tar.zst: {median(zst):.2f} s, {median(zst) / both:.2f} of zstd -d > /dev/null, {median(bare):.2f} s,")
    print(f"    and the build from the folder, {median(folder):.2f} s; target 1.3; writing takes {median(disk):.2f} s")
    indexed()


if __name__ == "__main__":
    main()
