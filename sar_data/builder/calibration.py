"""Builds of some records of a source, of growing size, and what they tell of the build of all: bytes and time."""

from __future__ import annotations

import dataclasses
import os
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.builder.draft import Draft
from sar_data.builder.fit import Fitted
from sar_data.builder.itinerary import Itinerary
from sar_data.builder.prepare import containers_of, open_drafts, plan_of
from sar_data.builder.request import BuildRequest
from sar_data.builder.scan import Scanned
from sar_data.builder.sharding import hash_order
from sar_data.runners import Runner, Serial
from sar_data.sealed.opened import Build
from sar_data.sealed.records import Records
from sar_data.split.policy import Assignment
from sar_data.system import durable

SECONDS = 10.0  # for all samples together
FIRST, GROWTH = 32, 4  # records of the first sample, and how many times as many the next one has
CHOSEN = {"policy": "calibration", "parameters": {}, "seed": 0}
Name = tuple[str, bool]
"""A container, and whether the build is baked."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The builds of some records: their pixels, the time they took, and the bytes of each of them."""

    pixels: int
    seconds: float
    bytes: Mapping[Name, int]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What all records would come to: bytes of each build, `seconds` without the scan, `memory_bytes` of all processes.

    The memory is what this process and its workers took at most so far, so the least that a build takes.
    """

    bytes: Mapping[Name, int]
    seconds: float
    memory_bytes: int


def calibrate(request: BuildRequest, fit: Fitted, scanned: Scanned, runner: Runner) -> Calibration:
    """Build samples of scanned records beside `out`, remove them, and return what all of them would come to.

    There are two samples or more, which grow until the next one would end later than ten seconds after the first began.
    A line through the last two counts once what every build costs once. Bad records are left out; all else that a build
    raises is raised.
    """
    sizes = _count_pixels(scanned.table)
    order = hash_order(scanned.table["key"].to_pylist())
    samples: list[Sample] = []
    count, spent = min(FIRST, max(len(order) // 2, 1)), 0.0
    while True:
        rows = sorted(order[:count])
        samples.append(_build_sample(request, fit, _take(scanned, rows), int(sizes[rows].sum()), runner))
        spent += samples[-1].seconds
        late = len(samples) > 1 and spent + GROWTH * samples[-1].seconds > SECONDS
        if count == len(order) or late:
            break
        count = min(count * GROWTH, len(order))
    total = int(sizes.sum())
    return Calibration(
        {name: round(_extend(samples, [sample.bytes[name] for sample in samples], total)) for name in samples[0].bytes},
        _extend(samples, [sample.seconds for sample in samples], total),
        _measure_memory(runner),
    )


def _count_pixels(table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the pixels of each record; 1 where all have the same number."""
    sizes = pc.multiply(table["height"].cast(pa.int64()), table["width"].cast(pa.int64()))
    return np.asarray(pc.fill_null(sizes, 1).to_numpy())


def _take(scanned: Scanned, rows: Sequence[int]) -> Scanned:
    return dataclasses.replace(scanned, records=Records(scanned.table.take(pa.array(rows))), quarantined=[])


def _build_sample(request: BuildRequest, fit: Fitted, scanned: Scanned, pixels: int, runner: Runner) -> Sample:
    """Build some records, all of them in train, with enough shards for all workers."""
    count = len(scanned.records)
    assignment = Assignment(("train",) * count, (None,) * count)
    length = max(min(request.shard_length, count // (2 * runner.workers)), 1)

    def prepare(asked: BuildRequest, *_: object) -> list[Draft]:
        container = containers_of(asked, fit.pipeline.spec)[0]
        return open_drafts(asked, fit, plan_of(asked, fit, scanned, assignment, CHOSEN, container))

    place = nearest_folder(Path(request.out))
    with durable.explain_errors(place), tempfile.TemporaryDirectory(prefix=".sar-data-plan-", dir=place) as folder:
        asked = dataclasses.replace(
            request,
            out=Path(folder),
            shard_length=length,
            bad_records="quarantine",
            suspect_limit=1.0,
            drop_parent=False,
            fetch=False,
        )
        began = time.monotonic()
        itinerary = Itinerary(asked, prepare)
        with closing(itinerary.steps()) as steps:
            for step in steps:
                step.run(runner)
        seconds = time.monotonic() - began
        sizes: dict[Name, int] = {}
        for result in itinerary.results:
            if result.parent is not None:
                parent = Build.open(result.parent)
                sizes[parent.manifest.format, False] = folder_bytes(parent.path)
            sizes[result.build.manifest.format, result.parent is not None] = folder_bytes(result.build.path)
    return Sample(pixels, seconds, sizes)


def _extend(samples: Sequence[Sample], values: Sequence[float], total: int) -> float:
    """Return the value at `total` pixels of the line through those of the last two samples."""
    last = samples[-1]
    rate = values[-1] / last.pixels
    if len(samples) > 1 and values[-1] > values[-2]:
        rate = (values[-1] - values[-2]) / (last.pixels - samples[-2].pixels)
    return values[-1] + rate * (total - last.pixels)


def nearest_folder(path: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())


def folder_bytes(path: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(Path(folder, name).lstat().st_size for folder, _, names in os.walk(path) for name in names)


def _measure_memory(runner: Runner) -> int:
    """Return the most memory that this process and its workers have had."""
    workers = 0 if isinstance(runner, Serial) else runner.workers
    return _peak_bytes(0) + sum(runner.map(_peak_bytes, range(workers)))


def _peak_bytes(_: int) -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
