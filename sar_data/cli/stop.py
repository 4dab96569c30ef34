"""Ctrl-C and SIGTERM: a command ends and reports what it keeps; one that does not is killed after a few seconds."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

GRACE_S = 4.0  # time for a shard in progress; shards with a proof are safe in any case
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal asked the command to stop."""


def _nothing() -> str:
    return "there is nothing to keep yet; the same command starts again"


@dataclass(slots=True)
class Note:
    """What is kept if the command is stopped now; a command that keeps something replaces `describe_kept`.

    `code` is the exit code once a signal has come.
    """

    describe_kept: Callable[[], str] = _nothing
    code: int | None = None


@contextmanager
def stoppable(note: Note) -> Iterator[None]:
    """Raise Stopped in the main thread at the first signal; a second one, or GRACE_S later, ends the process."""

    def stop(number: int, frame: FrameType | None) -> None:
        for other in SIGNALS:
            signal.signal(other, lambda again, frame: os._exit(128 + again))
        note.code = 128 + number
        timer = threading.Timer(GRACE_S, _end, (note,))
        timer.daemon = True
        timer.start()
        raise Stopped(signal.Signals(number).name)

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
    finally:
        # After a stop the handlers stay: a second signal while the workers end must not show a traceback.
        for number, handler in before.items() if note.code is None else ():
            signal.signal(number, handler)


def _end(note: Note) -> None:
    os.write(2, f"sar-data: stopped: {note.describe_kept()}\n".encode())
    os._exit(note.code or 1)


@contextmanager
def shield_children() -> Iterator[None]:
    """Shield child processes from stop signals: a terminal sends them to all, and the parent ends its children.

    Children inherit the mask. Another thread of the parent may still receive a signal, which is kept until the block
    ends: a pool that is closed while its workers start prints errors of the workers.
    """
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # its start would clear the mask (CPython 3.11)
    received: list[int] = []
    handlers = {number: signal.signal(number, lambda number, frame: received.append(number)) for number in SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])
