"""A rank of a training job: python -m torch.distributed.run --nproc-per-node 2 -m tests.stream.ddp BUILD OUT.

It leaves the keys that it saw in three epochs, and in the fourth rank 1 is killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from sar_data.torch import loader
from tests.mini.hang import HANG_S


def main(build: str, out: str) -> None:
    dist.init_process_group("gloo", timeout=timedelta(seconds=HANG_S))
    rank = dist.get_rank()
    seen: dict[str, list[str]] = {"train": [], "val": []}
    with loader(build, batch_size=5, seed=1) as train, loader(build, split="val", batch_size=7) as val:
        for _ in range(3):
            for batch in train:
                total = batch["image"].sum()
                dist.all_reduce(total)  # hangs if ranks had different numbers of batches
                seen["train"] += batch["key"]
            for batch in val:
                right = torch.stack([(batch["target"] == 0).float() @ batch["weight"], batch["weight"].sum()])
                dist.all_reduce(right)
                seen["val"] += [k for k, weight in zip(batch["key"], batch["weight"].tolist(), strict=True) if weight]
        Path(out, f"{rank}.json").write_text(json.dumps(seen))
        dist.barrier()
        for step, batch in enumerate(train):
            if rank == 1 and step == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            dist.all_reduce(batch["image"].sum())
    Path(out, f"{rank}.survived").touch()


if __name__ == "__main__":
    main(*sys.argv[1:])
