"""A headless Chromium that a test drives through a pipe (Chrome DevTools Protocol), without any package."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.mini.hang import HANG_S

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
AS_3_AND_4 = """
import os, sys
ends = [os.dup(os.dup(os.dup(int(end)))) for end in sys.argv[1:3]]  # two more, so that neither is 3 or 4

os.dup2(ends[0], 3), os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""The program reads commands from 3 and writes answers to 4."""
NOISY = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening")


class Page:
    """One page: what it asked for, what it said, and what can be measured in it."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers, self._left, self._number = commands, answers, b"", 0
        self.requests: list[str] = []
        self.noise: list[dict[str, Any]] = []
        target = self("Target.createTarget", session=False, url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", session=False, targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method: str, *, session: bool = True, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer; what happens meanwhile is kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        whole = json.dumps(message | ({"sessionId": self._session} if session else {})).encode() + b"\0"
        os.write(self._commands, whole)
        while True:
            found = self._next()
            if found.get("id") == self._number:
                assert "error" not in found, found
                return dict(found["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            assert select.select([self._answers], [], [], HANG_S)[0], "the browser says nothing"
            part = os.read(self._answers, 1 << 20)
            assert part, "the browser ended"
            self._left += part
        whole, _, self._left = self._left.partition(b"\0")
        found: dict[str, Any] = json.loads(whole)
        if found.get("method") == "Network.requestWillBeSent":
            self.requests.append(found["params"]["request"]["url"])
        elif found.get("method") in NOISY:
            self.noise.append(found)
        return found

    def open(self, file: Path, width: int, *, dark: bool = False, media: str = "") -> None:
        """Open a file in a window of this width."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500)
        self.requests.clear()
        self.noise.clear()
        self("Page.navigate", url=file.absolute().as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def value(self, expression: str) -> Any:
        """Return what an expression is in the page."""
        found = self("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            self("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode={"Tab": 9}[key])

    def pdf(self) -> bytes:
        return base64.b64decode(self("Page.printToPDF", preferCSSPageSize=True)["data"])


@contextmanager
def browsing(profile: Path) -> Iterator[Page]:
    """Start a browser with an own profile, give its page, and end it."""
    commands, answers = os.pipe(), os.pipe()
    ends = (commands[0], answers[1])
    line = [str(PROGRAM), *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe"]
    started = subprocess.Popen(
        [sys.executable, "-c", AS_3_AND_4, *map(str, ends), *line], pass_fds=ends, stderr=subprocess.DEVNULL
    )
    os.close(commands[0])
    os.close(answers[1])
    try:
        page = Page(commands[1], answers[0])
        yield page
        page("Browser.close", session=False)
    finally:
        os.close(commands[1])
        os.close(answers[0])
        try:
            started.wait(HANG_S)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
