"""A download against curl, on loopback, in one run on one machine: `make bench`. Quote the ratios, not the rates.

Both write 1 GiB to the same disk and flush it there; rounds alternate. Ours hashes meanwhile and publishes what is
verified, so it is also set against curl followed by the same hash. The server sends from memory by sendfile, in a
process of its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from sar_data.download.http import Web
from sar_data.download.target import Target
from sar_data.download.transfer import download

OUT = Path("bench-out") / "download"
SIZE = int(os.environ.get("BENCH_DOWNLOAD_MIB", "1024")) << 20
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
TARGET = 1.05

SERVER = """
import os, socket, sys
data = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(data).st_size
listener = socket.socket(fileno=int(sys.argv[2]))
head = f"HTTP/1.1 200 OK\\r\\nContent-Length: {size}\\r\\nETag: \\"1\\"\\r\\nConnection: close\\r\\n\\r\\n".encode()
while True:
    peer, _ = listener.accept()
    with peer:
        while b"\\r\\n\\r\\n" not in peer.recv(65536):
            pass
        peer.sendall(head)
        at = 0
        while at < size:
            at += os.sendfile(peer.fileno(), data, at, size - at)
"""


def main() -> None:
    curl = shutil.which("curl")
    if curl is None:
        print("download: no curl to compare with")
        return
    OUT.mkdir(parents=True, exist_ok=True)
    memory = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else OUT
    served = memory / f"sar-data-bench-{os.getpid()}"
    block = os.urandom(1 << 20)
    with served.open("wb") as file:
        for _ in range(SIZE >> 20):
            file.write(block)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-c", SERVER, str(served), str(listener.fileno())]
        with subprocess.Popen(command, pass_fds=[listener.fileno()]) as server:
            try:
                compare(curl, f"http://127.0.0.1:{listener.getsockname()[1]}/", served)
            finally:
                server.kill()
                served.unlink()
                shutil.rmtree(OUT)


def compare(curl: str, url: str, served: Path) -> None:
    """Print the medians and their ratios."""
    checksums = {}
    for algorithm in ("sha256", "md5"):
        with served.open("rb") as file:
            checksums[algorithm] = f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"

    def by_curl(check: str | None) -> None:
        subprocess.run([curl, "-s", "-o", OUT / "a", url], check=True)
        subprocess.run(["sync", OUT / "a"], check=True)
        if check:
            with (OUT / "a").open("rb") as file:
                hashlib.file_digest(file, check)

    def by_us(algorithm: str) -> None:
        with Web() as web:
            download(Target(name="a", urls=(url,), checksum=checksums[algorithm]), OUT, web=web)

    contenders: dict[str, Callable[[], None]] = {
        "curl, sync": lambda: by_curl(None),
        "curl, sync, then sha256": lambda: by_curl("sha256"),
        "curl, sync, then md5": lambda: by_curl("md5"),
        "sar-data, sha256": lambda: by_us("sha256"),
        "sar-data, md5": lambda: by_us("md5"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    burnt: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, work in contenders.items():
            (OUT / "a").unlink(missing_ok=True)
            os.sync()
            began, before = time.perf_counter(), sum(os.times()[:4])
            work()
            seconds[name].append(time.perf_counter() - began)
            burnt[name].append(sum(os.times()[:4]) - before)
    print(f"{SIZE >> 20} MiB over loopback, {len(os.sched_getaffinity(0))} cores, medians of {ROUNDS} rounds:")
    for name, times in seconds.items():
        print(f"  {name:24} {median(times):6.2f} s  (best {min(times):.2f}), {median(burnt[name]):.2f} s of CPU")
    for name in ("sha256", "md5"):
        ours, plain = seconds[f"sar-data, {name}"], seconds["curl, sync"]
        ratio, best = median(ours) / median(plain), min(ours) / min(plain)
        checked = median(ours) / median(seconds[f"curl, sync, then {name}"])
        verdict = "reached" if ratio <= TARGET else "missed"
        print(
            f"download with {name} over curl: {ratio:.2f} ({best:.2f} of the best); over curl and {name}: "
            f"{checked:.2f}; target {TARGET}: {verdict}"
        )


if __name__ == "__main__":
    main()
