"""The documents of a run as they are read back: a run may come from a stranger, and none of it is believed unseen.

Only what others lean on is looked at. Settings and what a model takes are checked where they are used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import pydantic

from sar_data.errors import BuildError, RunError
from sar_data.sealed.names import first_flaw
from sar_data.system.regular import read_regular

CONFIG, METRICS, LOG = "config.json", "metrics.json", "log.jsonl"
DEEPEST = 64  # objects and lists inside of each other
Figure = Annotated[float, pydantic.Field(ge=0, le=1e6)]


class _Document(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)


class _Build(_Document):
    path: str
    dataset: str
    version: str
    content_digest: str
    variant: str | None = None
    samples: dict[str, int] = pydantic.Field(default_factory=dict)


class _OneOf(_Build):
    name: str
    figures: dict[str, Annotated[list[float], pydantic.Field(min_length=2, max_length=2)]] | None = None


class _Weights(_Document):
    sha256: str | None = None


class _Environment(_Document):
    ranks: int = 1


class _Config(_Document):
    job: str
    preset: str | None = None
    settings: dict[str, Any]
    build: _Build
    builds: Annotated[list[_OneOf], pydantic.Field(min_length=2)] | None = None
    together: dict[str, Any] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _several_are_together(self) -> Self:
        if self.builds and not self.together:
            raise ValueError("builds: expected `together`, which says how they are one set")
        return self

    weights: _Weights | None = None
    environment: _Environment = _Environment()
    departures: list[str] = pydantic.Field(default_factory=list)


class _Probe(_Document):
    chosen: dict[str, Any] = pydantic.Field(default_factory=dict)


class _Thresholds(_Document):
    chosen_on: str
    values: dict[str, Annotated[float, pydantic.Field(gt=0, lt=1)]]


class _Selection(_Document):
    on: str | None = None


class _Metrics(_Document):
    departures: list[str] = pydantic.Field(default_factory=list)
    probe: _Probe = _Probe()
    thresholds: _Thresholds | None = None
    selection: _Selection | None = None


class _Prediction(_Document):
    said: dict[str, int]


class _Intervals(_Document):
    method: str | None = None


class _Calibration(_Document):
    ece: Figure | None = None
    brier: Figure | None = None


class _Figures(_Document):
    count: int
    intervals: _Intervals = _Intervals()
    calibration: _Calibration = _Calibration()
    fgmae_batched: dict[str, Any] = pydantic.Field(default_factory=dict)


def config(run: Path) -> dict[str, Any]:
    """Return config.json of a run; raise RunError where it is none."""
    return _checked(run / CONFIG, _Config)


def metrics(run: Path) -> dict[str, Any]:
    """Return metrics.json of a finished run; raise RunError where it is none."""
    found = _checked(run / METRICS, _Metrics)
    for name, part in figures(found).items():
        _check(run / METRICS, _Figures, part, f"{name}.")
    return found


def builds(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what config.json says of each build of a run."""
    return config.get("builds") or [config["build"]]


def counts_said(path: Path) -> dict[str, int]:
    """Return how often a finished prediction says each class, by its document; raise RunError where it is none."""
    return dict(_checked(path, _Prediction)["said"])


def log(run: Path) -> list[dict[str, Any]]:
    """Return the rows of log.jsonl, an epoch each; none where there is no such file; RunError where it is another."""
    path = run / LOG
    if not path.exists():
        return []
    try:
        rows = [json.loads(line) for line in read_regular(path).splitlines()]
    except (BuildError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: expected the log of a run, cannot read it: {error}") from error
    if not all(isinstance(row, dict) and isinstance(row.get("epoch"), int) for row in rows):
        raise RunError(f"{path}: expected the log of a run, found rows without an epoch")
    return rows


def figures(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return split → figures, without what metrics.json says of the run as a whole."""
    return {name: part for name, part in metrics.items() if isinstance(part, Mapping) and "count" in part}


def read(path: Path) -> dict[str, Any]:
    """Return a JSON document; raise RunError where it is none."""
    try:
        found = json.loads(read_regular(path))  # NaN is a figure of some runs, and of no JSON of the standard
    except (BuildError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: expected the document of a run, cannot read it: {error}") from error
    if not isinstance(found, dict):
        raise RunError(f"{path}: expected the document of a run, found another one: no object")
    parts = [found]
    for _ in range(DEEPEST):
        parts = [part for one in parts if isinstance(one, dict | list) for part in _inside(one)]
        if not parts:
            return found
    raise RunError(f"{path}: expected the document of a run, found values within values without end")


def _inside(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def _checked(path: Path, form: type[_Document]) -> dict[str, Any]:
    found = read(path)
    _check(path, form, found)
    return found


def _check(path: Path, form: type[_Document], found: object, where: str = "") -> None:
    try:
        form.model_validate(found)
    except pydantic.ValidationError as error:
        raise RunError(
            f"{path}: expected the document of a run, found another one: {where}{first_flaw(error)}"
        ) from None
