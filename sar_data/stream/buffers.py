"""Batch buffers that are reused, but never while anybody holds the batch."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.errors import UsageError

Bytes = npt.NDArray[np.uint8]
SPARE = 8  # free buffers kept


class Buffers:
    """Hands out arrays whose memory comes back when the last view of them is gone.

    Fresh memory costs a page fault every 4 kB, which takes longer than filling it. A ring that reuses buffers by
    count would change the batches of whoever keeps them; this one waits.
    """

    def __init__(self, allocate: Callable[[int], Bytes] = lambda size: np.empty(size, np.uint8)) -> None:
        self._allocate = allocate
        self._free: deque[Bytes] = deque(maxlen=SPARE)

    def array(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an uninitialised array; raise UsageError where there is no memory for it."""
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        try:
            block = self._free.pop()  # the last one freed is likely to be in the cache still
        except IndexError:
            block = None
        if block is None or len(block) < size:
            block = self._new(size)
        return np.asarray(_Lease(block, self._free))[:size].view(kind).reshape(shape)

    def _new(self, size: int) -> Bytes:
        try:
            return self._allocate(size)
        except (MemoryError, ValueError):  # the latter for more than an address can count
            raise UsageError(
                f"a batch, or an image of which a window is cut, needs {size / 1e9:.1f} GB of memory, which this "
                "machine does not give: choose a smaller `batch_size`, or windows by `crop`"
            ) from None


class _Lease:
    """The owner of an array's memory, as numpy sees it; gives the memory back when it dies."""

    __slots__ = ("_block", "_free")

    def __init__(self, block: Bytes, free: deque[Bytes]) -> None:
        self._block, self._free = block, free

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self._block.__array_interface__

    def __del__(self) -> None:
        self._free.append(self._block)
