"""Build in a process of its own: python -m tests.mini.one_build DATASET SOURCE OUT CONTAINER WORKERS."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

from sar_data import catalog
from sar_data.runners import Processes, Serial
from tests.mini.builds import make


def main(dataset: str, source: str, out: str, container: str, workers: str) -> None:
    with Processes(int(workers)) if int(workers) else nullcontext(Serial()) as runner:
        build = make(catalog.pipeline(dataset), Path(source), Path(out), container=container, runner=runner)
    sys.stdout.write(f"{build.path}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
