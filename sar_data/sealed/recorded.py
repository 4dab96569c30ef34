"""The statistics in the manifest of a sealed build."""

from __future__ import annotations

from sar_data.errors import BuildError, UsageError, unknown
from sar_data.sealed.documents import SplitStatistics
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import Build, layout_of
from sar_data.split.policy import SPLITS


def statistics(build: Build, split: str | None = None) -> dict[str, SplitStatistics]:
    """Return the figures of one split, or of all splits that have samples, with the bands in the build's order.

    Raises UsageError for a split that does not exist or has no sample, BuildError for a build without statistics.
    """
    manifest = build.manifest
    names = nonempty_splits(manifest, split)
    if manifest.statistics is None:
        raise BuildError(f"{build.place}: this build has no statistics recorded. `recompute=True` reads its pixels.")
    bands = layout_of(manifest).bands
    splits = {name: manifest.statistics[name] for name in names}
    # The objects of JSON have no order, but the bands have.
    return {
        name: figures.model_copy(update={"bands": {band: figures.bands[band] for band in bands}})
        for name, figures in splits.items()
    }


def nonempty_splits(manifest: Manifest, split: str | None = None) -> list[str]:
    """Return the splits that have samples, or only `split`; raise UsageError where it has none or does not exist."""
    if split is not None and split not in manifest.splits:
        raise unknown("split", split, manifest.splits)
    names = [name for name in SPLITS if name in manifest.splits and manifest.splits[name].count]
    if split is None:
        return names
    if split not in names:
        raise UsageError(f"`split={split}`: this split is empty. There are: {', '.join(names) or 'none'}")
    return [split]
