"""What a training run is asked for: a frozen value that checks itself, the same for command line, flows and Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sar_data.errors import unknown
from sar_data.train.preset import Preset, find, resolved
from sar_data.train.settings import JOBS, Settings


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
