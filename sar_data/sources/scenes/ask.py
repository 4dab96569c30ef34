"""Ask a catalogue for JSON, patiently: busy servers are asked again, with full jitter or when they say so."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from sar_data.errors import CatalogueError

TIMEOUT_S = 60.0
ATTEMPTS = 6
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 300.0  # whoever asks for more is told so at once, since the answers so far are kept
BUSY = (429, 500, 502, 503, 504)
SHOWN = 200  # characters of an answer, in a message


def ask(client: httpx.Client, url: str, query: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON object at an address; raise CatalogueError where there is none after some attempts."""
    for attempt in range(ATTEMPTS):
        wait: float | None = None
        try:
            response = client.get(url, params=dict(query))
            if response.status_code == httpx.codes.OK:
                answer = response.json()
                if isinstance(answer, dict):
                    return answer
                raise malformed(url, "a JSON object", answer)
            found = f"HTTP {response.status_code}: {response.text[:SHOWN]}"
            if response.status_code not in BUSY:
                raise CatalogueError(f"{url}: expected a catalogue's answer, found {found}")
            wait = retry_after_s(response.headers.get("Retry-After"))
            if wait is not None and wait > LONGEST_WAIT_S:
                break
        except httpx.TransportError as error:
            found = f"no answer ({error or type(error).__name__})"
        except ValueError:
            found = f"no JSON: {response.text[:SHOWN]!r}"
        if attempt < ATTEMPTS - 1:
            time.sleep(random.uniform(0, FIRST_WAIT_S * 2**attempt) if wait is None else wait)
    again = f"It asks to come back in {wait:.0f} s. " if wait is not None else ""
    raise CatalogueError(f"{url}: expected a catalogue's answer, found {found}. {again}The same command goes on later.")


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds a Retry-After header asks to wait, in either of its forms; None without one that is sound."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        then = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, ((then if then.tzinfo else then.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())


def malformed(url: str, expected: str, found: object) -> CatalogueError:
    """Return the error for an answer that is not what the protocol says."""
    return CatalogueError(f"{url}: expected {expected}, found {str(found)[:SHOWN]}. Is this such a catalogue?")
