"""The families of published weights, from families.toml, read before torch is imported, for that takes seconds."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from sar_data.errors import unknown

UNKNOWN = "unknown"  # licence


@dataclass(frozen=True, kw_only=True)
class Family:
    """What is known of a family of files; families.toml says what each field means.

    `why` is the reason why a family does not load, "" for one that does.
    """

    name: str
    about: str
    files: str
    licence: str
    source: str
    torchgeo: str = ""
    models: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    unit: str = ""
    normalize: tuple[str, ...] = ()
    normalize_torchgeo: tuple[str, ...] = ()
    figures: str = ""
    forbids: str = ""
    steps: str = ""
    note: str = ""
    why: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what a person reads: all but the patterns."""
        hidden = ("files", "torchgeo", "figures")
        fields = {name: value for name, value in asdict(self).items() if name not in hidden}
        return {"name": fields.pop("name"), "is": fields.pop("about"), "loads": not self.why, **fields}


@cache
def families() -> dict[str, Family]:
    """Return all families by name, in the order in which file names are looked up."""
    text = files("sar_data.train").joinpath("families.toml").read_text(encoding="utf-8")
    return {name: _family(name, dict(fields)) for name, fields in tomllib.loads(text).items()}


def family(name: str) -> Family:
    """Return a family by name; raise UsageError for one that is none."""
    if name not in families():
        raise unknown("family of weights", name, families())
    return families()[name]


def _family(name: str, fields: dict[str, Any]) -> Family:
    lists = {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
    return Family(name=name, about=fields.pop("is"), **{**fields, **lists})
