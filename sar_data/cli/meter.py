"""Progress on stderr: a live bar on a terminal, one line a stage elsewhere. It knows what a stopped build keeps."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sar_data.cli.console import say
from sar_data.cli.words import render


class Meter:
    """Called with (stage, done, total).

    `sample_bytes` of pixels a sample give MB/s while packing and reading; `shard_length` shows how much of the
    first report an earlier run packed.
    """

    PIXELS = ("pack", "read")

    def __init__(self, sample_bytes: int = 0, shard_length: int = 256) -> None:
        self.stage, self.done, self.total = "", 0, 0
        self.stages: set[str] = set()
        self._sample_bytes, self._shard_length = sample_bytes, shard_length
        self._start_s = self._last = time.monotonic()
        self._before = 0  # samples that an earlier run packed, approximately
        self._live: Progress | None = None
        self._task: Any = None
        if sys.stderr.isatty():
            self._live = Progress(
                TextColumn("{task.description:>6}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self.stage:
            self._enter(stage, done, total)
        self.done, self.total, self._last = done, total, time.monotonic()
        rate = self._rate()
        if self._live:
            self._live.update(self._task, completed=done, total=total, rate=rate)
        elif done >= total:
            seconds = self._last - self._start_s
            click.echo(f"{stage}: {done - self._before:,} in {seconds:.1f} s, {rate}", err=True)

    def set_sizes(self, sample_bytes: int, shard_length: int) -> None:
        """Set the size of a sample and of a shard, once they are known."""
        self._sample_bytes, self._shard_length = sample_bytes, shard_length

    def say(self, text: str) -> None:
        """Print a remark, above the bar where there is one."""
        if self._live:
            self._live.console.print(render(text), markup=False, highlight=False)
        else:
            say(text)

    def _enter(self, stage: str, done: int, total: int) -> None:
        self.stage, self._start_s = stage, self._last
        self._before = max(done - self._shard_length, 0) if stage == "pack" else 0
        self.stages.add(stage)
        if self._live:
            self._task = self._live.add_task(stage, total=total, rate="")

    def _rate(self) -> str:
        speed = (self.done - self._before) / max(self._last - self._start_s, 1e-3)
        if self.stage not in self.PIXELS:
            return f"{speed:,.0f}/s"
        return f"{speed:,.0f} samples/s, {speed * self._sample_bytes / 1e6:,.1f} MB/s"

    def describe_kept(self, out: object) -> str:
        """Return a sentence about what a build below `out` keeps if it is stopped now."""
        again = "the same command continues from there"
        if self.stage == "pack":
            return f"{self.done} of {self.total} samples are packed and kept below {out}; {again}"
        if self.stage == "sums":
            return f"all samples are packed and kept below {out}; the same command seals them"
        return f"no new sample is packed yet, and samples of an earlier run below {out} are kept; {again}"

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()
