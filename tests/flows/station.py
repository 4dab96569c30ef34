"""A Prefect server of its own with a work pool, the deployments of prefect.yaml and, once it is asked for, a worker."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sar_data.cli import main
from tests.flows.conftest import SETTINGS
from tests.mini.hang import HANG_S
from tests.places import ROOT

GRACE_S = 10.0  # then it is killed
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Station:
    """`run` runs a program of this environment against the server."""

    env: Mapping[str, str]
    home: Path

    def run(self, cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
        program = str(BIN / command[0])
        return subprocess.run(
            [program, *command[1:]], cwd=cwd, env=self.env, capture_output=True, text=True, timeout=HANG_S, check=False
        )

    def typed(self, cwd: Path, *words: str) -> Result:
        """Type `sar-data WORDS` in a folder; in this process, since importing Prefect anew takes seconds."""
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: self.env["PREFECT_API_URL"]}), contextlib.chdir(cwd):
            return CliRunner().invoke(main, words)

    def must(self, cwd: Path, *command: str) -> str:
        """Run a program that may not fail; return what it printed."""
        done = self.run(cwd, *command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def worker(self) -> Iterator[None]:
        """Run a worker in a folder of its own."""
        elsewhere = self.home / "elsewhere"
        command = ("prefect", "worker", "start", "--pool", "sar-data")
        with _group(self.env, elsewhere, self.home / "worker.log", *command):
            yield
            end = time.monotonic() + HANG_S
            while self._running() and time.monotonic() < end:
                time.sleep(1)

    def _running(self) -> int:
        """Return how many runs have begun and not ended; without a server they would ask for it for minutes."""
        asked = {"flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING"]}}}}
        url, headers = f"{self.env['PREFECT_API_URL']}/flow_runs/count", {"Content-Type": "application/json"}
        with urllib.request.urlopen(
            urllib.request.Request(url, json.dumps(asked).encode(), headers), timeout=HANG_S
        ) as answer:
            return int(answer.read())


@contextmanager
def station(home: Path) -> Iterator[Station]:
    """Open a station; nothing of it is left behind."""
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env = {
        **clean,
        **SETTINGS,
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": url,
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    opened = Station(env, home)
    with ExitStack() as stack:
        log = home / "server.log"
        command = ("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
        _await_health(url, stack.enter_context(_group(env, elsewhere, log, *command)), log)
        opened.must(elsewhere, "prefect", "work-pool", "create", "sar-data", "--type", "process")
        opened.must(ROOT, "prefect", "deploy", "--all")
        yield opened
    end = time.monotonic() + HANG_S
    while (left := _using(home / "prefect")) and time.monotonic() < end:
        time.sleep(0.2)
    assert not left, f"processes left behind: {left}"


@contextmanager
def _group(env: Mapping[str, str], cwd: Path, log: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a process group of its own, and end the whole group: a worker may ignore SIGTERM."""
    with log.open("wb") as sink:
        started = subprocess.Popen(
            [str(BIN / command[0]), *command[1:]], cwd=cwd, env=env, stdout=sink, stderr=sink, start_new_session=True
        )
        try:
            yield started
        finally:
            os.killpg(started.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                started.wait(GRACE_S)
            with suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait(HANG_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_health(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + HANG_S
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=HANG_S):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    pytest.fail(f"no server at {url}:\n{log.read_text()}")


def _using(home: Path) -> list[str]:
    """Return the command lines of processes that have this Prefect home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"PREFECT_HOME={home}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
