"""Training against doing it the plain way, in one run on one machine: `make bench-train`. Quote the ratios.

Rounds alternate between contenders; medians are compared. Features are of ViT-S, at random weights: what it costs does
not depend on what was learnt. Both ways train on all of train and look at all of val in every epoch; an encoding in
every epoch is one encoding times the epochs, which flatters the plain way: it would train its head besides.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from sar_data import catalog
from sar_data.stream.dataset import Stream
from sar_data.train.data import Data
from sar_data.train.models import backbone
from sar_data.train.probe.encode import Encoding
from sar_data.train.probe.features import Features
from sar_data.train.probe.parallel import run_parallel
from sar_data.train.probe.selection import Trial, groups, try_group
from sar_data.train.ranks import Ranks
from sar_data.train.run.folder import Folder
from sar_data.train.run.halt import Halt
from sar_data.train.settings import Finetune, Probe
from sar_data.train.training import run
from tests.bench.train_pretrain import pretraining
from tests.bench.train_segment import segmenting
from tests.mini.builds import make

IMAGES = int(os.environ.get("BENCH_IMAGES", "640"))
SIDE = int(os.environ.get("BENCH_SIDE", "224"))
SAMPLES = int(os.environ.get("BENCH_SAMPLES", "16200"))  # EuroSAT's train split, as Copernicus-Bench has it
BATCHES = 64, 256  # a step of Copernicus-Bench's probes, and of ours where nothing is said
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
EPOCHS = 50
ALONE = Ranks(0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
RATES = tuple(round(10 ** (-3 + i / 4), 6) for i in range(13))
CLASSES = tuple(f"class {i}" for i in range(10))
PLAIN: dict[str, Any] = {"model": "vit-s", "epochs": EPOCHS, "knn": (), "logistic": (), "poolings": ("cls",)}
ONE = Probe(**PLAIN, lrs=(0.1,), weight_decays=(0.0,), heads=("linear",))
MANY = Probe(**PLAIN, lrs=RATES, weight_decays=(0.0, 1e-4))  # × with and without BatchNorm: 52 heads


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    if ALONE.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def heads(settings: Probe, train: Features, judged: Features) -> int:
    """Train and score a grid; return how many heads it has."""

    def one(group: tuple[str, str]) -> list[Trial]:
        return try_group(*group, train, judged, settings, CLASSES, lambda: None)

    return sum(map(len, run_parallel(one, groups(settings, ("cls",)), ALONE.device)))


def invented(folder: Path, name: str, count: int) -> Features:
    """Return features of ViT-S's length, on the disk."""
    random = np.random.default_rng(len(name))
    path = folder / f"{name}.npy"
    np.save(path, random.normal(size=(count, 384)).astype(np.float32))
    target = random.integers(0, len(CLASSES), count)
    return Features("train", {"cls": [path]}, np.arange(count), target, [f"{i}" for i in range(count)], ALONE.device)


def encoding(folder: Path) -> tuple[list[float], list[float], list[float]]:
    """Return the seconds of one encoding of train and val, and of probes of one and of 52 heads that do it once."""
    catalog.synthesise("eurosat-sar")(folder / "raw", count=IMAGES, seed=0)
    split = "random:train=0.8,val=0.2,test=0"
    build = make(catalog.pipeline("eurosat-sar"), folder / "raw", folder / "builds", split=split)
    told = MANY.model_copy(update={"image_size": SIDE, "batch_size": 64})
    data = Data(str(build.path), told, ALONE)
    encoder = backbone("vit-s", data.channels, image_size=SIDE).to(ALONE.device)
    passes: list[float] = []
    probes: dict[int, list[float]] = {1: [], 52: []}
    for _ in range(ROUNDS):
        for settings in (ONE, MANY):
            shutil.rmtree(folder / "features", ignore_errors=True)
            work = Encoding(encoder, data, told, folder / "features", ALONE, lambda line: None, Halt())
            start = time.perf_counter()
            train = work.split("train", ("cls",))
            count = heads(settings, train, work.split("val", ("cls",)))
            probes[count].append(time.perf_counter() - start)
            passes.append(work.seconds)
    data.close()
    return passes, probes[1], probes[52]


