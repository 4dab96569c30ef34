"""A builder of several containers that is killed again and again: each child process goes on and ends at a rename.

Called with the source, the folder of builds and a seed; prints how many were killed before one came to the end.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from sar_data.builder.itinerary import carry_out
from sar_data.builder.request import BuildRequest
from tests.mini import invented

SPARED = 16, 50  # renames of a child: its plans are written by twelve
CONTAINERS = ("lmdb", "webdataset", "zarr")


def asked(source: Path, out: Path) -> BuildRequest:
    return BuildRequest(
        dataset=invented.pipeline("segmentation"),
        source=source,
        out=out,
        format=CONTAINERS,
        split="random:train=0.6,val=0.2,test=0.2",
        shard_length=2,
    )


def main() -> None:
    source, out, drawn = Path(sys.argv[1]), Path(sys.argv[2]), random.Random(int(sys.argv[3]))
    carry_out(asked(source, out.with_name("first")))  # so that children import nothing
    killed = 0
    while not _ended(source, out, drawn.randrange(*SPARED)):
        killed += 1
    print(killed)


def _ended(source: Path, out: Path, spared: int) -> bool:
    """Build in a child that is killed at its next rename after some; say whether it came to the end."""
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code not in (0, -signal.SIGKILL):
            raise SystemExit(code)
        return code == 0
    left = iter(range(spared))

    def dying(rename: Any) -> Any:
        def act(*args: Any) -> None:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            rename(*args)

        return act

    os.replace, os.rename = dying(os.replace), dying(os.rename)
    carry_out(asked(source, out))
    os._exit(0)


if __name__ == "__main__":
    main()
