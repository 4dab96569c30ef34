"""Pretraining ViT-S at 224 pixels on SSL4EO-S12: what reading and targets take of a step, in processor time.

A step is forward, backward and optimiser. Reading is all that comes before it: the stored bytes of one season, its
normalization, a random window. Processor time of all threads is counted, which other programs do not change much.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from sar_data.torch import loader
from sar_data.train import preset
from sar_data.train.data import Data
from sar_data.train.models import backbone
from sar_data.train.pretrain import Pretraining
from sar_data.train.pretrain.targets import Target
from sar_data.train.ranks import Ranks
from sar_data.train.run.schedule import optimiser
from sar_data.train.run.step import Stepper
from sar_data.train.settings import Pretrain
from tests.bench.train_segment import built

PLACES = int(os.environ.get("BENCH_PLACES", "48"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
BATCH = 8
PUBLISHED = {name: value for name, value in preset.find("fgmae-ssl4eo").settings.items() if name != "batch_size"}
ALONE = Ranks(0, 1, torch.device("cpu"))
RADII: dict[str, tuple[int, ...]] = {"hog": (), "mgf": (9, 13, 17)}


def processor_seconds(work: Callable[[], object]) -> float:
    """Return the processor time of one sample of a batch, a median of some rounds after the first."""
    seconds = []
    for _ in range(ROUNDS + 1):
        start = time.process_time()
        work()
        seconds.append((time.process_time() - start) / BATCH)
    return median(seconds[1:])


def pretraining() -> None:
    """Print the shares of a step."""
    settings = Pretrain(**PUBLISHED, batch_size=BATCH, threads=1, device="cpu")
    with tempfile.TemporaryDirectory() as name:
        build = built(Path(name), PLACES, "ssl4eo-s12", "random:train=1,val=0,test=0")
        data = Data(build, settings, ALONE)
        encoder = backbone(settings.model, data.channels, image_size=data.side)
        job = Pretraining(encoder, data, settings)
        stepper = Stepper(job, optimiser(job.model, encoder, settings), settings, ALONE)
        batch = next(data.training())
        step = processor_seconds(lambda: stepper.step([batch], 0, False))
        steps = PLACES // BATCH
        reading = processor_seconds(lambda: list(data.training())) / steps
        data.close()
        seasons: dict[bool, float] = {}
        for one in (True, False):
            options: dict[str, Any] = {"normalize": settings.normalize, "fill": None, "one_frame": one, "device": "cpu"}
            with loader(build, batch_size=BATCH, **options) as stream:
                seasons[one] = processor_seconds(lambda stream=stream: list(stream)) / steps
    print(
        f"step of ViT-S at 224 px: {1e3 * step:.0f} ms a sample; reading {1e3 * reading:.1f} ms, {reading / step:.1%}"
    )
    print(f"normalizing all four seasons: {seasons[False] / seasons[True]:.1f} × one")
    for target, radii in RADII.items():
        values = Target(target, 16, 2, radii, standardize=True)
        share = processor_seconds(lambda values=values: values(batch["clean"])) / step
        print(f"target {target}: {share:.1%} of a step; target 15 %")


if __name__ == "__main__":
    torch.set_num_threads(1)
    pretraining()
