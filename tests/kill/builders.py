"""Processes to be killed, each in a group of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from types import TracebackType
from typing import Any, Self

import psutil

from tests.mini.hang import HANG_S
from tests.places import ROOT


class Command:
    """A process with a group of its own, so that it and its workers can be found and ended together."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.ending = os.pidfd_open(self.pid)

    def signal(self, number: int, *, alone: bool) -> None:
        """Send a signal to the process alone, or to its workers too."""
        (os.kill if alone else os.killpg)(self.pid, number)

    def wait(self) -> int:
        """Wait for the end of the process, not of its workers; return its exit code."""
        return self._process.wait(HANG_S)

    def left(self) -> list[psutil.Process]:
        """Return what still runs of the process and its workers."""
        alive = []
        for pid in psutil.pids():
            try:
                process = psutil.Process(pid)
                if os.getpgid(pid) == self.pid and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(process)
            except (psutil.NoSuchProcess, ProcessLookupError):
                continue
        return alive

    def gone(self, since: float) -> float:
        """Wait until nothing is left; return how many seconds after `since` that was."""
        while left := self.left():
            assert time.monotonic() - since < HANG_S, left
            time.sleep(0.02)
        return time.monotonic() - since

    def end(self) -> tuple[str, str]:
        """Let a process end that has nothing more to do; return what it said."""
        said = self._process.communicate(timeout=HANG_S)
        os.close(self.ending)
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.signal(signal.SIGKILL, alone=False)
        if self._process.stdout and not self._process.stdout.closed:
            self.end()


class Builder(Command):
    """The driver: started ahead of time, it waits for what to build."""

    def __init__(self, workers: int) -> None:
        super().__init__(sys.executable, "-m", "tests.kill.driver", str(workers))
        self.workers = workers

    def start(self, *, once: bool = True, **request: Any) -> None:
        """Send the first request; where there is but one, the builder ends after it."""
        assert self._process.stdin
        line = self._line()
        assert line == "ready\n", self._process.communicate()
        self.ask(**request)
        if once:
            self._process.stdin.close()
            self._process.stdin = None

    def ask(self, **request: Any) -> None:
        """Send a request that is not the first."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request, default=str) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for what came of the last request."""
        line = self._line()
        assert line, self._process.communicate()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()
