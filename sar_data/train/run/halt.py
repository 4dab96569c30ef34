"""SIGTERM and Ctrl-C while training: the step ends, all is saved, then the signal has its usual effect."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from sar_data.errors import SarDataError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ECHO_S = 2.0  # a scheduler signals all processes, and torchrun passes its signal on: they count as one


class Halted(SarDataError):
    """A job was stopped by signal `number`, here or at another rank, after everything was saved."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class Halt:
    """`asked` is set by a signal here, `agreed` once all ranks know of it, which is after their step."""

    def __init__(self) -> None:
        self.asked = self.agreed = False
        self.number = 0

    def stop(self, saved: str) -> None:
        """Raise Halted; `saved` says what is on disk."""
        raise Halted(f"{saved}; the same command continues from there", self.number or signal.SIGTERM)


@contextmanager
def delay_signals() -> Iterator[Halt]:
    """Record signals instead of obeying them; a second signal, ECHO_S later, has its usual effect.

    A signal that came too late for the block to act on has its usual effect once the block ends without an error.
    """
    halt = Halt()
    if threading.current_thread() is not threading.main_thread():
        yield halt
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
    since = 0.0

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal since
        if not halt.asked:
            halt.asked, halt.number, since = True, number, time.monotonic()
        elif time.monotonic() - since > ECHO_S:
            signal.signal(number, before[number])
            signal.raise_signal(number)

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup and background jobs expect it to stay so
            signal.signal(number, note)
    try:
        yield halt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if halt.asked:
        signal.raise_signal(halt.number)
