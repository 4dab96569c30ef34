"""Read a server's answer to "the bytes from here on": what it offers, or why it is not taken."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx

from sar_data.download.http import shown
from sar_data.download.retry import asked_delay
from sar_data.errors import FetchError

PASSING = (408, 425, 429, 500, 502, 503, 504)
REFUSED = (401, 403)
RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)")
WHOLE = re.compile(r"bytes \*/([0-9]{1,18})")


class Again(Exception):
    """The same address may do better in a moment; `asked_s` is what the server asked for."""

    def __init__(self, reason: str, asked_s: float | None = None) -> None:
        super().__init__(reason)
        self.asked_s = asked_s


class Anew(Again):
    """The kept bytes cannot be gone on with."""


class Refused(Again):
    """The server wants another credential."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The bytes from `start` of a file of `total` bytes, None where not said; `validator` recognises it, "" if none.

    `framed` says that the body's own framing tells where it ends.
    """

    start: int
    total: int | None
    validator: str
    framed: bool = True


def read(response: httpx.Response, have: int, validator: str, name: str) -> Offer:
    """Return what an answer offers to who has `have` bytes of the file that `validator` recognises.

    Raises Again, Anew or Refused for what may pass, and FetchError for what will not.
    """
    status, where = response.status_code, shown(str(response.url))
    if status in PASSING:
        raise Again(f"{where}: {_status(response)}", _asked(response))
    if status in REFUSED:
        raise Refused(f"{where}: {_status(response)}")
    if status == 416:
        whole = WHOLE.fullmatch(response.headers.get("content-range", ""))
        if whole and int(whole[1]) == have:
            return Offer(have, have, validator)
        raise Anew(f"{where}: {_status(response)}, expected it to have the bytes from {have} on")
    if status not in (200, 206):
        raise FetchError(f"{where}: expected the file, found {_status(response)}")
    _check_body(response, where, name)
    return _whole(response) if status == 200 else _rest(response, where, have, validator)


def _whole(response: httpx.Response) -> Offer:
    length = response.headers.get("content-length")
    framed = length is not None or "chunked" in response.headers.get("transfer-encoding", "")
    return Offer(0, int(length) if length is not None else None, _validator(response), framed)


def _rest(response: httpx.Response, where: str, have: int, validator: str) -> Offer:
    text = response.headers.get("content-range", "")
    found = RANGE.fullmatch(text)
    if not have or found is None or int(found[1]) != have:
        raise Anew(f"{where}: expected the bytes from {have} on, found {text or 'no Content-Range'!r}")
    if validator and _validator(response) not in ("", validator):
        raise Anew(f"{where}: the file has changed since its first part was fetched")
    return Offer(have, None if found[2] == "*" else int(found[2]), validator)


def _check_body(response: httpx.Response, where: str, name: str) -> None:
    encoding = response.headers.get("content-encoding", "identity").lower()
    # Apache labels a stored .gz so: the bytes on the wire are then the file itself.
    stored = encoding in ("gzip", "x-gzip") and name.endswith((".gz", ".tgz"))
    if encoding != "identity" and not stored:
        raise FetchError(f"{where}: expected the stored bytes, found them encoded as {encoding}")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml") and not name.endswith((".html", ".htm")):
        raise FetchError(f"{where}: expected {name}, found an HTML page: a login, a form or an error. {BY_HAND}")


BY_HAND = "Open the address in a browser, save the file where it belongs and run the same command again"


def _validator(response: httpx.Response) -> str:
    """Return what If-Range may carry: a strong ETag, else the date (RFC 9110, 13.1.5); a weak ETag is not allowed."""
    etag: str = response.headers.get("etag", "")
    found: str = etag if etag and not etag.startswith("W/") else response.headers.get("last-modified", "")
    return found if found.isascii() and found.isprintable() else ""  # else it could not be sent back


def _asked(response: httpx.Response) -> float | None:
    return asked_delay(response.headers.get("retry-after"), response.headers.get("date"))


def _status(response: httpx.Response) -> str:
    return f"status {response.status_code} {response.reason_phrase}".rstrip()
