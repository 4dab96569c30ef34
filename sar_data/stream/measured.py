"""The figures of derived bands that no build records: measured over the train splits, in one pass over their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sar_data.errors import BuildError, UsageError
from sar_data.sealed.files import Files, open_files
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import layout_of
from sar_data.sealed.pooled import pooled_moments
from sar_data.stream.channels import by_formula
from sar_data.stream.collection import Collection, open_collection
from sar_data.stream.joint import joint_figures
from sar_data.stream.normalize import AFFINE, Figures, figures_of, in_unit
from sar_data.stream.rows import largest

PIXELS = 1 << 22  # of a channel that are summed up at once


def measured_figures(
    builds: Sequence[str | Path], bands: Sequence[str], how: str = "zscore", unit: str | None = None
) -> Figures | None:
    """Return what normalizes channels of some builds together: recorded figures, and measured ones of formulas.

    Each channel has mean and standard deviation over the pixels of all train splits in which it has a value; None where
    a normalization needs no figures. Raises UsageError for a normalization that takes other figures of a formula, and
    BuildError where a channel has no value at all.
    """
    files = [open_files(build) for build in builds]
    try:
        parts = [(Manifest.load(part.folder), part) for part in files]
        names = [band.name for band in parts[0][0].bands]
        derived = by_formula(bands, names) if how in AFFINE else []
        if derived and how != "zscore":
            raise UsageError(f"`normalize={how}`: no figures are measured of {derived[0]}; `normalize=zscore` has them")
        recorded = _read_recorded(parts, [name for name in bands if name not in derived], how, unit)
        figures = dict(recorded or {}) | (_moments(builds, parts, derived) if derived else {})
    finally:
        for part in files:
            part.close()
    return {name: figures[name] for name in bands} if how in AFFINE else None


def _read_recorded(parts: Sequence[tuple[Manifest, Files]], bands: Sequence[str], how: str, unit: str | None) -> Any:
    if len(parts) == 1:
        return figures_of(in_unit(parts[0][0], unit), bands, how)
    return joint_figures(parts, bands, how, unit) if bands else None


def _moments(
    builds: Sequence[str | Path], parts: Sequence[tuple[Manifest, Files]], channels: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Return mean and standard deviation of some channels over the train splits, 1 where there is no deviation."""
    sums: dict[str, list[tuple[int, float, float]]] = {name: [] for name in channels}
    for build, (manifest, files) in zip(builds, parts, strict=True):
        pad = None if layout_of(manifest).shape else max(largest(files, manifest, ["train"]), 1)
        stored = open_collection(build, split="train", bands=channels, normalize=None, fill=None, pad=pad)
        try:
            _add(stored, sums)
        finally:
            stored.close()
    moments = {}
    for name, pieces in sums.items():
        if not pieces:
            raise BuildError(f"{name}: expected pixels of the train split in which it has a value, found none")
        counts, means, variances = (np.array(column, np.float64) for column in zip(*pieces, strict=True))
        mean, variance = pooled_moments(counts, means[:, None], variances[:, None, None])
        moments[name] = float(mean[0]), float(np.sqrt(variance[0, 0])) or 1.0
    return moments


def _add(stored: Collection, sums: dict[str, list[tuple[int, float, float]]]) -> None:
    """Add count, mean and variance of each piece of a split, by channel."""
    height, width = stored.shape[-2:]
    step = max(1, PIXELS // max(height * width, 1))
    for start in range(0, len(stored), step):
        rows = np.arange(start, min(start + step, len(stored)))
        planes = np.moveaxis(stored.batch(rows)["image"], -3, 0)
        for own, plane in zip(sums.values(), planes, strict=True):
            known = plane[np.isfinite(plane)].astype(np.float64)
            if known.size:
                own.append((known.size, float(known.mean()), float(known.var())))
