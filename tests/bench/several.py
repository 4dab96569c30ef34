"""Two containers of one read against each alone, in processor time: `python -m tests.bench.several`.

Rounds alternate between the three builds, in this process, so that the load of the machine falls on all alike.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from sar_data import catalog
from sar_data.builder.itinerary import carry_out
from sar_data.builder.request import BuildRequest

PATCHES = int(os.environ.get("BENCH_PATCHES", "3000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
PAIRS = (("zarr", "lmdb"), ("zarr", "webdataset"))


def processor_seconds(source: Path, out: Path, *containers: str) -> float:
    """Return the processor time of a build, user and system."""
    shutil.rmtree(out, ignore_errors=True)
    before = os.times()
    carry_out(BuildRequest(dataset="bigearthnet-s1", source=source, out=out, split="random", format=containers))
    after = os.times()
    return after.user + after.system - before.user - before.system


def rows(folder: Path) -> Iterator[str]:
    """Yield a line a pair: the medians, and both containers over the slower one."""
    source, out = folder / "raw", folder / "builds"
    catalog.synthesise("bigearthnet-s1")(source, count=PATCHES, seed=0)
    asked = [*((name,) for name in dict.fromkeys(name for pair in PAIRS for name in pair)), *PAIRS]
    for containers in asked:  # what is compiled and imported is no part of it
        processor_seconds(source, out, *containers)
    seconds: dict[tuple[str, ...], list[float]] = {containers: [] for containers in asked}
    for _ in range(ROUNDS):
        for containers, taken in seconds.items():
            taken.append(processor_seconds(source, out, *containers))
    micro = {containers: 1e6 * median(taken) / PATCHES for containers, taken in seconds.items()}
    for pair in PAIRS:
        alone = [micro[name,] for name in pair]
        ratios = [both / max(seconds[name,][i] for name in pair) for i, both in enumerate(seconds[pair])]
        yield (
            f"{' and '.join(pair)}: {micro[pair]:.0f} µs a patch; alone {alone[0]:.0f} and {alone[1]:.0f}: "
            f"{median(ratios):.2f} of the slower one ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_OUT")) as folder:
        for row in rows(Path(folder)):
            print(row)
