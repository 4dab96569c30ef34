"""A lowest speed: a server that gives a byte now and then is as good as one that hangs up."""

from __future__ import annotations

import time

from sar_data.download.response import Again
from sar_data.download.retry import Patience


class Stalled(Again):
    """Bytes come too slowly to wait for the rest; those that came are no sign that it gets on."""


class Pace:
    """Counts the bytes of one answer; raise Stalled where they were too few over `patience.over_s` seconds."""

    def __init__(self, patience: Patience, where: str) -> None:
        self._patience = patience
        self._where = where
        self._since = time.monotonic()
        self._size = 0

    def step(self, size: int) -> None:
        """Count bytes that came."""
        self._size += size
        waited_s = time.monotonic() - self._since
        if waited_s < self._patience.over_s:
            return
        if self._size < self._patience.least_bytes_s * waited_s:
            expected = f"expected {self._patience.least_bytes_s:,.0f} bytes a second or more over {waited_s:.0f} s"
            raise Stalled(f"{self._where}: stalled: {expected}, found {self._size / waited_s:,.1f}")
        self._since, self._size = time.monotonic(), 0
