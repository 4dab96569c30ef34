"""The figures of several train splits together, by which images of any of their builds may be normalized."""

from __future__ import annotations

from collections.abc import Sequence

from sar_data.errors import BuildError
from sar_data.normalization.presets import QUANTILES, presets
from sar_data.sealed.documents import BandStatistics, Normalization, SplitStatistics
from sar_data.sealed.files import Files
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import Build
from sar_data.sealed.pooled import pooled_band, pooled_comoment, pooled_percentiles
from sar_data.sealed.samples import SAMPLES_NAME
from sar_data.sealed.strata import Stratum, strata
from sar_data.stream.channels import channel_of
from sar_data.stream.normalize import AFFINE, Figures, figures_of, in_unit


def joint_figures(
    builds: Sequence[tuple[Manifest, Files]], channels: Sequence[str], how: str, unit: str | None
) -> Figures | None:
    """Return the figures of some builds' train splits together, None where a normalization needs none.

    Raises BuildError where a build has not recorded what is needed, UsageError for what no build has.
    """
    first = in_unit(builds[0][0], unit)
    if how not in AFFINE or presets()[how].bands:
        return figures_of(first, channels, how)
    recorded = [_train(manifest, files) for manifest, files in builds]
    parts = [_distributions(files) for _, files in builds] if how in QUANTILES else []
    units = {band.name: band.unit for band in first.bands}
    pairs = [channel_of(channel, list(units)).bands for channel in channels]
    bands = {}
    for name in dict.fromkeys(name for pair in pairs for name in pair):
        stored = pooled_band(recorded, name, units[name])
        if parts:
            stored = stored.model_copy(update={"percentiles": pooled_percentiles(parts, name, units[name])})
        bands[name] = BandStatistics(count=stored.count, masked={}, stored=stored)
    moments = [pooled_comoment(recorded, (pair[0], pair[1])) for pair in pairs if len(pair) > 1]
    columns = {
        column: {name: value for name, band in bands.items() if (value := getattr(band.stored, column)) is not None}
        for column in ("mean", "std", "min", "max")
    }
    merged = {
        "statistics": {"train": SplitStatistics(bands=bands, co_moments=moments)},
        "normalization": Normalization.model_construct(None, units=units, **columns),
    }
    return figures_of(first.model_copy(update=merged), channels, how)


def _train(manifest: Manifest, files: Files) -> SplitStatistics:
    if manifest.statistics is None:
        raise BuildError(f"{files.folder}: expected statistics of its train split, found none: build it with them")
    return manifest.statistics["train"]


def _distributions(files: Files) -> Stratum:
    """Return the distributions of the train split's bands, which samples.parquet tells."""
    for name in (INDEX_NAME, SAMPLES_NAME):
        files.path(name)
    return strata(Build.open(files.folder), "split", "train")["train"]
