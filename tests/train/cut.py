"""Data that do to a job what a machine may: a signal, a NaN, at a chosen step."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Iterator
from typing import Any

from sar_data.train.data import Data
from sar_data.train.jobs import Batch


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

        def evaluation(self, split: str, start: int = 0) -> Iterator[Batch]:
            for place, batch in enumerate(super().evaluation(split, start)):
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
