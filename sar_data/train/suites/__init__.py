"""Published suites of tasks, as files: the preset of each task, the figure that is compared, and what was published."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

import pydantic

from sar_data.errors import unknown


class Task(pydantic.BaseModel):
    """A task of a suite. `supervised` are options of the small network, `published` is network → figure in per cent."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    name: str
    preset: str
    metric: str
    supervised: dict[str, Any]
    published: dict[str, float]


class Suite(pydantic.BaseModel):
    """Tasks under a name; `supervised` are options of the small network in all of them."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    about: str
    supervised: dict[str, Any]
    task: tuple[Task, ...]


def names() -> list[str]:
    """Return the suites that come with the package."""
    return sorted(entry.name[:-5] for entry in files(__name__).iterdir() if entry.name.endswith(".toml"))


def find(name: str) -> Suite:
    """Return a suite by its name; raise UsageError where there is none."""
    if name not in names():
        raise unknown("suite", name, names())
    return Suite(**tomllib.loads((files(__name__) / f"{name}.toml").read_text(encoding="utf-8")))
