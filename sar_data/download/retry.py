"""When to retry a request: full jitter, and the delay that the server asks for."""

from __future__ import annotations

import random
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a server, in seconds; `attempts` counts failures in a row without a new byte.

    A Retry-After above `max_requested_s` ends the attempts, because nobody watches a terminal for that long. A response
    with fewer than `least_bytes_s` bytes a second over `over_s` seconds has failed. Where no server has answered yet,
    an unreachable host is tried `refusals` times, because the problem is probably on this side.
    """

    attempts: int = 8
    first_s: float = 1.0
    most_s: float = 60.0
    max_requested_s: float = 300.0
    connect_s: float = 20.0
    read_s: float = 60.0
    least_bytes_s: float = 1000.0
    over_s: float = 60.0
    refusals: int = 2

    def delay(self, failures: int, requested_s: float | None) -> float:
        """Return how long to wait after so many failures in a row.

        Full jitter spreads clients that failed together (M. Brooker, "Exponential Backoff And Jitter", AWS 2015).
        """
        jitter = random.uniform(0, min(self.most_s, self.first_s * 2 ** (failures - 1)))
        return jitter if requested_s is None else requested_s + min(jitter, self.first_s)


def requested_delay(value: str | None, date: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110, 10.2.3); None where it asks for nothing.

    A date is compared with the Date of the response, since the clocks may differ.
    """
    if value is not None and value.strip().isdecimal():
        return float(value)
    try:
        until, now = (parsedate_to_datetime(text or "") for text in (value, date))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
