"""Request JSON from a catalogue, with retries."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpx

from sar_data.download.http import Offline, Web, redact
from sar_data.download.pace import Pace
from sar_data.download.response import PASSING, Retry
from sar_data.download.retry import Patience, requested_delay
from sar_data.errors import FetchError, Unreachable
from sar_data.system import strict_json

MAX_BYTES = 64 << 20  # of a response: a product takes about 2 kB
SHOWN = 200  # characters of a response, in a message


def fetch_json(web: Web, url: str, query: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON object at an address; a busy server is asked again while patience lasts.

    Raises Unreachable for temporary failures, FetchError for permanent ones.
    """
    patience = web.patience
    for failed in range(1, patience.attempts + 1):
        wait_s: float | None = None
        try:
            with web.get(f"{url}?{urlencode(query)}", {"accept": "application/json"}) as response:
                status, body = response.status_code, _body(response, web.patience)
                wait_s = requested_delay(response.headers.get("retry-after"), response.headers.get("date"))
            if status == httpx.codes.OK:
                return _object(url, body)
            answer = f"status {status}: {body[:SHOWN].decode(errors='replace')!r}"
            if status not in PASSING:
                raise FetchError(f"{url}: expected a catalogue's answer, found {answer}")
        except httpx.RequestError as error:
            answer = f"no answer ({error or type(error).__name__})"
            if is_untrusted(error):
                raise certificate_error(url, answer) from None
            try:
                web.check_refusal(url, error, failed)
            except Offline as offline:
                raise unreachable_error(url, str(offline)) from None
        except Retry as error:
            answer = str(error)
        except ValueError:  # proxies of a busy server often return a page
            answer = f"no JSON: {body[:SHOWN].decode(errors='replace')!r}"
        if (wait_s or 0) > patience.max_requested_s:
            raise unreachable_error(url, f"{answer}; it asks to wait {wait_s:.0f} s")
        if failed < patience.attempts:
            web.pause(patience.delay(failed, wait_s))
    raise unreachable_error(url, f"{answer}, attempt {patience.attempts}")


def unreachable_error(url: str, reason: str) -> Unreachable:
    """Return the error for a temporary failure of a catalogue."""
    return Unreachable(
        f"{url}: expected a catalogue's answer, found {reason}. Run the same command again later: it resumes here"
    )


def is_untrusted(error: BaseException | None) -> bool:
    """Say whether a server's certificate is invalid, which a retry cannot change."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def certificate_error(url: str, reason: str) -> FetchError:
    """Return the error for a server with an invalid certificate."""
    return FetchError(f"{url}: expected a valid server certificate, found {reason}")


def malformed_error(url: str, expected: str, answer: object) -> FetchError:
    """Return the error for a response that breaks the protocol."""
    return FetchError(f"{url}: expected {expected}, found {str(answer)[:SHOWN]}. Is this such a catalogue?")


def _body(response: httpx.Response, patience: Patience) -> bytes:
    body, pace = bytearray(), Pace(patience, redact(str(response.url)))
    for block in response.iter_bytes():
        body += block
        pace.step(len(block))
        if len(body) > MAX_BYTES:
            raise malformed_error(str(response.url.copy_with(query=None)), f"at most {MAX_BYTES >> 20} MiB", "more")
    return bytes(body)


def _object(url: str, body: bytes) -> dict[str, Any]:
    answer = strict_json.loads(body)
    if not isinstance(answer, dict):
        raise malformed_error(url, "a JSON object", answer)
    return answer
