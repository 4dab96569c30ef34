"""Our manners for the libraries built on requests, of which two set no time limit and none waits as it is asked to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from sar_data.download.http import Authorise, is_secure, network_advice
from sar_data.download.response import PASSING
from sar_data.download.retry import Patience, requested_delay
from sar_data.sources.scenes.json_request import (
    SHOWN,
    certificate_error,
    is_untrusted,
    malformed_error,
    unreachable_error,
)

BUSY = (429, 502, 503, 504)  # a 500 comes with a message that the libraries read
TROUBLE = (requests.RequestException, urllib3.exceptions.HTTPError)


class Retries(urllib3.Retry):
    """Retries what may go better the next time, searches by POST too, after waits of `patience`."""

    patience = Patience()

    @classmethod
    def of(cls, patience: Patience) -> Retries:
        retries = cls(patience.attempts - 1, patience.refusals, status_forcelist=BUSY, allowed_methods=None)
        retries.patience = patience
        return retries

    def new(self, **changes: Any) -> Retries:
        other: Retries = super().new(**changes)
        other.patience = self.patience
        return other

    def increment(self, *args: Any, **facts: Any) -> Any:
        error: Any = facts.get("error")
        if is_untrusted(error):
            raise error
        return super().increment(*args, **facts)

    def get_backoff_time(self) -> float:
        return self.patience.delay(max(1, len(self.history)), None)

    def get_retry_after(self, response: Any) -> float | None:
        requested_s = requested_delay(response.headers.get("Retry-After"), response.headers.get("Date"))
        if requested_s is not None and requested_s > self.patience.max_requested_s:
            raise urllib3.exceptions.HTTPError(f"status {response.status}; it asks to wait {requested_s:.0f} s")
        return requested_s


class Patient(HTTPAdapter):
    """Gives every request a time limit, and retries."""

    def __init__(self, patience: Patience) -> None:
        super().__init__(max_retries=Retries.of(patience))
        self._timeout = (patience.connect_s, patience.read_s)

    def send(self, request: Any, stream: Any = False, timeout: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().send(request, stream, timeout or self._timeout, *args, **kwargs)


class Signed(requests.auth.AuthBase):
    """Gives each host its own header, as downloads do."""

    def __init__(self, authorise: Authorise) -> None:
        self._authorise = authorise

    def __call__(self, request: Any) -> Any:
        if is_secure(request.url) and (header := self._authorise(urlsplit(request.url).hostname or "", False)):
            request.headers["Authorization"] = header
        return request


def configure_session(session: requests.Session, patience: Patience, authorise: Authorise) -> requests.Session:
    """Return a session that waits with patience and signs what it asks."""
    for scheme in ("http://", "https://"):
        session.mount(scheme, Patient(patience))
    session.auth = Signed(authorise)
    return session


@contextmanager
def explain_errors(url: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what a library raises while it searches at `url` into Unreachable or FetchError.

    `kinds` are the library's own; a KeyError or a TypeError is how it meets an answer that is not of its protocol.
    """
    foreseen: tuple[type[Exception], ...] = (
        *TROUBLE,
        *kinds,
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    )
    try:
        yield
    except foreseen as error:
        reason = " ".join(str(error).split())[:SHOWN] or type(error).__name__
        if is_untrusted(error):
            raise certificate_error(url, reason) from error
        if _may_pass(error) or _may_pass(error.__context__):
            unmade = isinstance(error, requests.ConnectionError) and not isinstance(error, requests.ReadTimeout)
            raise unreachable_error(url, f"{reason}. {network_advice()}" if unmade else reason) from error
        raise malformed_error(
            url, "a catalogue's answer", reason if isinstance(error, kinds) else repr(error)
        ) from error


def _may_pass(error: BaseException | None) -> bool:
    """Say whether the way to the server failed, or the server failed in a way that may pass."""
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code in PASSING
    return isinstance(error, TROUBLE) and not isinstance(error, requests.exceptions.InvalidJSONError)
