"""Presets: options under a name, as files; a preset of one's own is such a file, too."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import pydantic

from sar_data.errors import UsageError, unknown
from sar_data.train.settings import JOBS, Settings


class Preset(NamedTuple):
    """A preset file: the job it is for, what it repeats and where it differs, and the options it sets."""

    name: str
    job: str
    about: str
    settings: dict[str, Any]


def names() -> list[str]:
    """Return the presets that come with the package."""
    folder = files("sar_data.train") / "presets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def find(name: str) -> Preset:
    """Return a preset by name, or from a .toml file; raise UsageError where there is none, or it is not one."""
    if name.endswith(".toml"):
        path = Path(name)
        try:
            text = path.read_text()
        except OSError as error:
            raise UsageError(f"preset {name}: expected a file, {error.strerror or error}") from None
        name = path.stem
    elif name in names():
        text = (files("sar_data.train") / "presets" / f"{name}.toml").read_text()
    else:
        raise unknown("preset", name, names())
    try:
        document = tomllib.loads(text)
        return Preset(name, document["job"], document["about"], document["settings"])
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise UsageError(f"preset {name}: expected job, about and [settings] in TOML, found {error}") from None


def resolved(job: str, preset: Preset | None, given: dict[str, Any]) -> Settings:
    """Return a job's settings: what was given, else the preset's, else the defaults; UsageError where one is wrong."""
    if preset is not None and preset.job != job:
        raise UsageError(f"preset {preset.name} is for `{preset.job}`, not for `{job}`")
    try:
        return JOBS[job](**{**(preset.settings if preset else {}), **given})
    except pydantic.ValidationError as error:
        wrong = [(".".join(map(str, one["loc"])), one["msg"], one["input"]) for one in error.errors()]
        found = "; ".join(f"{name}: {message}, found {value!r}" for name, message, value in wrong)
        raise UsageError(f"{job}: {found}") from None