def probing() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train, judged = invented(folder, "train", SAMPLES), invented(folder, "judged", SAMPLES // 3)
        for size, amp in itertools.product(BATCHES, ("none", "bf16")):
            alone: dict[int, list[float]] = {1: [], 52: []}
            for _ in range(ROUNDS):
                for plain in (ONE, MANY):
                    settings = plain.model_copy(update={"batch_size": size, "amp": amp})
                    count = heads(settings.model_copy(update={"epochs": 1}), train, judged)  # warm
                    alone[count].append(timed(lambda settings=settings: heads(settings, train, judged)))
            one, many = median(alone[1]), median(alone[52])
            print(
                f"heads alone, {EPOCHS} epochs of {SAMPLES:,} features, {size} a step, amp {amp}: "
                f"one {one:.2f} s, 52 {many:.2f} s, {many / one:.2f} ×; target 6",
                flush=True,
            )
        passes, single, grid = encoding(folder)
    print(f"encoding {IMAGES} images of {SIDE} px by ViT-S, train and val: {median(passes):.1f} s")
    for name, probe in (("one head", single), ("52 heads", grid)):
        share = EPOCHS * median(passes) / median(probe)
        print(
            f"    {EPOCHS}-epoch probe of {name} with it: {median(probe):.1f} s, 1/{share:.1f} of encoding "
            "in every epoch; target 1/40"
        )
    print(f"52 heads with their encoding: {median(grid) / median(single):.3f} × one head with its own; target 1.5")


def waiting() -> None:
    """Print the share of its time that fine-tuning a ResNet-18 waits for data, of the second of two epochs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalog.synthesise("eurosat-sar")(folder / "raw", count=IMAGES, seed=0)
        build = make(catalog.pipeline("eurosat-sar"), folder / "raw", folder / "builds", shard_length=256)
        settings = Finetune(model="resnet18", epochs=2, batch_size=32, select="last")
        run("finetune", str(build.path), folder / "run", settings, say=lambda line: None)
        row = Folder(folder / "run", print).rows()[-1]
    print(f"finetune, ResNet-18 at 64 px: {row['samples_s']:,.0f} samples/s, {row['waiting']:.1%} waiting; target 5 %")


def verifying() -> None:
    """Print what it costs to verify images, beside the processor time of a first epoch, and of a loader alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalog.synthesise("bigearthnet-s1")(folder / "raw", count=IMAGES, seed=0)
        build = make(catalog.pipeline("bigearthnet-s1"), folder / "raw", folder / "builds", shard_length=256)
        settings = Finetune(model="resnet18", epochs=1, batch_size=32, device="cpu")
        before = time.process_time()
        run("finetune", str(build.path), folder / "run", settings, say=lambda line: None)
        job = (time.process_time() - before) / sum(split.count for split in build.manifest.splits.values())
        costs: dict[Any, list[float]] = {False: [], "first": []}
        for _, verify in itertools.product(range(3 * ROUNDS), costs):
            with Stream(build.path, batch_size=32, verify=verify) as stream:
                before = time.process_time()
                read = sum(len(batch["key"]) for batch in stream)
                costs[verify].append((time.process_time() - before) / read)
    plain, checked = (median(found) for found in costs.values())
    print(
        f"verifying a patch of BigEarthNet-S1: {1e6 * (checked - plain):.0f} µs of processor, "
        f"{(checked - plain) / job:.2%} of an epoch of ResNet-18 on a processor (target 3 %), "
        f"{(checked - plain) / plain:.0%} of a loader alone"
    )


def main() -> None:
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}, {ALONE.device}")
    waiting()
    verifying()
    probing()
    segmenting()
    pretraining()


if __name__ == "__main__":
    main()
