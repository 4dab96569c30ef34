"""Data that do to a job what a machine may: a signal, a NaN, a death, at a chosen step.

As a program: python -m torch.distributed.run --nproc-per-node 2 -m tests.train.cut BUILD OUT, whose rank 1 dies.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sar_data.train.data import Data
from sar_data.train.jobs import Batch
from sar_data.train.run import training as runs
from sar_data.train.settings import Finetune
from tests.train.conftest import TINY


def at(step: int, act: Callable[[Batch], None]) -> type[Data]:
    """Return Data that call `act` with the batch of that step, once."""

    class Cut(Data):
        count = 0

        def training(self) -> Iterator[Batch]:
            for batch in super().training():
                if Cut.count == step:
                    act(batch)
                Cut.count += 1
                yield batch

    return Cut


def judging(number: int, act: Callable[[Batch], None]) -> type[Data]:
    """Return Data that call `act` with the first batch of an evaluation, counted over all splits."""

    class Cut(Data):
        count = 0

        def evaluation(self, split: str) -> Iterator[Batch]:
            for place, batch in enumerate(super().evaluation(split)):
                if Cut.count == number and not place:
                    act(batch)
                Cut.count += not place
                yield batch

    return Cut


def larger_steps(times: int) -> type[Data]:
    """Return Data whose train split comes in larger steps, as with more ranks."""

    class Larger(Data):
        def _opened(self, split: str) -> Any:
            found = super()._opened(split)
            if split == "train":
                found.pace = dataclasses.replace(found.pace, batch=times * found.pace.batch)
            return found

    return Larger


def stop(batch: Batch) -> None:
    signal.raise_signal(signal.SIGTERM)


def poison(batch: Batch) -> None:
    batch["image"][0, 0, 0, 0] = float("nan")


def die(batch: Batch) -> None:
    if os.environ["RANK"] == "1":
        print(f"dies at {time.time()}", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    runs.Data = at(2, die)  # type: ignore[misc]
    runs.run("finetune", sys.argv[1], Path(sys.argv[2]), Finetune(**TINY), say=print)
