"""Our loader beside its peers, on the same samples, in one run: `make bench-loader`. Quote the ratios, not the rates.

Every figure is taken in a process of its own (tests/bench/contenders.py says how each contender is used). It hands out
normalized float32 batches of 256, shuffled; two threads or two workers, or the peer's best documented setting. Each of
its warm epochs is timed beside one of the reference: a random gather of 256 samples from a memory-mapped array plus
normalization into a reused buffer, one thread. Columns: the median ratio, samples a second, seconds from imports to
the first batch, seconds from a saved state in the middle of an epoch to the next batch in a new loader (and whether
that is the batch that was due), and samples a second of an epoch whose files were dropped from the page cache.

Some peers cannot live beside this project's own packages: mosaicml-streaming 0.13 wants numpy < 2.2. They run in any
interpreter that has them, given as `--peer-python` or BENCH_PEER_PYTHON; what it has not, is said to be missing:

    python -m venv peers && peers/bin/pip install litdata mosaicml-streaming webdataset tensorstore lmdb safetensors
    BENCH_PEER_PYTHON=peers/bin/python make bench-loader
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from sar_data import catalog
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.runners import Processes
from sar_data.sealed.opened import Build
from tests.bench.contenders import CONTENDERS, Ours

OUT = Path("bench-out/peers")
HERE = Path(__file__).parent
TIMEOUT = 600  # seconds that one measurement may take


def samples(count: int) -> Path:
    """Return the folder of the samples in every container of ours and as one array, made once."""
    folder = OUT / str(count)
    if (folder / "facts.json").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    print(f"making {count} patches …", flush=True)
    raw = folder / "raw"
    catalog.synthesise("bigearthnet-s1")(raw, count=count, seed=0)
    pipeline, builds = catalog.pipeline("bigearthnet-s1"), dict[str, Build]()
    with Processes(2) as runner:
        for name in ("zarr", "webdataset", "lmdb"):
            options: dict[str, Any] = {"format": name, "split": "random:train=1,val=0,test=0"}
            builds[name] = build(
                BuildRequest(dataset=pipeline, source=raw, out=folder / "builds", **options), runner=runner
            )
    shutil.rmtree(raw)
    split, normalization = builds["zarr"].manifest.splits["train"], builds["zarr"].manifest.normalization
    bands = [band.name for band in builds["zarr"].manifest.bands]
    shape = (len(bands), *pipeline.spec.shape)
    with open(folder / "images.f32", "wb") as file:
        for shard in split.shards:  # chunk files are raw arrays, the last one padded
            stored = np.fromfile(builds["zarr"].path / shard.file, np.float32)
            file.write(stored[: shard.count * int(np.prod(shape))].data)
    facts = {
        "count": split.count,
        "shape": shape,
        "mean": [normalization.mean[band] for band in bands],
        "std": [normalization.std[band] for band in bands],
        "builds": {name: str(made.path.absolute()) for name, made in builds.items()},
    }
    (folder / "facts.json").write_text(json.dumps(facts))
    return folder


def measured(name: str, folder: Path, rounds: int, python: str) -> dict[str, Any]:
    """Return one contender's figures, or why there are none."""
    figures = asked(name, folder, "made", rounds, python)
    for what, times in {"rate": 1, "first": 3, "stop": 1, "resume": 3, "cold": 3}.items():
        if "missing" in figures:
            break
        found = [asked(name, folder, what, rounds, python) for _ in range(times)]
        for figure in found[0]:
            values = [answer[figure] for answer in found if figure in answer]
            figures[figure] = all(values) if figure == "exact" else median(values) if figure != "missing" else values[0]
    return figures


def asked(name: str, folder: Path, what: str, rounds: int, python: str) -> dict[str, Any]:
    """Return one measurement, taken in a process of its own."""
    paths = os.pathsep.join(filter(None, (str(HERE.parents[1]), os.environ.get("PYTHONPATH"))))
    quiet = {"DO_NOT_TRACK": "1", "PYTHONWARNINGS": "ignore", "PYTHONPATH": paths}
    command = [python, str(HERE / "contenders.py"), name, str(folder.absolute()), what, str(rounds)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT, env=os.environ | quiet, check=False
        )
    except subprocess.TimeoutExpired:
        return {"missing": f"{what}: no answer in {TIMEOUT} s"}
    if done.returncode:
        return {"missing": f"{what} failed: {(done.stderr.strip().splitlines() or ['?'])[-1][:120]}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(found: dict[str, dict[str, Any]]) -> str:
    """Return the Markdown table, the fastest first; who could not run says why."""
    lines = [
        "| loader | of the reference | samples/s | first batch s | resume s | cold samples/s |",
        "|---|---|---|---|---|---|",
    ]
    for name, figures in sorted(found.items(), key=lambda item: -item[1].get("ratio", 0)):
        if "missing" in figures:
            lines.append(f"| {name} | {figures['missing']} | | | | |")
            continue
        resume = f"{figures['resume']:.3f}{'' if figures['exact'] else ', not exact'}" if "resume" in figures else "—"
        lines.append(
            f"| {name} | {figures['ratio']:.2f} | {figures['rate']:,.0f} | {figures['first']:.3f} | {resume} | "
            f"{figures['cold']:,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=8000, help="patches to synthesise")
    parser.add_argument("--rounds", type=int, default=5, help="timed epochs of each contender")
    parser.add_argument("--only", action="append", choices=CONTENDERS, help="measure these alone")
    parser.add_argument("--peer-python", default=os.environ.get("BENCH_PEER_PYTHON", sys.executable))
    chosen = parser.parse_args()
    folder = samples(chosen.count)
    found = {}
    for name, contender in CONTENDERS.items():
        if name in (chosen.only or CONTENDERS):
            python = sys.executable if issubclass(contender, Ours) else chosen.peer_python
            found[name] = measured(name, folder, chosen.rounds, python)
            print(f"{name}: {found[name]}", flush=True)
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}, {chosen.count} patches\n")
    print(table(found))


if __name__ == "__main__":
    main()
