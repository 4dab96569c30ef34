"""Most memory and processor time of a prediction of synthetic scenes, each in a process of its own.

Small networks are trained for an epoch: a UPerNet on miniature DFC2020, FCOS and a classifier on invented images. All
see windows of 256 pixels. The scenes are written window by window; 25,000 pixels take up to 9 GB of disk in TMPDIR.
BENCH_JOBS=segment,detect,finetune BENCH_SIDES=6000,12000,25000 python -m tests.bench.scenes
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
from sar_data.train.settings import JOBS
from sar_data.train.training import run
from tests.mini import invented
from tests.mini.builds import make
from tests.train.conftest import DETECT, SEGMENT, sizes

SIDES = [int(side) for side in os.environ.get("BENCH_SIDES", "6000,12000,25000").split(",")]
NAMES = os.environ.get("BENCH_JOBS", "segment,detect,finetune").split(",")
KINDS = {"detect": "detection", "finetune": "multiclass"}
BLOCK, TILE = 512, 256
GRID = Affine(10, 0, 600_000, 0, -10, 5_300_000)


def trained(job: str, folder: Path) -> Path:
    """Return a run of one epoch on a few images, which sees windows of TILE pixels."""
    split = "random:train=0.8,val=0.1,test=0.1"
    if job == "segment":
        catalog.synthesise("dfc2020")(folder / "raw", count=12, seed=0)
        made, source = catalog.pipeline("dfc2020"), folder / "raw"
        chosen = {**SEGMENT, "crop": 64, "tile": TILE, "overlap": 0.0}
    else:
        made = invented.pipeline(KINDS[job], shape=(TILE, TILE))
        source = sizes(folder / "raw", [(TILE, TILE)] * 20)
        small = {"model": "test_resnet", "batch_size": 4, "threads": 1, "device": "cpu", "augment": ()}
        chosen = {**DETECT, "crop": TILE} if job == "detect" else small
    build = make(made, source, folder / "builds", split=split)
    settings = JOBS[job](**{**chosen, "epochs": 1, "select": "last"})
    run(job, str(build.path), folder / "run", settings, say=lambda line: None)
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
        models = {job: trained(job, home / job) for job in NAMES}
        for side in SIDES:
            source = scene(home / "scene.tif", side)
            for job, model in models.items():
                memory, seconds = predicted(model, source, home / f"{job}-{side}")
                figures = f"{memory:,.0f} MiB, {seconds:,.0f} s of processor time"
                print(f"{job}, {side:,} × {side:,} pixels: {figures}", flush=True)
            source.unlink()
