"""The normalizations that there are, from normalization.toml: one list for loaders, training and pages."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

QUANTILES = {"percentile": ("p1", "p99", 1.0), "robust": ("p25", "p75", 1.349)}
"""Kind → two percentiles of the train split, and what their distance is divided by."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One normalization: `kind`, the one `unit` that its `bands` (band → two figures) are of, and whether it clips.

    `told` is what is done, `source` who does so, `warning` what it destroys.
    """

    kind: str
    told: str
    source: str
    warning: str
    unit: str | None
    bands: Mapping[str, tuple[float, float]]
    clip: bool

    @property
    def stretch(self) -> str | None:
        """What follows after values are shifted and scaled: "grey", "range", "clip" or nothing."""
        return self.kind if self.kind in ("grey", "range") else "clip" if self.clip else None


@cache
def presets() -> dict[str, Preset]:
    """Return all normalizations by name."""
    rows = tomllib.loads((files("sar_data.stream") / "normalization.toml").read_text("utf-8"))
    return {
        name: Preset(
            row["kind"],
            row["is"],
            row["source"],
            row["warning"],
            row.get("unit"),
            {band: (float(pair[0]), float(pair[1])) for band, pair in row.items() if isinstance(pair, list)},
            row.get("clip", False),
        )
        for name, row in rows.items()
    }
