"""When to ask a server again: full jitter, and what the server itself asks for."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a server is waited for, in seconds; `attempts` counts failures in a row without a new byte.

    A Retry-After beyond `obeyed_s` ends the attempts, since nobody watches a terminal for that long.
    """

    attempts: int = 8
    first_s: float = 1.0
    most_s: float = 60.0
    obeyed_s: float = 300.0
    connect_s: float = 20.0
    read_s: float = 60.0

    def delay(self, failures: int, asked_s: float | None) -> float:
        """Return how long to wait after so many failures in a row.

        Full jitter spreads clients that failed together (M. Brooker, "Exponential Backoff And Jitter", AWS 2015).
        """
        jitter = random.uniform(0, min(self.most_s, self.first_s * 2 ** (failures - 1)))
        return jitter if asked_s is None else asked_s + min(jitter, self.first_s)


def asked_delay(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, as a number or a date (RFC 9110, 10.2.3); None if none."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
