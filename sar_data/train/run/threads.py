"""The threads of a job: as many as the cores that are its own, said at the start."""

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
def shared_out(reading: int | None, ranks: Ranks, say: Callable[[str], None]) -> Iterator[Threads]:
    """Let torch compute with this rank's share of the cores inside the block, and say how many threads there are.

    `reading` is the number of threads of the loader, None to choose it. A warning is logged where the cores have more
    work than they can do. Our own compiled loops need no share: each runs in the thread of the loader that calls it.
    """
    before = torch.get_num_threads()
    found = threads(os.environ, computing=before, gpu=ranks.device.type == "cuda", reading=reading)
    say(str(found))
    if found.warning is not None:
        log.warning("%s", found.warning)
    torch.set_num_threads(found.compute)
    with suppress(RuntimeError):  # torch takes this number once a process
        torch.set_num_interop_threads(found.compute)
    try:
        yield found
    finally:
        torch.set_num_threads(before)
