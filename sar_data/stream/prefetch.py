"""Threads that fetch the files that will be asked for next, in order, and not too far ahead."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from sar_data.errors import SarDataError

THREADS = 4  # each holds one block in memory
JOIN = 5.0  # seconds; a thread that waits for a silent server ends by itself when it hears of the end


class Prefetch:
    """Calls `fetch(name)`, which returns a file's bytes, while less than `most` bytes wait to be asked for."""

    def __init__(self, fetch: Callable[[str], int], most: int) -> None:
        self._fetch, self._most = fetch, most
        self._change = threading.Condition()
        self._todo: deque[str] = deque()
        self._wanted: set[str] = set()
        self._ahead: dict[str, int] = {}  # fetched, not asked for yet
        self._threads: list[threading.Thread] = []
        self._closed = False

    def want(self, names: Sequence[str]) -> None:
        """Fetch these, in this order, instead of what was wanted before and has not begun."""
        with self._change:
            self._wanted = set(names)
            self._ahead = {name: size for name, size in self._ahead.items() if name in self._wanted}
            self._todo = deque(name for name in dict.fromkeys(names) if name not in self._ahead)
            while len(self._threads) < min(THREADS, len(self._todo)) and not self._closed:
                thread = threading.Thread(target=self._work, name="sar-data prefetch", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._change.notify_all()

    def asked(self, name: str) -> None:
        """Note that a file is being asked for: it no longer lies ahead."""
        with self._change:
            self._wanted.discard(name)
            self._ahead.pop(name, None)
            self._change.notify_all()

    def close(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join(JOIN)

    def _next(self) -> str | None:
        with self._change:
            while not self._closed:
                if self._todo and sum(self._ahead.values()) < self._most:
                    if (name := self._todo.popleft()) in self._wanted:
                        return name
                else:
                    self._change.wait()
        return None

    def _work(self) -> None:
        while (name := self._next()) is not None:
            try:
                size = self._fetch(name)
            except SarDataError:
                continue  # whoever asks for the file meets the same, and is told
            with self._change:
                if name in self._wanted:
                    self._ahead[name] = size
