"""Real servers on loopback for what lies below a folder: plain HTTP with faults to order, and the S3 API."""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from tests.mini.hang import HANG_S


class Web(ThreadingHTTPServer):
    """Serves `folder`; `faults[name]` are met by the coming GETs of a file, one each: a status, or a way to go wrong.

    "short" says and sends half, "cut" says all and sends half, "changed" flips the last byte, "stall" sends half, and
    the rest when `go_on` is set. `heads[name]` are met by the coming HEADs, each a status. `gets` counts what was asked
    for, `order` has it in order.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.faults: dict[str, deque[int | str]] = defaultdict(deque)
        self.heads: dict[str, deque[int]] = defaultdict(deque)
        self.gets: Counter[str] = Counter()
        self.order: list[str] = []
        self.stalled, self.go_on = threading.Event(), threading.Event()


class _Handler(SimpleHTTPRequestHandler):
    server: Web

    def do_HEAD(self) -> None:
        faults = self.server.heads[unquote(self.path).lstrip("/")]
        return self.send_error(faults.popleft()) if faults else super().do_HEAD()

    def do_GET(self) -> None:
        name = unquote(self.path).lstrip("/")
        self.server.gets[name] += 1
        self.server.order.append(name)
        faults = self.server.faults[name]
        fault = faults.popleft() if faults else None
        path = Path(self.translate_path(self.path))
        if fault is None or isinstance(fault, int) or not path.is_file():
            return self.send_error(fault) if fault is not None else super().do_GET()
        data = path.read_bytes()
        if fault == "changed":
            data = data[:-1] + bytes([data[-1] ^ 1])
        half = len(data) // 2
        self.send_response(200)
        self.send_header("Content-Length", str(half if fault == "short" else len(data)))
        self.end_headers()
        with suppress(ConnectionError):  # the other side may have been killed
            self.wfile.write(data if fault == "changed" else data[:half])
            if fault == "stall":
                self.wfile.flush()
                self.server.stalled.set()
                self.server.go_on.wait(HANG_S)
                self.wfile.write(data[half:])
        return None

    def log_message(self, format: str, *args: object) -> None:
        return None


@contextmanager
def web(folder: Path) -> Iterator[Web]:
    """Serve a folder over HTTP/1.0 without ranges, as `python -m http.server` does."""
    with Web(folder) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.go_on.set()
            server.shutdown()
            thread.join()


@contextmanager
def s3(*buckets: str) -> Iterator[str]:
    """Serve the S3 API on loopback, found as botocore finds any other; nothing asks for credentials elsewhere.

    Gives the address of the server. Instances of fsspec, which keep an endpoint for ever, are made anew.
    """
    import fsspec
    import pytest
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        files = fsspec.filesystem("s3")
        files.clear_instance_cache()
        for bucket in buckets:
            fsspec.filesystem("s3").mkdir(bucket)
        yield f"http://{host}:{port}"
    server.stop()
