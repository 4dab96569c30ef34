"""Web servers on loopback that misbehave as they are told, and remember what they were asked."""

from __future__ import annotations

import hashlib
import re
import shutil
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    path: str
    headers: dict[str, str]

    @property
    def start(self) -> int:
        """The first byte asked for."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found[1]) if found else 0


class Handler(BaseHTTPRequestHandler):
    """Takes the next behaviour of its path, the last one for ever."""

    protocol_version = "HTTP/1.1"
    site: Site
    asked: Asked

    def do_GET(self) -> None:
        self.asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()})
        with self.site.lock:
            turns = self.site.answers.get(self.path.partition("?")[0]) or [status(404)]
            turn = turns[min(self.site.turns[self.path], len(turns) - 1)]
            self.site.turns[self.path] += 1
            self.site.asked.append(self.asked)
        with suppress(ConnectionError):
            turn(self)

    def head(self, code: int, headers: dict[str, Any]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def put(self, body: bytes) -> None:
        """Send bytes of a body, and count those that were."""
        for at in range(0, len(body), BLOCK):
            self.wfile.write(body[at : at + BLOCK])
            self.site.sent[self.path] += len(body[at : at + BLOCK])

    def hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


Turn = Callable[[Handler], None]


@dataclass
class Site:
    """A running server: `answers` has a list of behaviours for each path."""

    url: str
    answers: dict[str, list[Turn]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    turns: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path.partition("?")[0] == path]


@contextmanager
def serving(*, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Site]:
    """Run a site until the block ends."""
    server = ThreadingHTTPServer((host, 0), type("Bound", (Handler,), {}))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up are what is tested
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    site = Site(f"{'https' if tls else 'http'}://{host}:{server.server_address[1]}")
    server.RequestHandlerClass.site = site  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext] | None:
    """Return a server's and a trusting client's context for 127.0.0.1; None where there is no openssl command."""
    if not (openssl := shutil.which("openssl")):
        return None
    key, cert = folder / "key.pem", folder / "cert.pem"
    make = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*make, "-keyout", key, "-out", cert, *subject], check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    return server, ssl.create_default_context(cafile=str(cert))


def etag(data: bytes) -> str:
    return f'"{hashlib.sha1(data).hexdigest()[:12]}"'


def good(data: bytes, *, ranges: bool = True, tag: str | None = None, **headers: Any) -> Turn:
    """Serve a file as a server should; without `ranges` always the whole of it. A tag of "" is none."""
    tag = etag(data) if tag is None else tag
    named = {"etag": tag, "content_type": "application/octet-stream", **headers}
    named = {name: value for name, value in named.items() if value}

    def turn(self: Handler) -> None:
        start, if_range = self.asked.start, self.asked.headers.get("if-range")
        if not ranges or (if_range and if_range != tag):
            start = 0
        if start >= len(data) and start:
            self.head(416, {"content_range": f"bytes */{len(data)}", "content_length": 0})
            return
        part = {"content_range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        self.head(206 if start else 200, {"content_length": len(data) - start, **part, **named})
        self.put(data[start:])

    return turn


def cut(data: bytes, size: int, **options: Any) -> Turn:
    """Serve a file well, but hang up after so many bytes of the answer."""
    whole = good(data, **options)

    def turn(self: Handler) -> None:
        send, left = self.put, size

        def put(body: bytes) -> None:
            send(body[:left])
            self.hang_up()

        self.put = put  # type: ignore[method-assign]
        whole(self)

    return turn


def status(code: int, body: bytes = b"", **headers: Any) -> Turn:
    return answer(code, body, **headers)


def answer(code: int, body: bytes, **headers: Any) -> Turn:
    """Send these headers and bytes, whatever was asked."""

    def turn(self: Handler) -> None:
        self.head(code, {"content_length": len(body), **headers})
        self.put(body)
        self.hang_up()

    return turn


def redirect(to: str, code: int = 302) -> Turn:
    return answer(code, b"", location=to)


def chunked(data: bytes, *, whole: bool = True, times: int = 1, **headers: Any) -> Turn:
    """Send a body in chunks, so often; unless `whole`, hang up before its end is marked."""

    def turn(self: Handler) -> None:
        self.head(200, {"transfer_encoding": "chunked", **headers})
        for _ in range(times):
            for at in range(0, len(data), BLOCK):
                block = data[at : at + BLOCK]
                self.wfile.write(b"%x\r\n" % len(block))
                self.put(block)
                self.wfile.write(b"\r\n")
        if whole:
            self.wfile.write(b"0\r\n\r\n")
        self.hang_up()

    return turn


def raw(*blocks: bytes, after: Callable[[], object] = lambda: None) -> Turn:
    """Send bytes that need not be HTTP, then wait for `after`."""

    def turn(self: Handler) -> None:
        for block in blocks:
            self.wfile.write(block)
        self.wfile.flush()
        after()
        self.hang_up()

    return turn
