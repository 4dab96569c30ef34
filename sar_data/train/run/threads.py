"""The threads of a job: as many as it has cores, logged at the start."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch

from sar_data.system.cores import Threads, threads
from sar_data.train.ranks import Ranks

log = logging.getLogger("sar_data.train")


@contextmanager
def share_cores(reading: int | None, ranks: Ranks, say: Callable[[str], None]) -> Iterator[Threads]:
    """Let torch compute with this rank's share of the cores inside the block, and say how many threads there are.

    `reading` is the number of threads of the loader, None to choose it. A warning is logged where there are more
    threads than cores. Our own compiled loops need no share: each runs in the thread of the loader that calls it.
    """
    before = torch.get_num_threads()
    numbers = threads(os.environ, computing=before, gpu=ranks.device.type == "cuda", reading=reading)
    say(str(numbers))
    if numbers.warning is not None:
        log.warning("%s", numbers.warning)
    torch.set_num_threads(numbers.compute)
    with suppress(RuntimeError):  # torch takes this number once a process
        torch.set_num_interop_threads(numbers.compute)
    try:
        yield numbers
    finally:
        torch.set_num_threads(before)
