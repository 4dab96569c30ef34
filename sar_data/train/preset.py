"""Presets: options under a name, as files; a preset of one's own is such a file, too."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pydantic

from sar_data.errors import BuildError, UsageError, unknown
from sar_data.naming import MAX_NAMES
from sar_data.sealed.manifest import Manifest
from sar_data.system import strict_toml
from sar_data.system.regular import read_regular
from sar_data.train.settings import JOBS, Settings


class Repeated(pydantic.BaseModel):
    """The build that a preset repeats: one of some datasets, a variant, a split policy and its seed; None for any."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

    dataset: list[str] | None = None
    variant: str | None = None
    split: str | None = None
    seed: int | None = None

    def departures(self, manifest: Manifest) -> list[str]:
        """Say in what a build differs: a sentence each."""
        policy = manifest.split_policy
        found = {"dataset": manifest.dataset, "variant": manifest.variant, "split": policy.policy, "seed": policy.seed}
        return [
            f"{name}: the preset repeats {' or '.join(map(str, wanted))}, this build has {found[name]}"
            for name, value in self
            if value is not None and found[name] not in (wanted := value if isinstance(value, list) else [value])
        ]


class Preset(NamedTuple):
    """A preset file: the job it is for, what it repeats and where it differs, the build, and the options it sets."""

    name: str
    job: str
    about: str
    build: Repeated
    settings: dict[str, Any]

    def departures(self, manifest: Manifest, settings: Settings, channels: Sequence[str]) -> list[str]:
        """Say in what a run differs from what the preset repeats, but for its recipe: build, bands, normalization."""
        found = {"bands": list(channels), "normalize": settings.normalize}
        return self.build.departures(manifest) + [
            f"{name}: the preset repeats {_told(wanted)}, this run has {_told(value)}"
            for name, value in found.items()
            if (wanted := self.settings.get(name)) is not None and wanted != value
        ]


def _told(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def names() -> list[str]:
    """Return the presets that come with the package."""
    folder = files("sar_data.train") / "presets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def find(name: str) -> Preset:
    """Return a preset by name, or from a .toml file; raise UsageError where there is none, or it is not one."""
    if name.endswith(".toml"):
        try:
            data = read_regular(Path(name))
        except BuildError as error:
            raise UsageError(f"preset: expected a text file, {error}") from None
        name = Path(name).stem
    elif name in names():
        data = (files("sar_data.train") / "presets" / f"{name}.toml").read_bytes()
    else:
        raise unknown("preset", name, names())
    try:
        document = strict_toml.loads(data)
    except ValueError as error:  # errors of TOML and UTF-8
        raise UsageError(f"preset {name}: expected TOML, found {error!s:.200}") from None
    wanted = {"job": str, "about": str, "settings": dict}
    if wrong := [key for key, kind in wanted.items() if not isinstance(document.get(key), kind)]:
        raise UsageError(f"preset {name}: expected job and about as text and [settings], {wrong[0]} is not there so")
    try:
        build = Repeated.model_validate(document.get("build", {}))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            raise unknown(f"field of [build] in preset {name}", str(first["loc"][0]), Repeated.model_fields) from None
        kind, field = first["msg"].removeprefix("Input should be "), ".".join(map(str, first["loc"]))
        raise UsageError(f"preset {name}: build.{field}: expected {kind}, found {str(first['input'])[:80]!r}") from None
    return Preset(name, document["job"], document["about"], build, document["settings"])


def resolved(job: str, preset: Preset | None, given: dict[str, Any]) -> Settings:
    """Return a job's settings: what was given, else the preset's, else the defaults; UsageError where one is wrong."""
    if preset is not None and preset.job != job:
        raise UsageError(f"preset {preset.name} is for `{preset.job}`, not for `{job}`")
    try:
        return JOBS[job](**{**(preset.settings if preset else {}), **given})
    except pydantic.ValidationError as error:
        raise _refused(job, error.errors()) from None


def _refused(job: str, errors: Sequence[Any]) -> UsageError:
    """Return the error for options that a job refuses: a wrong word is answered with the right ones."""
    fields = JOBS[job].model_fields
    for error in errors:
        if error["type"] == "extra_forbidden":
            return unknown(f"option of {job}", str(error["loc"][0])[:80], fields)
        if error["type"] == "literal_error":
            (name,) = error["loc"]
            return unknown(name, str(error["input"])[:80], get_args(fields[name].annotation))
    return UsageError(f"{job}: {'; '.join(map(_wrong, errors[:MAX_NAMES]))}")


def _wrong(error: Any) -> str:
    """Say what is wrong with one option, or with several together."""
    if not error["loc"]:
        return str(error["ctx"]["error"])
    return f"{'.'.join(map(str, error['loc']))[:80]}: {error['msg'][:300]}, found {error['input']!r:.120}"
