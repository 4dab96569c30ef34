"""SIGTERM and Ctrl-C while training: the step is finished, all is saved, then the signal does what it always did."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from sar_data.errors import SarDataError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Halted(SarDataError):
    """A job was stopped by signal `number`, here or at another rank, after everything was saved."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class Halt:
    """`asked` is set by a signal here, `agreed` once all ranks know, which is after a step of theirs."""

    def __init__(self) -> None:
        self.asked = self.agreed = False
        self.number = 0

    def leave(self, saved: str) -> None:
        """Raise Halted."""
        raise Halted(f"{saved}; the same command goes on from there", self.number or signal.SIGTERM)


@contextmanager
def halting() -> Iterator[Halt]:
    """Note signals instead of obeying them; a second one of the same kind does what it always did."""
    halt = Halt()
    if threading.current_thread() is not threading.main_thread():
        yield halt
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, frame: FrameType | None) -> None:
        halt.asked, halt.number = True, number
        signal.signal(number, before[number])

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup and background jobs expect it to stay so
            signal.signal(number, note)
    try:
        yield halt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
