"""The whole road: a server, a work pool, the deployments of prefect.yaml, a worker, and two ways to start a build."""

from __future__ import annotations

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

from sar_data.sealed.opened import Build
from tests.flows.conftest import SETTINGS, Archive
from tests.mini.hang import HANG_S
from tests.places import ROOT

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Station:
    """A server with both flows deployed and a worker; `run` runs a program of this environment against it."""

    env: Mapping[str, str]

    def run(self, cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
        program = str(BIN / command[0])
        return subprocess.run(
            [program, *command[1:]], cwd=cwd, env=self.env, capture_output=True, text=True, timeout=HANG_S, check=False
        )


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
                started.wait(10)
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
            with urllib.request.urlopen(f"{url}/health", timeout=5):
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


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    home = tmp_path_factory.mktemp("station")
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env = {
        **clean,
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": url,
        **SETTINGS,
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    here = Station(env)
    with ExitStack() as stack:
        log = home / "server.log"
        server = stack.enter_context(
            _group(env, elsewhere, log, "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
        )
        _await_health(url, server, log)
        pool = here.run(elsewhere, "prefect", "work-pool", "create", "sar-data", "--type", "process")
        assert pool.returncode == 0, pool.stdout + pool.stderr
        stack.enter_context(
            _group(env, elsewhere, home / "worker.log", "prefect", "worker", "start", "--pool", "sar-data")
        )
        deployed = here.run(ROOT, "prefect", "deploy", "--all")
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        yield here
    end = time.monotonic() + HANG_S
    while (left := _using(home / "prefect")) and time.monotonic() < end:
        time.sleep(0.2)
    assert not left, f"processes left behind: {left}"


def test_prefect_runs_a_deployment_from_any_folder(station: Station, archive: Archive, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = station.run(
        *(tmp_path, "prefect", "deployment", "run", "build-bigearthnet/build-bigearthnet"),
        *("-p", f"source={archive.source}", "-p", f"out={out}", "-p", "split=official", "-p", "workers=2", "--watch"),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (manifest,) = out.glob("bigearthnet-s1/*/zarr-*/manifest.json")
    assert Build.open(manifest.parent).manifest.content_digest == archive.digest


def test_sar_data_runs_it_by_its_bare_name_and_prints_the_path_last(
    station: Station, archive: Archive, tmp_path: Path
) -> None:
    ended = station.run(
        *(archive.source.parent, "sar-data", "flow", "run", "build-bigearthnet", "--watch"),
        *("-p", f"source={archive.source.name}", "-p", f"out={tmp_path}", "-p", "format=lmdb", "-p", "runner=serial"),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    sealed = Build.open(Path(ended.stdout.strip()))
    assert sealed.path.is_relative_to(tmp_path)
    assert (sealed.manifest.format, sealed.manifest.content_digest) == ("lmdb", archive.digest)
    assert "Completed" in ended.stderr


def test_a_run_that_fails_fails_the_command(station: Station, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    ended = station.run(
        tmp_path, "sar-data", "flow", "run", "build-eurosat-sar", "-p", "source=raw", "-p", "out=out", "--watch"
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert ended.stdout == ""
    assert "ended as Failed" in ended.stderr
    assert "no record of eurosat-sar found" in ended.stderr
