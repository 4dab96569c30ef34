"""A minimum speed: a server that sends a byte now and then is treated as one that hangs."""

from __future__ import annotations

import time

from sar_data.download.response import Retry
from sar_data.download.retry import Patience


class Stalled(Retry):
    """Bytes arrive too slowly to wait for the others; this counts as no progress."""


class Pace:
    """Counts the bytes of one response; raises Stalled where there were too few over `patience.over_s` seconds."""

    def __init__(self, patience: Patience, where: str) -> None:
        self._patience = patience
        self._where = where
        self._since = time.monotonic()
        self._size = 0

    def step(self, size: int) -> None:
        """Count received bytes."""
        self._size += size
        waited_s = time.monotonic() - self._since
        if waited_s < self._patience.over_s:
            return
        if self._size < self._patience.least_bytes_s * waited_s:
            expected = f"expected {self._patience.least_bytes_s:,.0f} bytes a second or more over {waited_s:.0f} s"
            raise Stalled(f"{self._where}: stalled: {expected}, found {self._size / waited_s:,.1f}")
        self._since, self._size = time.monotonic(), 0
