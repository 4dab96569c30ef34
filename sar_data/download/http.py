"""An HTTP client for files: redirects, credentials and transport under rules that no server can change."""

from __future__ import annotations

import logging
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Event
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies

import httpx

from sar_data import __version__
from sar_data.download.retry import Patience
from sar_data.errors import FetchError, Unreachable
from sar_data.naming import MAX_NAMES

Authorise = Callable[[str, bool], str | None]
"""(host, refused) → the Authorization header for that host, None for none; `refused` asks for a newer one."""

MAX_REDIRECTS = 10
LOOPBACK = ("localhost", "127.0.0.1", "::1")
PRINTABLE = re.compile(r"[!-~]+( [!-~]+)*")
DEFAULT_PORT = {"http": 80, "https": 443}


class Offline(Unreachable):
    """No connection to any server so far: probably this machine has no network."""


class Stopped(Exception):
    """The transfers' `stop` was set; received bytes are kept."""


class Web:
    """A client that many transfers share, from any thread. Use as a context manager.

    `authorise` returns the header of the host at hand, so that a redirect takes no credential along; headers are sent
    unencrypted only to this machine. `s3_endpoint` replaces Amazon's for s3:// addresses, which are read without
    signing. `halt` ends all transfers.
    """

    def __init__(
        self,
        *,
        authorise: Authorise | None = None,
        patience: Patience | None = None,
        verify: ssl.SSLContext | bool = True,
        s3_endpoint: str | None = None,
    ) -> None:
        self.authorise = authorise
        self.patience = patience or Patience()
        self.stop = Event()
        self.answered = Event()  # by any server
        self._away: dict[str, str] = {}  # host → why it could not be reached
        self._s3_endpoint = s3_endpoint
        self._sockets: set[socket.socket] = set()
        # Ask for the stored bytes: an encoded body has another length and other ranges.
        headers = {"accept-encoding": "identity", "accept": "*/*", "user-agent": f"sar-data/{__version__}"}
        timeout = httpx.Timeout(self.patience.read_s, connect=self.patience.connect_s)
        logging.getLogger("httpx").addFilter(_without_query)
        self._client = httpx.Client(headers=headers, timeout=timeout, verify=verify)

    def address(self, url: str) -> str:
        """Return the http(s) form of a URL; raise FetchError for another scheme or a credential in it."""
        try:
            parts = urlsplit(url)
            httpx.URL(url)
        except (ValueError, httpx.InvalidURL) as error:
            raise FetchError(f"{redact(url)}: expected a valid URL, found another text: {error}") from None
        if parts.scheme == "s3":
            if self._s3_endpoint is None:
                return f"https://{parts.netloc}.s3.amazonaws.com{parts.path}"
            return f"{self._s3_endpoint.rstrip('/')}/{parts.netloc}{parts.path}"
        if parts.scheme not in DEFAULT_PORT:
            raise FetchError(f"{redact(url)}: expected https, http or s3, found {parts.scheme or 'no scheme'}")
        if parts.username is not None:
            raise FetchError(f"{redact(url)}: expected no user or password in the address: put them in ~/.netrc")
        return url

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str], *, refused: bool = False) -> Iterator[httpx.Response]:
        """Request a URL and yield the response, body unread; `refused` says that the last credential was refused."""
        first = at = httpx.URL(self.address(url))
        for _ in range(MAX_REDIRECTS + 1):
            request = self._client.build_request("GET", at, headers=dict(headers))
            self._sign(request, first, refused)
            response = self._client.send(request, stream=True, follow_redirects=False)
            self.answered.set()
            try:
                if not response.has_redirect_location:
                    with self._stop_with(response):
                        yield response
                    return
            finally:
                response.close()
            at = self._redirect_target(at, response.headers["location"])
        raise FetchError(f"{redact(url)}: more than {MAX_REDIRECTS} redirects, the last to {redact(str(at))}")

    def _sign(self, request: httpx.Request, first: httpx.URL, refused: bool) -> None:
        url = request.url
        # Another service may listen on another port of the same host (as in CVE-2022-27774).
        same = _origin(url) == _origin(first) or url.host != first.host
        if not (self.authorise and same and is_secure(str(url))):
            return
        header = self.authorise(url.host, refused)
        if header and not PRINTABLE.fullmatch(header):  # the client would refuse it with the header in its message
            raise FetchError(f"{url.host}: expected a credential of printable ASCII, found other characters in it")
        if header:
            request.headers["authorization"] = header

    def _redirect_target(self, at: httpx.URL, location: str) -> httpx.URL:
        """Return the target of a redirect; raise FetchError where it is not allowed."""
        try:
            to = at.join(location)
            self.address(str(to))
        except (httpx.InvalidURL, FetchError) as error:
            raise FetchError(f"{redact(str(at))}: redirected to where nothing is fetched from: {error}") from None
        if is_secure(str(at)) and not is_secure(str(to)):
            raise FetchError(f"{redact(str(at))}: expected to stay with https, found a redirect to {redact(str(to))}")
        return to

    @contextmanager
    def _stop_with(self, response: httpx.Response) -> Iterator[None]:
        connection = response.extensions["network_stream"].get_extra_info("socket")
        self._sockets.add(connection)
        try:
            yield
        finally:
            self._sockets.discard(connection)

    def check_refusal(self, url: str, error: Exception, attempts: int) -> None:
        """Count a failed connection to the host of `url`; raise Offline once there were enough of them."""
        is_unconnected = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
        if is_unconnected and attempts >= self.patience.refusals and not self.answered.is_set():
            self._away.setdefault(self._host(url), str(error) or type(error).__name__)
            self.check_online(url)

    def check_online(self, url: str) -> None:
        """Raise Offline where the host of `url` could not be reached, and no other host either."""
        if self._host(url) in self._away and not self.answered.is_set():
            raise Offline(self.away())

    def away(self) -> str:
        """Return the hosts that could not be reached, the reason, and what to do."""
        hosts = dict(self._away)
        names = ", ".join(sorted(hosts)[:MAX_NAMES]) + f" and {len(hosts) - MAX_NAMES} more" * (len(hosts) > MAX_NAMES)
        return f"{names}: no connection ({next(iter(hosts.values()))}), nor to any other host. {network_advice()}"

    def _host(self, url: str) -> str:
        return urlsplit(self.address(url)).netloc.rpartition("@")[2]

    def halt(self) -> None:
        """End every transfer at once, also those waiting for a server; received bytes are kept."""
        self.stop.set()
        for connection in tuple(self._sockets):
            with suppress(OSError):
                # Not the method of a TLS socket, which would end the session while it is being read.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def pause(self, seconds: float = 0.0) -> None:
        """Wait so long; raise Stopped where `stop` was or is set."""
        if self.stop.wait(seconds):
            raise Stopped

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def network_advice() -> str:
    """Return what to do where no host can be reached."""
    proxies = sorted({redact(url) for scheme, url in getproxies().items() if scheme in ("http", "https", "all")})
    if proxies:
        return f"This machine is offline, or its proxy {' or '.join(proxies)} does not answer, or refuses to pass it on"
    return "This machine is offline, or a proxy is needed: set HTTPS_PROXY and HTTP_PROXY to its address"


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or DEFAULT_PORT.get(url.scheme)


def is_secure(url: str) -> bool:
    """Say whether the traffic with `url` is encrypted, or stays on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("https", "s3") or parts.hostname in LOOPBACK


def redact(url: str) -> str:
    """Return a URL without user, password and query (which may be a signature), for messages and records."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return re.sub(r"//[^/]*@", "//", re.split("[?#]", url)[0])
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _without_query(record: logging.LogRecord) -> bool:
    """Let the client log redacted addresses only: a signed one gives access for hours."""
    if isinstance(record.args, tuple):
        record.args = tuple(redact(str(value)) if isinstance(value, httpx.URL) else value for value in record.args)
    return True
