"""How fast a build streams here, beside what memory itself would give."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from sar_data.stream.collection import Collection
from sar_data.stream.dataset import Stream

Floats = npt.NDArray[np.float32]
MOST_BYTES = 1 << 30  # of samples in the reference's map: enough to miss the processor's caches
LEAST_SECONDS = 0.5  # a round is at least so long


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """What was measured: rates in samples/s (`reference` by one thread), bytes of an image as stored, seconds, and the
    share of its time that a consumer waits whose own step takes `step_s` seconds a batch."""

    rate: float
    reference: float
    sample_bytes: int
    first_batch_s: float
    step_s: float
    waiting: float


def gauge(open_stream: Callable[[], Stream], *, rounds: int = 5, step_s: float = 0.01) -> Gauge:
    """Measure a training stream: medians over rounds; the files are in the page cache after the first."""
    began = time.perf_counter()
    with open_stream() as stream:
        batches = iter(stream)
        next(batches)
        first = time.perf_counter() - began
        for _ in batches:
            pass
        references, rates = [], []
        with tempfile.TemporaryFile() as file:
            reference = Reference(stream.collection, file.fileno(), stream.pace.batch)
            for _ in range(rounds):
                references.append(reference.rate())
                rates.append(_measure_rate(lambda: sum(len(batch["key"]) for batch in stream)))
        return Gauge(
            rate=median(rates),
            reference=median(references),
            sample_bytes=stream.collection.sources[0].layout.image_bytes(),
            first_batch_s=first,
            step_s=step_s,
            waiting=_waiting(stream, step_s),
        )


def _measure_rate(work: Callable[[], int]) -> float:
    """Return the samples a second of some work, repeated until it took long enough to be measured."""
    done, began = 0, time.perf_counter()
    while (taken := time.perf_counter() - began) < LEAST_SECONDS or not done:
        done += work()
    return done / taken


def _waiting(stream: Stream, step_s: float) -> float:
    """Return which share of an epoch is spent waiting for batches, after the first of them."""
    waited, batches = 0.0, iter(stream)
    next(batches)
    began = time.perf_counter()
    for _ in range(min(len(stream) - 1, int(2 / step_s) + 1)):
        time.sleep(step_s)
        asked = time.perf_counter()
        next(batches, None)
        waited += time.perf_counter() - asked
    return waited / max(time.perf_counter() - began, 1e-9)


class Reference:
    """Random samples of a memory-mapped array, gathered and normalized by numpy into one buffer that is reused.

    The anchor of docs/performance.md: rates of machines differ, ratios to this one hardly do.
    """

    def __init__(self, collection: Collection, descriptor: int, batch: int) -> None:
        layout = collection.sources[0].layout
        shape = (collection.sources[0].plane.size, *collection.shape[-2:])
        count = max(min(len(collection), MOST_BYTES // layout.image_bytes()), 1)
        path = Path(f"/proc/self/fd/{descriptor}")
        images = np.memmap(path, layout.dtype, "w+", shape=(count, *shape))
        for low in range(0, count, batch):
            rows = np.arange(low, min(low + batch, count))
            images[rows] = collection.read_stored(rows)["stored"]
        images.flush()
        self._images = np.memmap(path, layout.dtype, "r", shape=images.shape)
        self._batch = min(batch, count)
        self._terms = np.resize(collection.hows[0].terms, (shape[0], 2))[:, :, None, None]
        self._out = np.empty((self._batch, *shape), np.float32)
        self._random = np.random.default_rng(0)

    def rate(self) -> float:
        """Return samples a second."""
        return _measure_rate(self._epoch)

    def _epoch(self) -> int:
        order = self._random.permutation(len(self._images))
        steps = len(order) // self._batch
        for step in range(steps):
            rows = order[step * self._batch : (step + 1) * self._batch]
            if self._images.dtype == np.float32:
                np.take(self._images, rows, axis=0, out=self._out, mode="clip")
            else:
                self._out[:] = self._images[rows]
            np.subtract(self._out, self._terms[:, 0], out=self._out)
            np.multiply(self._out, self._terms[:, 1], out=self._out)
        return steps * self._batch
