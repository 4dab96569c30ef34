"""Run each install line of the pages in an empty environment, and import what it promises: `make test-install`."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tests.install.pages import extras, lines
from tests.places import ROOT

PROMISED = {
    "": "sar_data.cli sar_data.builder.itinerary sar_data.stream.dataset pipelines.bigearthnet_s1",
    "dask": "distributed",
    "flows": "flows.build flows.scenes flows.run",
    "keyring": "keyring",
    "remote": "s3fs",
    "testing": "sar_data.testing.formats sar_data.testing.pipelines",
    "scenes": "asf_search pystac_client sentinelsat",
    "train": "sar_data.torch sar_data.train timm torchvision segmentation_models_pytorch pycocotools.coco",
}
OWN = {"sar-data", "pip", "setuptools"}  # which no environment leaves to a resolver


def main() -> int:
    """Try every line; return how many failed."""
    pins = pinned((ROOT / "constraints.txt").read_text())
    failed = 0
    for line, pages in lines().items():
        print(f"pip install {line}  ({', '.join(pages)})", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            fault = tried(Path(folder), line, pins)
        print(f"  {fault or 'installed as pinned, and imported'}", flush=True)
        failed += fault is not None
    return failed


def tried(folder: Path, line: str, pins: dict[str, str]) -> str | None:
    """Run an install line in an empty environment; return what is wrong, None where nothing is."""
    venv.create(folder / "env", with_pip=True)
    python = str(folder / "env" / "bin" / "python")
    for command, cwd in (
        (["-m", "pip", "install", "--quiet", *shlex.split(line)], ROOT),
        (["-m", "pip", "check"], folder),
        (["-c", f"import {', '.join(promised(line))}"], folder),
        (["-m", "pip", "freeze"], folder),
    ):
        done = subprocess.run([python, *command], cwd=cwd, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{shlex.join(command)}: {done.stdout[-500:]}{done.stderr[-1500:]}"
    strangers = {name: version for name, version in pinned(done.stdout).items() if pins.get(name) != version}
    unpinned = [f"{name}=={version}" for name, version in strangers.items() if name not in OWN]
    return f"constraints.txt does not pin {', '.join(unpinned)}" if unpinned else None


def promised(line: str) -> list[str]:
    """Return the modules that an install line promises."""
    return [module for extra in ("", *extras(line)) for module in PROMISED[extra].split()]


def pinned(text: str) -> dict[str, str]:
    """Return distribution → version of lines as pip freezes them; a local version, as of a CPU build, is left out."""
    found = re.findall(r"^([\w.-]+)==([^+\s]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


if __name__ == "__main__":
    sys.exit(main())
