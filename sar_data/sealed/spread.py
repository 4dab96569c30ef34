"""The figures by which a normalization shifts and scales a band: those of the train split, or published figures."""

from __future__ import annotations

from sar_data.errors import BuildError
from sar_data.normalization.presets import QUANTILES, presets
from sar_data.sealed.manifest import Manifest


def spread(manifest: Manifest, band: str, how: str) -> tuple[float, float]:
    """Return what to subtract from the values of a band and what to divide them by, in the manifest's unit.

    A band that is constant in train has a divisor of 0. Raises UsageError where published figures are of other bands
    or of another unit, BuildError where the manifest has no figures.
    """
    preset, unit = presets()[how], next(item.unit for item in manifest.bands if item.name == band)
    if preset.bands:
        return preset.published_figures(band, unit)
    train = manifest.normalization
    if train is None:
        raise BuildError(
            f"`normalize={how}`: this build has no train statistics in this unit. Build or bake it with them, or "
            "`normalize=None`"
        )
    if how in QUANTILES:
        return _between(manifest, band, unit, how)
    if how == "zscore":
        return train.mean[band], train.std[band]
    if not {band} <= train.min.keys() & train.max.keys():
        raise BuildError(f"`normalize={how}`: {band} has no least value in {train.units[band]}: bake the unit")
    return train.min[band], train.max[band] - train.min[band]


def _between(manifest: Manifest, band: str, unit: str, how: str) -> tuple[float, float]:
    """Return what to subtract and what to divide by where these are percentiles of the train split."""
    low, high, width = QUANTILES[how]
    figures = manifest.statistics["train"].bands[band] if manifest.statistics else None
    domains = (figures.stored, figures.db, figures.power) if figures else ()
    recorded = next((domain.percentiles for domain in domains if domain is not None and domain.unit == unit), {})
    first, last, middle = (recorded.get(name) for name in (low, high, "p50"))
    if first is None or last is None or middle is None:
        raise BuildError(f"`normalize={how}`: no percentiles of {band} in {unit} are recorded: bake the unit")
    return (middle if how == "robust" else first), (last - first) / width
