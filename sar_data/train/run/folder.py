"""The folder of a run: its options, its results, and the state to continue from.

config.json          every resolved option, the model's input and output, the build (or the builds, and how they are
                     combined) and its digests, the weights and their hash, the environment
metrics.json         split → metric → value
predictions.parquet  one row a sample and split
log.jsonl            one row an epoch; curves.png and tensorboard/ show it
checkpoints/         last.pt, best.pt
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from sar_data import __version__
from sar_data.errors import BuildError, RunError, UsageError
from sar_data.system import durable, locks
from sar_data.system.regular import read_regular
from sar_data.train import documents
from sar_data.train.builds import OpenBuild
from sar_data.train.data import Data
from sar_data.train.documents import CONFIG, METRICS
from sar_data.train.preset import Preset
from sar_data.train.ranks import Ranks
from sar_data.train.settings import Settings

LOG = "log.jsonl"
# These may change when a run continues, for they change neither weights nor predictions.
FREE = (*("threads", "device", "checkpoint_every", "features", "metrics", "picture_format"), *("watch", "watch_every"))
TEXTS = ("path", "title", "licence", "citation", "evidence", "format", "split_policy")  # of a build
PACKAGES = ("torch", "torchvision", "timm", "segmentation-models-pytorch", "numpy")


class Folder:
    """The folder of one run at `path`; `say` gets a line now and then about the progress of the training."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self.path, self.say = path, say
        self.checkpoints = path / "checkpoints"
        self._board: Any = None
        self._lock: int | None = None

    @property
    def begun(self) -> bool:
        """Whether the run has its config.json, seen from this machine."""
        return (self.path / CONFIG).is_file()

    @property
    def finished(self) -> bool:
        """Whether the run ended and has its metrics."""
        return (self.path / METRICS).is_file()

    def begin(self, config: Mapping[str, Any]) -> None:
        """Write config.json, or check that the existing run has the same options; raise UsageError where it has others.

        A run that was refused before its first checkpoint has left only config.json, and begins again. Raises RunError
        while another process works in the folder, and for a link to a folder in it: files written there would be
        elsewhere.
        """
        with durable.explain_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock_folder()
            entries = list(self.path.iterdir())
        if linked := next((entry for entry in entries if entry.is_symlink() and entry.is_dir()), None):
            raise RunError(f"{linked}: expected a folder of the run, found a link: put the folder itself in its place")
        there = {entry.name for entry in entries if not entry.name.endswith(durable.PARTIAL)}
        if there and CONFIG not in there:
            raise UsageError(f"`out={self.path}`: expected a run or an empty folder, found other files")
        if len(there) > 1:
            self._check_same(documents.config(self.path), config)
        else:
            write(self.path / CONFIG, config)
        durable.sweep(self.path)
        durable.sweep(self.checkpoints)

    def _lock_folder(self) -> None:
        """Lock the folder until `close` or the end of this process; raise RunError where another process has it."""
        self._lock = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            free = locks.try_lock(self._lock)
        except OSError:
            return  # some shared file systems have no locks
        if not free:
            raise RunError(
                f"`out={self.path}`: another process works on this run: wait for it, or take another `out=…`;  "
                "several ranks are started by torchrun"
            )

    def _check_same(self, before: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        earlier, asked = (
            {
                **document["settings"],
                **document.get("together", {}),
                "job": document["job"],
                "build": document["build"]["content_digest"],
                "contents of weights": (document.get("weights") or {}).get("sha256"),
            }
            for document in (before, json.loads(json.dumps(config)))
        )
        names = sorted(earlier.keys() | asked.keys()) if earlier["job"] == asked["job"] else ["job"]
        other = [
            f"{name} was {earlier.get(name)}, now {asked.get(name)}"
            for name in names
            if name not in FREE and earlier.get(name) != asked.get(name)
        ]
        if other:
            raise UsageError(f"`out={self.path}` holds another run: {'; '.join(other)}. Take another `out=…`")
        ranks = [document.get("environment", {}).get("ranks", 1) for document in (before, config)]
        if ranks[0] != ranks[1]:
            self.say(
                f"{ranks[1]} ranks continue what {ranks[0]} began: a step has {ranks[1]} times `batch_size=…` samples"
            )

    def log(self, rows: Sequence[Mapping[str, Any]], epochs: int, score: str) -> None:
        """Write the log so far, its last row to TensorBoard, and say its loss, score and speed in a line."""
        self.record(rows)
        row = rows[-1]
        choice = "; test chooses the epoch, as published" if any(name.startswith("test_") for name in row) else ""
        shown = ", ".join(f"{name} {row[name]:.3f}" for name in ("loss", score) if name in row)
        self.say(
            f"epoch {row['epoch']} of {epochs}: {shown}; {row['samples_s']:,.0f} samples/s, "
            f"{row['waiting']:.1%} waiting{choice}"
        )

    def record(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the log so far, and its last row to TensorBoard."""
        durable.write(self.path / LOG, "".join(f"{json.dumps(row)}\n" for row in rows).encode(), sync=False)
        self._write_scalars(rows[-1])

    def rows(self) -> list[dict[str, Any]]:
        """Return the log, a row for each epoch; raise RunError where it cannot be read."""
        path = self.path / LOG
        try:
            return [json.loads(line) for line in read_regular(path).splitlines()] if path.exists() else []
        except (BuildError, ValueError, RecursionError) as error:
            raise RunError(f"{path}: expected the log of a run, cannot read it: {error}") from error

    def _write_scalars(self, row: Mapping[str, Any]) -> None:
        if self._board is None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(self.path / "tensorboard"), purge_step=row["epoch"])
        for name, value in row.items():
            if isinstance(value, float):
                self._board.add_scalar(name, value, row["epoch"])
        self._board.flush()

    def close(self) -> None:
        """Close the TensorBoard file and release the lock."""
        if self._board is not None:
            self._board.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def configuration(
    job: str, preset: Preset | None, settings: Settings, data: Data, *, resolved: Mapping[str, Any], **more: Any
) -> dict[str, Any]:
    """Return what config.json says: `resolved` is what the job took for options that were left to it.

    `departures` say in what the build differs from the one that the preset repeats. `more` are the weights' provenance
    and the numbers of parameters.
    """
    left = {
        **resolved,
        "bands": data.channels,
        "task": data.task.name if settings.labelled else None,
        "image_size": data.side,
        "device": data.ranks.device.type,
    }
    asked = settings.model_dump(mode="json")
    return {
        "job": job,
        "preset": preset.name if preset else None,
        "departures": _departures(preset, data) if preset else [],
        "settings": {
            **{name: left.get(name) if value is None else value for name, value in asked.items()},
            "select": data.select,
        },
        "input": data.input.model_dump(mode="json"),
        "build": describe_builds(data),
        **_together(data),
        **more,
        "environment": environment(data.ranks),
    }


def describe_builds(data: Data) -> dict[str, Any]:
    """Return the entry of config.json for a build, or for several: their texts joined, their samples added up."""
    each = [_describe_build(part) for part in data.builds.each]
    if len(each) == 1:
        return each[0]
    document: dict[str, Any] = {}
    for name in each[0]:
        texts = [str(part[name]) for part in each if part[name]]
        document[name] = (" + ".join(dict.fromkeys(texts)) if name in TEXTS else "+".join(texts)) or None
    splits = dict.fromkeys(name for part in each for name in part["samples"])
    return document | {"samples": {name: sum(part["samples"].get(name, 0) for part in each) for name in splits}}


def _describe_build(build: OpenBuild) -> dict[str, Any]:
    manifest = build.manifest
    names = ("dataset", "version", "variant", "title", "licence", "citation", "format", "evidence")
    digests = ("recipe_digest", "content_digest")
    return {
        "path": build.path,
        **{name: getattr(manifest, name) for name in (*names, *digests)},
        "split_policy": manifest.split_policy.policy,
        "samples": {name: split.count for name, split in manifest.splits.items()},
    }


def _together(data: Data) -> dict[str, Any]:
    """Return the entries of config.json for several builds and for duplicates left out; nothing for a build alone."""
    document: dict[str, Any] = {}
    if data.builds.members is not None:
        document["builds"] = [
            {
                "name": build.name,
                **_describe_build(build),
                "classes": member.classes,
                "figures": None if figures is None else dict(figures),
            }
            for build, member, figures in zip(data.builds.each, data.builds.members, data.figures, strict=True)
        ]
    if document or data.duplicates is not None:
        document["together"] = asdict(data.together)
    return document


def _departures(preset: Preset, data: Data) -> list[str]:
    """Return how each build differs from that of the preset; of several builds, each sentence with the build's name."""
    several = len(data.builds) > 1
    return [
        f"{build.name}: {text}" if several else text
        for build in data.builds.each
        for text in preset.departures(build.manifest, data.settings, data.channels)
    ]


def environment(ranks: Ranks) -> dict[str, Any]:
    """Return the entry of config.json for the machine and its packages."""
    return {
        "sar-data": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "device": torch.cuda.get_device_name(ranks.device) if ranks.device.type == "cuda" else platform.machine(),
        "ranks": ranks.world,
        "threads": torch.get_num_threads(),
    }


def write(path: Path, document: Any) -> None:
    """Write a JSON document atomically."""
    durable.write(path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
