"""Name the files that are long, and so may hold more than one idea: a warning, never a failure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.places import ROOT

MOST = {"sar_data": 400, "flows": 400, "pipelines": 150}


def warnings(root: Path = ROOT) -> Iterator[str]:
    """Yield a sentence for each file that has more lines than its folder's number."""
    for folder, most in MOST.items():
        for path in sorted((root / folder).rglob("*.py")):
            lines = len(path.read_text().splitlines())
            if lines > most:
                yield f"warning: {path.relative_to(root)} has {lines} lines, more than {most}"


if __name__ == "__main__":
    for warning in warnings():
        print(warning)
