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
    """Calls `fetch(name)` while what lies ahead, and is not asked for yet, has at most `most` bytes of `sizes`.

    A thread lives for as long as there is something to fetch: none waits, and whoever forgets to close leaks none.
    """

    def __init__(self, fetch: Callable[[str], None], sizes: Mapping[str, int], most: int) -> None:
        self._fetch, self._sizes, self._most = fetch, sizes, most
        self._lock = threading.RLock()
        self._todo: deque[str] = deque()
        self._ahead: set[str] = set()  # begun or fetched, not asked for yet
        self._threads: set[threading.Thread] = set()
        self._closed = False

    def want(self, names: Sequence[str]) -> None:
        """Fetch these, in this order, instead of what was wanted before and has not begun."""
        with self._lock:
            self._ahead &= set(names)
            self._todo = deque(name for name in dict.fromkeys(names) if name not in self._ahead)
            self._start()

    def note_request(self, name: str) -> None:
        """Note that a file is being asked for: it no longer lies ahead."""
        with self._lock:
            self._ahead.discard(name)
            if name in self._todo:
                self._todo.remove(name)
            self._start()

    def close(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
        for thread in threads:
            thread.join(JOIN)

    def _start(self) -> None:
        while len(self._threads) < THREADS and (name := self._begun()) is not None:
            thread = threading.Thread(target=self._work, args=(name,), name="sar-data prefetch", daemon=True)
            self._threads.add(thread)
            thread.start()

    def _begun(self) -> str | None:
        """Take the next file, if it may be fetched already."""
        ahead = [*self._ahead, *islice(self._todo, 1)]
        fits = len(ahead) == 1 or sum(self._sizes.get(name, 0) for name in ahead) <= self._most
        if self._closed or not self._todo or not fits:
            return None
        self._ahead.add(name := self._todo.popleft())
        return name

    def _work(self, first: str) -> None:
        name: str | None = first
        while name is not None:
            try:
                self._fetch(name)
            except SarDataError:
                self.note_request(name)  # whoever asks for the file meets the same, and is told
            with self._lock:
                name = self._begun()
                if name is None:
                    self._threads.discard(threading.current_thread())
