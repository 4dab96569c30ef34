"""Try each Python of pyproject.toml that is on the path: install the core, build a miniature, verify it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.places import ROOT

STEPS = (
    f"-m pip install --quiet --constraint {ROOT}/constraints.txt {ROOT}",
    "-m pip check",
    "-m sar_data synth eurosat-sar --out raw --count 40",
    "-m sar_data build eurosat-sar --source raw --out builds --split stratified",
    "-m sar_data verify latest --full",
)


def main() -> int:
    """Return how many versions failed; those that are not here are named."""
    failed = 0
    for version in versions():
        python = shutil.which(f"python{version}")
        fault = tried(python) if python else f"no python{version} on the path: skipped"
        print(f"Python {version}: {fault or 'builds and verifies'}", flush=True)
        failed += bool(python and fault)
    return failed


def versions() -> list[str]:
    """Return the versions that pyproject.toml names."""
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())


def tried(python: str) -> str | None:
    """Return what goes wrong with an interpreter in an empty environment, None where nothing does."""
    with tempfile.TemporaryDirectory() as folder:
        env = Path(folder) / "env"
        commands = [[python, "-m", "venv", str(env)]]
        environment = {**os.environ, "SAR_DATA_BUILDS": "builds"}
        commands += [[str(env / "bin" / "python"), *shlex.split(step)] for step in STEPS]
        for command in commands:
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                return f"{shlex.join(command)}: {done.stdout[-500:]}{done.stderr[-1500:]}"
    return None


if __name__ == "__main__":
    sys.exit(main())
