"""The normalizations that there are, from presets.toml: one list for builds, loaders, training and pages."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from sar_data.errors import UsageError

QUANTILES = {"percentile": ("p1", "p99", 1.0), "robust": ("p25", "p75", 1.349)}
"""Kind → two percentiles of the train split, and what their distance is divided by."""
SELF_SCALED = ("grey", "range")
"""Kinds that clip an image to its own quantiles and stretch it."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One normalization: `kind`, the one `unit` that its `bands` (band → two figures) are of, and whether it clips.

    `about` says what it computes, `source` who does so, `warning` what it destroys. `unit_after` is that of the result:
    "1" around 0, "minmax" a fraction of a range.
    """

    name: str
    kind: str
    about: str
    source: str
    warning: str
    unit: str | None
    bands: Mapping[str, tuple[float, float]]
    clip: bool
    unit_after: Literal["1", "minmax"]

    @property
    def stretch(self) -> str | None:
        """What follows after values are shifted and scaled: "grey", "range", "clip" or nothing."""
        return self.kind if self.kind in SELF_SCALED else "clip" if self.clip else None

    @property
    def affine(self) -> bool:
        """Whether values become (x - a) / b by two figures of their band."""
        return self.kind not in SELF_SCALED

    @property
    def by_train(self) -> bool:
        """Whether its figures are those of a build's train split."""
        return self.affine and not self.bands

    def published_figures(self, band: str, unit: str | None) -> tuple[float, float]:
        """Return the two figures of a band; raise UsageError for another band or unit."""
        if band not in self.bands or unit != self.unit:
            raise UsageError(
                f"`normalize={self.name}`: expected {' and '.join(self.bands)} in {self.unit}, found {band} in "
                f"{unit or 'no unit'}"
            )
        return self.bands[band]

    def grey(self, band: str, unit: str | None) -> tuple[float, float]:
        """Return the value of grey level 0 and the span of all levels of a band; raises as `published_figures`."""
        mean, std = self.published_figures(band, unit)
        return mean - 2 * std, 4 * std

    def check(self, units: Mapping[str, str]) -> None:
        """Raise UsageError where figures are published and not of these bands, name → unit."""
        for band, unit in units.items() if self.bands else ():
            self.published_figures(band, unit)


@cache
def presets() -> dict[str, Preset]:
    """Return all normalizations by name."""
    rows = tomllib.loads((files("sar_data.normalization") / "presets.toml").read_text("utf-8"))
    return {
        name: Preset(
            name,
            row["kind"],
            row["is"],
            row["source"],
            row["warning"],
            row.get("unit"),
            {band: (float(pair[0]), float(pair[1])) for band, pair in row.items() if isinstance(pair, list)},
            row.get("clip", False),
            row["after"],
        )
        for name, row in rows.items()
    }
