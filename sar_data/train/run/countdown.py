"""How far a long piece of work is, and how long the rest takes: a line now and then."""

from __future__ import annotations

import time

from sar_data.progress import Say

EVERY_S = 10.0  # between lines


class Countdown:
    """Says how many of `total` items are done, of which an earlier process did `start`."""

    def __init__(self, total: int, items: str, say: Say, *, start: float = 0) -> None:
        self._total, self._items, self._say, self._start = total, items, say, start
        self._began = self._last = time.monotonic()

    def report(self, done: float, note: str = "") -> None:
        """Say every few seconds how much is done and how long the rest takes, until nothing is left."""
        now = time.monotonic()
        if now - self._last < EVERY_S or not self._start < done < self._total:
            return
        self._last = now
        rest_s = (now - self._began) / (done - self._start) * (self._total - done)
        shown = f"{done:,}" if isinstance(done, int) else f"{done:.2f}"
        self._say(f"{shown} of {self._total:,} {self._items}{note}, about {duration(rest_s)} left")


def duration(seconds: float) -> str:
    """Return seconds as words: 4 s, 3 min 4 s, 2 h 3 min."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
