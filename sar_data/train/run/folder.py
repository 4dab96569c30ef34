"""A run's folder: what was asked, what came out, and the state to go on from.

config.json          every resolved option, what the model takes and says, the build (or the builds, and how they are
                     one set) and its digests, the weights and their hash, the environment
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
from sar_data.train.builds import One
from sar_data.train.data import Data
from sar_data.train.documents import CONFIG, METRICS
from sar_data.train.preset import Preset
from sar_data.train.ranks import Ranks
from sar_data.train.settings import Settings

LOG = "log.jsonl"
# What may change when a run goes on, for it changes neither weights nor predictions.
FREE = (*("threads", "device", "checkpoint_every", "features", "metrics", "picture_format"), *("watch", "watch_every"))
SPOKEN = ("path", "title", "licence", "citation", "evidence", "format", "split_policy")  # of a build: words
PACKAGES = ("torch", "torchvision", "timm", "segmentation-models-pytorch", "numpy")


class Folder:
    """The folder of one run at `path`; `say` is told in a line how the training goes."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self.path, self.say = path, say
        self.checkpoints = path / "checkpoints"
        self._board: Any = None
        self._lock: int | None = None

    @property
    def begun(self) -> bool:
        """Say whether the run is there, seen from this machine."""
        return (self.path / CONFIG).is_file()

    @property
    def finished(self) -> bool:
        """Say whether the run ended and has its metrics."""
        return (self.path / METRICS).is_file()

    def begin(self, config: Mapping[str, Any]) -> None:
        """Write config.json, or check that the run that is there was asked for the same; raise UsageError otherwise.

        A run that was refused before its first checkpoint has left config.json alone, and begins anew. Raises RunError
        while another process is at work in the folder, and for a link in it to a folder: what is written there would
        be elsewhere.
        """
        with durable.explain_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._hold()
            entries = list(self.path.iterdir())
        if linked := next((entry for entry in entries if entry.is_symlink() and entry.is_dir()), None):
            raise RunError(f"{linked}: expected a folder of the run, found a link: put the folder itself in its place")
        there = {entry.name for entry in entries if not entry.name.endswith(durable.PARTIAL)}
        if there and CONFIG not in there:
            raise UsageError(f"`out={self.path}`: expected a run or an empty folder, found other files")
        if len(there) > 1:
            self._same(documents.config(self.path), config)
        else:
            write(self.path / CONFIG, config)
        durable.sweep(self.path)
        durable.sweep(self.checkpoints)

    def _hold(self) -> None:
        """Keep other processes out until `close`, or the end of this one."""
        self._lock = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            free = locks.try_lock(self._lock)
        except OSError:
            return  # some shared file systems have no locks
        if not free:
            raise RunError(
                f"`out={self.path}`: another process is at work on this run: wait for it, or take another `out=…`; "
                "several ranks are started by torchrun"
            )

    def _same(self, before: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        told, asked = (
            {
                **document["settings"],
                **document.get("together", {}),
                "job": document["job"],
                "build": document["build"]["content_digest"],
                "contents of weights": (document.get("weights") or {}).get("sha256"),
            }
            for document in (before, json.loads(json.dumps(config)))
        )
        names = sorted(told.keys() | asked.keys()) if told["job"] == asked["job"] else ["job"]
        other = [
            f"{name} was {told.get(name)}, now {asked.get(name)}"
            for name in names
            if name not in FREE and told.get(name) != asked.get(name)
        ]
        if other:
            raise UsageError(f"`out={self.path}` holds another run: {'; '.join(other)}. Take another `out=…`")
        ranks = [document.get("environment", {}).get("ranks", 1) for document in (before, config)]
        if ranks[0] != ranks[1]:
            self.say(
                f"{ranks[1]} ranks go on with what {ranks[0]} began: a step has as many times `batch_size=…` samples"
            )

    def log(self, rows: Sequence[Mapping[str, Any]], epochs: int, score: str) -> None:
        """Write the log so far, its last row to TensorBoard, and say of it loss, score and speed in a line of 80."""
        self.record(rows)
        row = rows[-1]
        told = "; test chooses the epoch, as published" if any(name.startswith("test_") for name in row) else ""
        shown = ", ".join(f"{name} {row[name]:.3f}" for name in ("loss", score) if name in row)
        self.say(
            f"epoch {row['epoch']} of {epochs}: {shown}; {row['samples_s']:,.0f} samples/s, "
            f"{row['waiting']:.1%} waiting{told}"
        )

    def record(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the log so far, and its last row to TensorBoard."""
        durable.write(self.path / LOG, "".join(f"{json.dumps(row)}\n" for row in rows).encode(), sync=False)
        self._scalars(rows[-1])

    def rows(self) -> list[dict[str, Any]]:
        """Return the log."""
        path = self.path / LOG
        try:
            return [json.loads(line) for line in read_regular(path).splitlines()] if path.exists() else []
        except (BuildError, ValueError, RecursionError) as error:
            raise RunError(f"{path}: expected the log of a run, cannot read it: {error}") from error

    def _scalars(self, row: Mapping[str, Any]) -> None:
        if self._board is None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(self.path / "tensorboard"), purge_step=row["epoch"])
        for name, value in row.items():
            if isinstance(value, float):
                self._board.add_scalar(name, value, row["epoch"])
        self._board.flush()

    def close(self) -> None:
        """End the TensorBoard file, and let others in."""
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
        "build": described(data),
        **_together(data),
        **more,
        "environment": environment(data.ranks),
    }


def described(data: Data) -> dict[str, Any]:
    """Return what config.json says of a build, or of several as one: their texts in a row, their samples added up."""
    each = [_described(one) for one in data.builds.each]
    if len(each) == 1:
        return each[0]
    found: dict[str, Any] = {}
    for name in each[0]:
        texts = [str(one[name]) for one in each if one[name]]
        found[name] = (" + ".join(dict.fromkeys(texts)) if name in SPOKEN else "+".join(texts)) or None
    splits = dict.fromkeys(name for one in each for name in one["samples"])
    return found | {"samples": {name: sum(one["samples"].get(name, 0) for one in each) for name in splits}}


def _described(one: One) -> dict[str, Any]:
    manifest = one.manifest
    names = ("dataset", "version", "variant", "title", "licence", "citation", "format", "evidence")
    digests = ("recipe_digest", "content_digest")
    return {
        "path": one.path,
        **{name: getattr(manifest, name) for name in (*names, *digests)},
        "split_policy": manifest.split_policy.policy,
        "samples": {name: split.count for name, split in manifest.splits.items()},
    }


def _together(data: Data) -> dict[str, Any]:
    """Return what config.json says of several builds, and of duplicates that are left out; nothing of a build alone."""
    found: dict[str, Any] = {}
    if data.builds.members is not None:
        found["builds"] = [
            {
                "name": one.name,
                **_described(one),
                "classes": member.classes,
                "figures": None if figures is None else dict(figures),
            }
            for one, member, figures in zip(data.builds.each, data.builds.members, data.figures, strict=True)
        ]
    if found or data.duplicates is not None:
        found["together"] = asdict(data.together)
    return found


def _departures(preset: Preset, data: Data) -> list[str]:
    """Return in what each build differs from the one that a preset repeats; of several, each sentence with its name."""
    several = len(data.builds) > 1
    return [
        f"{one.name}: {text}" if several else text
        for one in data.builds.each
        for text in preset.departures(one.manifest, data.settings, data.channels)
    ]


def environment(ranks: Ranks) -> dict[str, Any]:
    """Return what config.json says of the machine and its packages."""
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
