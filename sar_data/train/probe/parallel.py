"""Pieces of work that do not meet, side by side on a processor: its cores are dealt out to them.

Two matrix products of one thread each take as long as the two one after the other on both cores. All that lies between
them is too small to be shared out, and takes half the time where two threads do it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def abreast(work: Callable[[Piece], Result], pieces: Sequence[Piece], device: torch.device) -> list[Result]:
    """Return work(piece) of each piece, in their order, as many at a time as torch has threads on the processor.

    On a GPU they are done one after the other. What one of them raises is raised once those under way have ended; none
    is begun after it.
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
        torch.set_num_threads(threads)  # the workers' number would be that of threads to come
