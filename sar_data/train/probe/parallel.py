"""Independent pieces of work in parallel on a processor, with a share of its cores each.

Two matrix products at once with a thread each take as long as one after the other with both cores. The operations
between them are too small for several threads each, and take half the time where two threads run at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def run_parallel(work: Callable[[Piece], Result], pieces: Sequence[Piece], device: torch.device) -> list[Result]:
    """Return work(piece) of each piece, in their order, as many at a time as torch has threads on the processor.

    On a GPU they run one after the other. After an exception in a piece no other piece begins, and the exception is
    raised once the running pieces have ended.
    """
    threads = torch.get_num_threads()
    workers = min(threads, len(pieces)) if device.type == "cpu" else 1
    if workers < 2:
        return [work(piece) for piece in pieces]
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads // workers,)) as pool:
            futures = [pool.submit(work, piece) for piece in pieces]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(threads)  # otherwise later threads would have the workers' number
