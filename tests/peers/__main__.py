"""Read each export by the real package it is for: `make test-peers`, or `python -m tests.peers NAME …`.

Each peer has an environment in peers-out, made once, because some want an older numpy than ours. Its reader, a file
here that imports nothing of ours unless it says so, gets a folder and the facts of every sample, and fails where what
the package reads differs. A package that cannot be installed here is said to be not run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sar_data import catalog
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.exporters import Target, export
from sar_data.exporters.source import Source, labels_of
from sar_data.sealed.opened import Build
from tests.places import ROOT

OUT = ROOT / "peers-out"
TIMEOUT, INSTALL_TIMEOUT = 900, 3600  # seconds of a reader, of an installation of gigabytes


@dataclass(frozen=True, slots=True)
class Peer:
    """A package: what is installed, the reader, and what that gets: an export of a miniature, or the build itself."""

    needs: Sequence[str]
    reader: str
    dataset: str
    target: Target | None
    python: str = sys.executable
    ours: bool = False
    """Whether the reader imports sar_data, which is installed then, too."""
    writes: bool = False
    """Whether it writes containers into a folder, its third argument, each of which is imported then."""


PEERS = {
    "datasets": Peer(["datasets>=4", "pandas", "polars", "duckdb", "pillow"], "hf", "bigearthnet-s1-v2", "hf"),
    "configilm": Peer(
        ["configilm==0.7.1", "numpy<2", "pandas", "pyarrow>=13,<18", "lmdb<2", "safetensors"],
        "configilm",
        "bigearthnet-s1-v2",
        "configilm",
    ),
    "pycocotools": Peer(["pycocotools", "numpy", "pillow"], "coco", "ssdd", "coco"),
    "ultralytics": Peer(["ultralytics"], "yolo", "ssdd", "yolo"),
    "oriented-det": Peer(["oriented-det==0.4.1", "pytest", ".[train]"], "rotated_ap", "ssdd", None, ours=True),
    "tensorstore": Peer(["tensorstore", "numpy"], "tensorstore_arrays", "bigearthnet-s1-v2", None),
    "trainers": Peer(
        ["torchgeo", "lightning", "transformers", "accelerate", "torchdata", "pycocotools"],
        "trainers",
        "bigearthnet-s1-v2",
        None,
        ours=True,
    ),
    "terratorch": Peer(["terratorch"], "terratorch_tasks", "bigearthnet-s1-v2", None, python="python3.12", ours=True),
    "writers": Peer(
        ["webdataset", "datasets>=4", "safetensors", "lmdb", "numpy"],
        "writers",
        "bigearthnet-s1-v2",
        "npy",
        writes=True,
    ),
    "rasterio": Peer(["rasterio"], "geotiff", "bigearthnet-s1-v2", "geotiff"),
    "mlcroissant": Peer(["mlcroissant==1.1.1", "pyarrow"], "croissant", "bigearthnet-s1-v2", "croissant"),
}


def main(names: Sequence[str]) -> int:
    """Run the peers of these names, by default all; return how many failed."""
    failed = 0
    for name in names or PEERS:
        fault = run(name, PEERS[name])
        print(f"{name}: {fault or 'read as written'}", flush=True)
        failed += bool(fault) and not str(fault).startswith("not run")
    return failed


def run(name: str, peer: Peer) -> str | None:
    """Read what a peer is for; return what is wrong, "not run: …" where it cannot be installed, or None."""
    python = OUT / "env" / name / "bin" / "python"
    done = OUT / "env" / name / "done"
    needs = [*peer.needs, *(["."] if peer.ours else [])]
    if not done.exists() or done.read_text() != json.dumps(needs):
        shutil.rmtree(python.parents[1], ignore_errors=True)
        for command in ([peer.python, "-m", "venv", python.parents[1]], [python, "-m", "pip", "install", "-q", *needs]):
            if fault := _failure(command, timeout=INSTALL_TIMEOUT):
                return f"not run: {fault}"
        done.write_text(json.dumps(needs))
    made = miniature(peer.dataset)
    shutil.rmtree(OUT / "cache", ignore_errors=True)
    folder = made.path if peer.target is None else exported(peer.target, made)
    facts = OUT / f"{peer.dataset}.json"
    facts.write_text(json.dumps(list(facts_of(made))))
    written = OUT / "written"
    shutil.rmtree(written, ignore_errors=True)
    fault = _failure([python, ROOT / "tests/peers" / f"{peer.reader}.py", folder, facts, written], ours=peer.ours)
    return fault or (import_faults(made, written) if peer.writes else None)


def import_faults(made: Build, written: Path) -> str | None:
    """Build each container below a folder; return which have other samples than a build, None where none has."""
    shutil.rmtree(OUT / "imported", ignore_errors=True)
    wrong, expected = [], contents(made)
    for folder in sorted(written.iterdir()):
        again = build(
            BuildRequest(dataset=catalog.pipeline(made.manifest.dataset), source=folder, out=OUT / "imported")
        )
        same = again.manifest.content_digest == made.manifest.content_digest
        if contents(again) != expected if folder.name.startswith("pickles") else not same:
            wrong.append(folder.name)
    return f"other samples in {', '.join(wrong)}" if wrong else None


def contents(made: Build) -> Counter[str]:
    """Return split, labels and pixels of all samples, which containers without keys have."""
    return Counter(json.dumps([fact[name] for name in ("split", "labels", "sha256")]) for fact in facts_of(made))


def miniature(dataset: str) -> Build:
    """Return the build of a miniature, made once."""
    source = OUT / "raw" / dataset
    if not source.exists():
        catalog.synthesise(dataset)(source, count=120, seed=0)
    return build(BuildRequest(dataset=catalog.pipeline(dataset), source=source, out=OUT / "builds"))


def exported(target: Target, made: Build) -> Path:
    """Return the folder of an export, made each time."""
    folder = OUT / "exports" / f"{made.manifest.dataset}-{target}"
    shutil.rmtree(folder, ignore_errors=True)
    return export(target, made, folder).folder


def facts_of(made: Build) -> Iterable[dict[str, Any]]:
    """Yield key, split, names of labels, boxes, bands and the sha256 of the image [band, y, x] of every sample."""
    source = Source.of(made)
    task = made.manifest.tasks[0]
    for split in source.splits:
        for row, image, _ in source.samples(split):
            yield {
                "key": row["key"],
                "split": split,
                "labels": [task.classes[label] for label in labels_of(row, task)],
                "boxes": [item["box"] for item in row["objects"] or ()],
                "bands": list(source.layout.bands),
                "shape": image.shape,
                "crs": row["crs"],
                "sha256": hashlib.sha256(image.tobytes()).hexdigest(),
            }


def _failure(command: Sequence[str | Path], *, ours: bool = False, timeout: int = TIMEOUT) -> str | None:
    """Return the end of what a command that failed said, None for one that did not."""
    quiet = {"PYTHONWARNINGS": "ignore", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "YOLO_OFFLINE": "true"}
    environment = {**os.environ, **quiet, "HF_HOME": str(OUT / "cache"), "YOLO_CONFIG_DIR": str(OUT / "cache")}
    environment["PYTHONPATH"] = str(ROOT) if ours else ""
    words = list(map(str, command))
    try:
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{words[0]}: {error}"
    return None if done.returncode == 0 else " ".join((done.stderr or done.stdout).strip().splitlines()[-3:])[-600:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
