"""Contradictions between the sections of a manifest: each section may be valid, and the whole still be impossible."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sar_data import formats
from sar_data.naming import few
from sar_data.split.policy import SPLITS

if TYPE_CHECKING:
    from sar_data.sealed.manifest import Manifest


def contradictions(manifest: Manifest) -> Iterator[str]:
    """Yield the contradictions of a manifest, each with its field; without them its sections agree."""
    container = formats.get(manifest.format)
    if container.one_shape and manifest.shape is None:
        yield f"shape: expected the one size that all images of {manifest.format} have, found none"
    if manifest.compression not in container.compressions:
        yield f"compression: expected one of {container.compressions}, found {manifest.compression!r}"
    if len({task.name for task in manifest.tasks}) != len(manifest.tasks):
        yield f"tasks: expected a name for each, found {few([task.name for task in manifest.tasks])}"
    if manifest.splits.keys() != set(SPLITS):
        yield f"splits: expected {', '.join(SPLITS)}, found {', '.join(manifest.splits) or 'none'}"
        return
    nonempty = [split for split in manifest.splits.values() if split.count]
    if len({frozenset(split.class_shares) for split in nonempty}) > 1:
        yield "splits: expected shares of the same classes in each, found others"
    yield from _statistics(manifest)
    yield from _normalization(manifest)


def _statistics(manifest: Manifest) -> Iterator[str]:
    if manifest.statistics is None:
        return
    bands = [band.name for band in manifest.bands]
    for name in SPLITS:
        split, figures = manifest.splits[name], manifest.statistics.get(name)
        if figures is None:
            if split.count:
                yield f"statistics: expected figures of {name}, which has {split.count} samples, found none"
            continue
        if figures.bands.keys() != set(bands):
            yield f"statistics.{name}.bands: expected {few(bands)}, found {few([*figures.bands])}"
        if unknown_bands := [band for pair in figures.co_moments for band in pair.bands if band not in bands]:
            yield f"statistics.{name}.co_moments: expected pairs of {few(bands)}, found {few(unknown_bands)}"


def _normalization(manifest: Manifest) -> Iterator[str]:
    figures = manifest.normalization
    if figures is None:
        return
    bands = [band.name for band in manifest.bands]
    for field, values in figures:
        if values.keys() != set(bands):
            yield f"normalization.{field}: expected {few(bands)}, found {few([*values])}"
            return
    if wrong := [band for band in bands if figures.min[band] > figures.max[band]]:
        yield f"normalization.min: expected at most the largest value of {few(wrong)}, found more"
    if manifest.statistics is not None and "train" not in manifest.statistics:
        yield "normalization: expected the figures of train in statistics, found none"
