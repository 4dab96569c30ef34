"""Ctrl-C and SIGTERM: a command unwinds and says what it kept; one that cannot is ended after a few seconds."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

GRACE_S = 4.0  # a shard under way is waited for this long; what has a proof is safe either way
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal asked the command to stop; `code` is the exit code by the shell's convention."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


def _nothing() -> str:
    return "nothing was under way that needs to be resumed; the same command starts again"


@dataclass(slots=True)
class Note:
    """What is kept should the command be stopped now; a command that keeps something replaces `kept`."""

    kept: Callable[[], str] = _nothing


@contextmanager
def stoppable(note: Note) -> Iterator[None]:
    """Raise Stopped in the main thread at the first signal; a second one, or GRACE_S later, ends the process."""

    def stop(number: int, frame: FrameType | None) -> None:
        for other in SIGNALS:
            signal.signal(other, lambda again, frame: os._exit(128 + again))
        timer = threading.Timer(GRACE_S, _end, (note, 128 + number))
        timer.daemon = True
        timer.start()
        raise Stopped(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A signal that the parent ignores stays ignored, as nohup and background jobs expect.
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    except Stopped:
        raise  # the handlers stay: a second signal while the workers end must not show a traceback
    except BaseException:
        _restore(before)
        raise
    else:
        _restore(before)


def _restore(before: Mapping[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)


def _end(note: Note, code: int) -> None:
    os.write(2, f"sar-data: stopped: {note.kept()}\n".encode())
    os._exit(code)


@contextmanager
def sheltered() -> Iterator[None]:
    """Start child processes that ignore Ctrl-C, which a terminal sends to all: the parent alone ends them."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
