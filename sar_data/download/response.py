"""Check the response to a range request: what it offers, or why it is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

from sar_data.download.http import redact
from sar_data.download.retry import requested_delay
from sar_data.errors import FetchError

PASSING = (408, 425, 429, 500, 502, 503, 504)
REFUSED = (401, 403)
RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)")
WHOLE = re.compile(r"bytes \*/([0-9]{1,18})")


class Retry(Exception):
    """The same address may succeed later; `requested_s` is the delay that the server asks for."""

    def __init__(self, reason: str, requested_s: float | None = None) -> None:
        super().__init__(reason)
        self.requested_s = requested_s


class Restart(Retry):
    """The kept bytes cannot be resumed."""


class Unauthorized(Retry):
    """The server needs another credential."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The bytes from `start` of a file of `total` bytes (None: unknown); `validator` identifies it, "" if none does.

    `framed` says that the body's framing marks its end.
    """

    start: int
    total: int | None
    validator: str
    framed: bool = True


def read(response: httpx.Response, have: int, validator: str, name: str) -> Offer:
    """Return what a response offers to a client with `have` bytes of the file that `validator` identifies.

    Raises Retry, Restart or Unauthorized for temporary problems, and FetchError for permanent ones.
    """
    status, where = response.status_code, redact(str(response.url))
    if status in PASSING:
        raise Retry(f"{where}: {_status(response)}", _requested_delay(response))
    if status in REFUSED:
        raise Unauthorized(f"{where}: {_status(response)}")
    if status == 416:
        match = WHOLE.fullmatch(response.headers.get("content-range", ""))
        if match and int(match[1]) == have:
            return Offer(have, have, validator)
        raise Restart(f"{where}: {_status(response)}, expected it to have the bytes from {have} on")
    if status not in (200, 206):
        raise FetchError(f"{where}: expected the file, found {_status(response)}")
    _check_body(response, where, name)
    return _full_offer(response) if status == 200 else _partial_offer(response, where, have, validator)


def _full_offer(response: httpx.Response) -> Offer:
    length = response.headers.get("content-length")
    framed = length is not None or "chunked" in response.headers.get("transfer-encoding", "")
    return Offer(0, int(length) if length is not None else None, _validator(response), framed)


def _partial_offer(response: httpx.Response, where: str, have: int, validator: str) -> Offer:
    text = response.headers.get("content-range", "")
    match = RANGE.fullmatch(text)
    if not have or match is None or int(match[1]) != have:
        raise Restart(f"{where}: expected the bytes from {have} on, found {text or 'no Content-Range'!r}")
    if validator and _validator(response) not in ("", validator):
        raise Restart(f"{where}: the file has changed since its first part was fetched")
    return Offer(have, None if match[2] == "*" else int(match[2]), validator)


def _check_body(response: httpx.Response, where: str, name: str) -> None:
    encoding = response.headers.get("content-encoding", "identity").lower()
    # Apache labels a stored .gz like this: the received bytes are the file itself.
    stored = encoding in ("gzip", "x-gzip") and name.endswith((".gz", ".tgz"))
    if encoding != "identity" and not stored:
        raise FetchError(f"{where}: expected the stored bytes, found them encoded as {encoding}")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml") and not name.endswith((".html", ".htm")):
        raise FetchError(f"{where}: expected {name}, found an HTML page: a login, a form or an error. {BY_HAND}")


BY_HAND = "Open the address in a browser, save the file where it belongs and run the same command again"


def _validator(response: httpx.Response) -> str:
    """Return the validator for If-Range: a strong ETag, else the date (RFC 9110, 13.1.5); a weak ETag is not."""
    etag: str = response.headers.get("etag", "")
    tag: str = etag if etag and not etag.startswith("W/") else response.headers.get("last-modified", "")
    return tag if tag.isascii() and tag.isprintable() else ""  # else it could not be sent back


def _requested_delay(response: httpx.Response) -> float | None:
    return requested_delay(response.headers.get("retry-after"), response.headers.get("date"))


def _status(response: httpx.Response) -> str:
    return f"status {response.status_code} {response.reason_phrase}".rstrip()
