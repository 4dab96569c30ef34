"""Masks fed from a build: the share of time that steps wait for data and, on a GPU, streamed against resident.

On a processor: ResNet-18 with UPerNet on windows of 128 pixels, and with a U-Net on two dates of 256 pixels, by the log
of a run, whose every epoch starts its threads anew. On a GPU: ViT-S with UPerNet on 256 pixels in bf16; rounds of the
same steps alternate between batches as they are streamed and one batch that lies on the device.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Any

import torch

from sar_data import catalog
from sar_data.train import training as run
from sar_data.train.data import Data
from sar_data.train.jobs import Batch
from sar_data.train.models import backbone
from sar_data.train.ranks import Ranks
from sar_data.train.run.schedule import optimiser
from sar_data.train.run.step import Stepper
from sar_data.train.segment import Segmentation
from sar_data.train.settings import Change, Segment, Settings
from tests.mini.builds import make

PATCHES = int(os.environ.get("BENCH_PATCHES", "256"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
WARM = 5
ON_CPU: dict[str, Any] = {"model": "resnet18", "epochs": 3, "select": "last", "threads": 1, "device": "cpu"}
MASKS = Segment(**ON_CPU, crop=128, tile=256, batch_size=16)
CHANGES = Change(**ON_CPU, batch_size=8)
ON_GPU: dict[str, Any] = {"model": "vit-s", "amp": "bf16", "batch_size": 32, "threads": 4}


def built(folder: Path, count: int, name: str = "dfc2020", split: str = "random:train=0.98,val=0.01,test=0.01") -> str:
    """Return a build of a miniature, most of it in train."""
    catalog.synthesise(name)(folder / "raw", count=count, seed=0)
    made = make(catalog.pipeline(name), folder / "raw", folder / "builds", split=split, shard_length=256)
    return str(made.path)


def waiting(job: str, build: str, out: Path, settings: Settings) -> tuple[float, float]:
    """Return the share of time that the steps of an epoch waited for data, and its samples a second, medians."""
    run.run(job, build, out, settings, say=lambda line: None)
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return median(row["waiting"] for row in rows), median(row["samples_s"] for row in rows)


def seconds(stepper: Stepper, batches: Iterable[Batch], steps: int) -> float:
    """Return the seconds of a step, once the first are taken."""
    stream, began = iter(batches), 0.0
    for number in range(WARM + steps):
        if number == WARM:
            torch.cuda.synchronize()
            began = time.perf_counter()
        stepper.step([next(stream)], number, False)
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / steps


def streamed(build: str) -> tuple[float, float]:
    """Return the seconds of a step from a stream, and of the same step with its batch on the device, medians."""
    settings = Segment(**ON_GPU, device="cuda")
    ranks = Ranks(0, 1, torch.device("cuda", 0))
    data = Data(build, settings, ranks)
    encoder = backbone(settings.model, data.channels, image_size=data.side)
    job = Segmentation(encoder, data, settings)
    job.model.to(ranks.device).train()
    stepper = Stepper(job, optimiser(job.model, encoder, settings), settings, ranks)
    steps = len(data.loader("train")) - WARM
    resident = next(data.training())
    found: list[tuple[float, float]] = []
    for number in range(1, ROUNDS + 1):
        data.loader("train").set_epoch(number)  # from its beginning
        flowing = seconds(stepper, data.training(), steps)
        found.append((flowing, seconds(stepper, repeat(resident), steps)))
    data.close()
    return median(pair[0] for pair in found), median(pair[1] for pair in found)


def segmenting() -> None:
    """Measure and tell."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if torch.cuda.is_available():
            flowing, resident = streamed(built(folder, 8 * PATCHES))
            print(
                f"UPerNet on ViT-S, 256 px, bf16, batch {ON_GPU['batch_size']}: a step takes {1000 * flowing:.1f} ms "
                f"streamed, {1000 * resident:.1f} ms resident: {flowing / resident:.3f} ×; target 1.05"
            )
        else:
            share, rate = waiting("segment", built(folder, PATCHES), folder / "run", MASKS)
            print(
                f"UPerNet on ResNet-18, windows of 128 px: {rate:.1f} samples/s, {share:.1%} of the time waiting for "
                "data; target 5 %"
            )
            floods = built(folder / "floods", PATCHES // 3, "ombria", "official")
            share, rate = waiting("change", floods, folder / "change", CHANGES)
            print(
                f"U-Net on ResNet-18, two dates of 256 px: {rate:.1f} samples/s, {share:.1%} of the time waiting for "
                "data; target 5 %"
            )


if __name__ == "__main__":
    segmenting()
