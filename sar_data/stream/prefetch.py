"""Threads that fetch the files that will be asked for next, in order, and not too far ahead."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from sar_data.errors import SarDataError

THREADS = 4  # each holds one block in memory
JOIN = 5.0  # seconds; a thread that waits for a silent server ends by itself when it hears of the end


class Prefetch:
    """Calls `fetch(name)` while what lies ahead, and is not asked for yet, has at most `most` bytes of `sizes`."""

    def __init__(self, fetch: Callable[[str], None], sizes: Mapping[str, int], most: int) -> None:
        self._fetch, self._sizes, self._most = fetch, sizes, most
        self._change = threading.Condition()
        self._todo: deque[str] = deque()
        self._ahead: set[str] = set()  # begun or fetched, not asked for yet
        self._threads: list[threading.Thread] = []
        self._closed = False

    def want(self, names: Sequence[str]) -> None:
        """Fetch these, in this order, instead of what was wanted before and has not begun."""
        with self._change:
            self._ahead &= set(names)
            self._todo = deque(name for name in dict.fromkeys(names) if name not in self._ahead)
            while len(self._threads) < min(THREADS, len(self._todo)) and not self._closed:
                thread = threading.Thread(target=self._work, name="sar-data prefetch", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._change.notify_all()

    def asked(self, name: str) -> None:
        """Note that a file is being asked for: it no longer lies ahead."""
        with self._change:
            self._ahead.discard(name)
            if name in self._todo:
                self._todo.remove(name)
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
            while not self._closed and not self._may_begin():
                self._change.wait()
            if self._closed:
                return None
            self._ahead.add(name := self._todo.popleft())
            return name

    def _may_begin(self) -> bool:
        ahead = [*self._ahead, *islice(self._todo, 1)]
        return bool(self._todo) and (len(ahead) == 1 or sum(self._sizes.get(n, 0) for n in ahead) <= self._most)

    def _work(self) -> None:
        while (name := self._next()) is not None:
            try:
                self._fetch(name)
            except SarDataError:
                self.asked(name)  # whoever asks for the file meets the same, and is told
