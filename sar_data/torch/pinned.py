"""Pinned memory, which a GPU reads by itself: sending without waiting, and reuse no sooner than it was read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

MOST = 2  # batches whose copies may be under way


def block(size: int) -> Any:
    """Return uint8 [size] of pinned memory, as numpy sees it."""
    return torch.empty(size, dtype=torch.uint8, pin_memory=True).numpy()


def sent(values: Tensor, device: torch.device | None) -> Tensor:
    """Return a tensor on a device, without waiting for what a GPU is doing.

    It is copied to pinned memory, which torch keeps until it has been read; so this is for what is small.
    """
    if device is None or device.type != "cuda" or values.is_cuda:
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


class Flights:
    """Memory of our own that copies to a GPU may still read: it is let go once they have arrived, and never before.

    torch watches over pinned memory that it has handed out as a tensor, but not over arrays on it. `mark` notes that
    all copies so far were asked for, and returns what can be waited for until they are done.
    """

    def __init__(self, device: torch.device, mark: Callable[[], Any] | None = None) -> None:
        self._mark = mark or partial(_mark, device)
        self._under_way: deque[tuple[Any, Any]] = deque()

    def hold(self, source: object) -> None:
        """Keep what was just sent from, and wait for the copy before the last so that no more than MOST are held."""
        self._under_way.append((self._mark(), source))
        while len(self._under_way) > MOST:
            self._under_way[0][0].synchronize()
            self._under_way.popleft()


def _mark(device: torch.device) -> torch.cuda.Event:
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event
