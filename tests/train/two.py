"""Several jobs on the ranks of one start, the last of which loses a rank: a start costs more than a small job.

As a program: python -m torch.distributed.run --nproc-per-node 2 -m tests.train.two PLAN, a JSON list of {"job",
"build", "out", "settings", "together"}, or of what is asked of a "run" that ended before, or of a "row" of
tests/train/rows.py; with "typed" the job goes through the command line, with "dies" rank 1 is killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from sar_data.cli import main
from sar_data.train import training as runs
from sar_data.train.builds import Together
from sar_data.train.inference import embedding, evaluation
from sar_data.train.jobs import Batch
from sar_data.train.ranks import started
from sar_data.train.request import EmbedRequest, EvaluateRequest
from sar_data.train.settings import JOBS
from tests.train import cut, grouped
from tests.train.rows import ROWS, shrink


def options(settings: dict[str, Any]) -> list[str]:
    """Return settings as they are typed."""
    told = ((name, ",".join(value) or "none" if isinstance(value, list) else value) for name, value in settings.items())
    return [part for name, value in told for part in (f"--{name.replace('_', '-')}", str(value))]


def die(batch: Batch) -> None:
    if os.environ["RANK"] == "1":
        print("rank 1 dies", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


def take(plan: list[dict[str, Any]]) -> None:
    for one in plan:
        if one.get("dies"):
            runs.Data = cut.at(2, die)  # type: ignore[misc]
        if one.get("typed"):
            try:
                main(["train", one["job"], one["build"], "--out", one["out"], *options(one["settings"])])
            except SystemExit as ended:
                if ended.code:
                    raise
        elif "row" in one:
            row = ROWS[one["row"]]
            runs.run(row.preset.job, one["build"], one["out"], row.settings(), preset=row.preset, say=print)
        elif one["job"] == "evaluate":
            evaluation.carry_out(EvaluateRequest(run=one["run"], build=one["build"], out=one["out"]), say=print)
        elif one["job"] == "embed":
            embedding.carry_out(EmbedRequest(source=one["run"], build=one["build"], out=one["out"]), say=print)
        else:
            settings, together = JOBS[one["job"]](**one["settings"]), Together(**one.get("together", {}))
            runs.run(one["job"], one["build"], one["out"], settings, say=print, together=together)


if __name__ == "__main__":
    Figure.savefig = lambda *args, **options: None  # type: ignore[method-assign]  # nobody looks at these pictures
    grouped.register()
    shrink()
    with started("cpu"):  # one group of processes for all jobs
        take(json.loads(Path(sys.argv[1]).read_text()))
