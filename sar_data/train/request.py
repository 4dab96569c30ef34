"""What a run, or a finished one, is asked for: values that check themselves, for command line, flows and Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sar_data.errors import unknown
from sar_data.train.preset import Preset, find, resolved
from sar_data.train.settings import JOBS, Settings

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """A training run on a sealed build.

    `job` is probe, finetune, segment or detect; `build` the folder of a sealed build, or its URL; `out` the folder of
    the run, in which an unfinished one goes on. `preset` is a published recipe by its name, or a .toml file; `settings`
    are the job's options that differ from it, by their names in sar_data/train/settings.py.

    Raises UsageError for a name that does not exist and for options that contradict each other.
    """

    job: str
    build: str | Path
    out: str | Path
    preset: str | None = None
    settings: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.job not in JOBS:
            raise unknown("job", self.job, JOBS)
        _ = self.options  # which are checked here

    @cached_property
    def recipe(self) -> Preset | None:
        """The preset, read."""
        return None if self.preset is None else find(self.preset)

    @cached_property
    def options(self) -> Settings:
        """All options of the job: those that were asked for, else the preset's, else the defaults."""
        return resolved(self.job, self.recipe, dict(self.settings or {}))


WHOSE = ("run", "build")


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest:
    """A finished run to be judged on one split of a build.

    `run` is its folder; `build` the folder of a sealed build of the same task, or its URL; `out` where the figures go,
    by default a folder in the run's. `normalize_by` says whose figures normalize the images: the run's own, of its
    train split, or the build's. `device` is cpu or cuda, by default a GPU where there is one.

    Raises UsageError for a name that does not exist.
    """

    run: str | Path
    build: str | Path
    split: str = "test"
    out: str | Path | None = None
    normalize_by: str = "run"
    device: str | None = None

    def __post_init__(self) -> None:
        if self.normalize_by not in WHOSE:
            raise unknown("normalize_by", self.normalize_by, WHOSE)
        if self.split not in SPLITS:
            raise unknown("split", self.split, SPLITS)
