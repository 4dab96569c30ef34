"""Most memory and processor time of a prediction of synthetic scenes, each in a process of its own.

A small UPerNet is trained for an epoch on miniature DFC2020; the scenes are written window by window.
BENCH_SIDES=6000,12000,25000 python -m tests.bench.scenes takes up to 9 GB of disk in TMPDIR.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine
from rasterio.windows import Window

from sar_data import catalog
from sar_data.train.settings import Segment
from sar_data.train.training import run
from tests.mini.builds import make
from tests.train.conftest import SEGMENT

SIDES = [int(side) for side in os.environ.get("BENCH_SIDES", "6000,12000,25000").split(",")]
BLOCK = 512
GRID = Affine(10, 0, 600_000, 0, -10, 5_300_000)


def trained(folder: Path) -> Path:
    """Return a run of one epoch on a few patches, which sees windows of 256 pixels."""
    catalog.synthesise("dfc2020")(folder / "raw", count=12, seed=0)
    split = "random:train=0.8,val=0.1,test=0.1"
    build = make(catalog.pipeline("dfc2020"), folder / "raw", folder / "builds", split=split)
    settings = {**SEGMENT, "crop": 64, "tile": 256, "overlap": 0.0, "epochs": 1, "select": "last"}
    run("segment", str(build.path), folder / "run", Segment(**settings), say=lambda line: None)
    return folder / "run"


def scene(path: Path, side: int) -> Path:
    """Write VV and VH in dB, float32 in blocks, one window in memory at a time."""
    random = np.random.default_rng(0)
    profile = {"count": 2, "height": side, "width": side, "dtype": "float32", "crs": "EPSG:32633", "transform": GRID}
    layout = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "BIGTIFF": "YES", "nodata": np.nan}
    with rasterio.open(path, "w", driver="GTiff", **profile, **layout) as file:
        for top in range(0, side, BLOCK):
            size = (2, min(BLOCK, side - top), side)
            file.write(random.normal(-12, 4, size).astype(np.float32), window=Window(0, top, side, size[1]))
        file.descriptions = ("VV", "VH")
    return path


def predicted(model: Path, source: Path, out: Path) -> tuple[float, float]:
    """Return the most memory in MiB and the seconds of processor time of a prediction."""
    typed = [sys.executable, "-m", "sar_data", "train", "predict", str(model), str(source), "--out", str(out)]
    process = subprocess.Popen([*typed, "--device", "cpu"], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{source.name}: ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        model = trained(home)
        for side in SIDES:
            source = scene(home / "scene.tif", side)
            memory, seconds = predicted(model, source, home / str(side))
            print(f"{side:,} × {side:,} pixels: {memory:,.0f} MiB, {seconds:,.0f} s of processor time", flush=True)
            source.unlink()
