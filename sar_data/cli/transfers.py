"""Progress of downloads on stderr: a bar a file with rate and time left on a terminal, a line a tenth elsewhere."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any, Self

import click

from sar_data.cli.console import say
from sar_data.cli.words import render

TENTH = 10


class Transfers:
    """Called with (name, bytes there, bytes in all), from any thread; `say` prints a line beside the bars."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: dict[str, Any] = {}
        self._tenths: dict[str, int] = {}
        self._live: Any = None
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._live = progress.Progress(
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(),
                progress.DownloadColumn(),
                progress.TransferSpeedColumn(),
                progress.TimeRemainingColumn(),
                console=Console(stderr=True),
            )

    def __call__(self, name: str, have: int, total: int | None) -> None:
        with self._lock:
            if self._live:
                if name not in self._tasks:
                    # Bytes of an earlier run are not part of the rate of this one.
                    self._tasks[name] = self._live.add_task(name, total=total, completed=have)
                self._live.update(self._tasks[name], completed=have, total=total)
            elif total and (tenth := TENTH * have // total) != self._tenths.get(name, 0):
                self._tenths[name] = tenth
                click.echo(f"{name}: {have:,} of {total:,} bytes ({100 * have // total} %)", err=True)

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        with self._lock:
            if self._live:
                self._live.console.print(render(line), highlight=False, markup=False)
            else:
                say(line)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()
