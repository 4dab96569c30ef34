"""How long the libraries built on requests wait for a busy catalogue: without this two of three never give up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.exceptions import InvalidHeader

from sar_data.errors import CatalogueError
from sar_data.sources.scenes.ask import LONGEST_WAIT_S, SHOWN, TIMEOUT_S, malformed

RETRIES = 5
BUSY = (429, 502, 503, 504)  # 500 comes with a message that the libraries read


class Patience(urllib3.Retry):
    """Retries what may go better the next time, searches by POST too; a bound on what Retry-After may ask."""

    def get_retry_after(self, response: Any) -> float | None:
        try:
            asked = super().get_retry_after(response)
        except InvalidHeader:
            return None
        if asked is not None and asked > LONGEST_WAIT_S:
            raise urllib3.exceptions.HTTPError(f"HTTP {response.status}: come back in {asked:.0f} s")
        return asked


class Patient(HTTPAdapter):
    """Gives every request a time limit, and retries."""

    def __init__(self) -> None:
        super().__init__(
            max_retries=Patience(
                RETRIES, status_forcelist=BUSY, allowed_methods=None, backoff_factor=0.5, backoff_jitter=0.5
            )
        )

    def send(self, request: Any, stream: Any = False, timeout: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().send(request, stream, timeout or TIMEOUT_S, *args, **kwargs)


def make_patient(session: requests.Session) -> requests.Session:
    """Mount the patient adapter on a session, and return it."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, Patient())
    return session


@contextmanager
def explained(url: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what a library raises while it searches at `url` into a CatalogueError.

    `kinds` are the library's own; a KeyError or a TypeError is how it meets an answer that is not of its protocol.
    """
    foreseen: tuple[type[Exception], ...] = (requests.RequestException, urllib3.exceptions.HTTPError, *kinds)
    try:
        yield
    except foreseen as error:
        raise CatalogueError(
            f"{url}: expected a catalogue's answer, found {_brief(error)}. The same command goes on later."
        ) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise malformed(url, "an answer of its protocol", f"one without {_brief(error)}") from error


def _brief(error: Exception) -> str:
    lines = str(error).split() or [type(error).__name__]
    return " ".join(lines)[:SHOWN]
