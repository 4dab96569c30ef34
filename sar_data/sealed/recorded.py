"""The statistics that a sealed build has recorded."""

from __future__ import annotations

from sar_data.errors import BuildError, UsageError, unknown
from sar_data.sealed.documents import SplitStatistics
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import Build, layout_of
from sar_data.split.policy import SPLITS


def statistics(build: Build, split: str | None = None) -> dict[str, SplitStatistics]:
    """Return the figures of one split, or of all that hold samples, bands in the build's order.

    Raises UsageError for a split that does not exist or holds no sample, BuildError where none are recorded.
    """
    manifest = build.manifest
    names = filled(manifest, split)
    if manifest.statistics is None:
        raise BuildError(f"{build.path}: this build has no statistics recorded. `recompute=True` reads its pixels.")
    bands = layout_of(manifest).bands
    found = {name: manifest.statistics[name] for name in names}
    # JSON objects have no order, the bands do.
    return {
        name: figures.model_copy(update={"bands": {band: figures.bands[band] for band in bands}})
        for name, figures in found.items()
    }


def filled(manifest: Manifest, split: str | None = None) -> list[str]:
    """Return the splits that hold samples, or the one that is named; raise UsageError where that has none."""
    if split is not None and split not in manifest.splits:
        raise unknown("split", split, manifest.splits)
    names = [name for name in SPLITS if name in manifest.splits and manifest.splits[name].count]
    if split is None:
        return names
    if split not in names:
        raise UsageError(f"`split={split}`: this split is empty. There are: {', '.join(names) or 'none'}")
    return [split]
