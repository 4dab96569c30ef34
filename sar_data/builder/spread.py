"""By what a conversion normalizes: the train statistics of the pixels that it stores.

Where a conversion keeps every pixel and its unit, these are the statistics that the parent has. Where it crops, pads,
resizes or converts a unit first, the train split is read once more and counted after these steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from sar_data.builder.bake import Bake
from sar_data.builder.origin import Baked
from sar_data.errors import BuildError, UsageError
from sar_data.formats.storage import physical
from sar_data.normalization.presets import presets
from sar_data.progress import Progress
from sar_data.runners import Runner
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places_of
from sar_data.sealed.records import to_records
from sar_data.sealed.spread import spread
from sar_data.sealed.summary import normalization, summarise
from sar_data.statistics.stats import BandStats, merge
from sar_data.statistics.tally import Tally, survey
from sar_data.system.store import Place

CHUNK = 256  # records a task, as in a shard


def describe_changes(manifest: Manifest, bake: Bake) -> Manifest:
    """Return what a manifest would say of the bands once their units are converted, its figures left as they are."""
    bands = [band.model_copy(update={"unit": unit}) for band, (_, unit) in zip(manifest.bands, bake.units, strict=True)]
    return manifest.model_copy(update={"bands": bands})


def with_spread(bake: Bake, manifest: Manifest) -> Bake:
    """Return the bake with offset and divisor [band] of its normalization, none where each image has its own.

    `manifest` has the units and figures of what is stored. Raises UsageError for a band that is constant in train.
    """
    if bake.normalize is None or (preset := presets()[bake.normalize]).kind == "range":
        return bake
    grey = preset.kind == "grey"
    figures = [
        preset.grey(band.name, band.unit) if grey else spread(manifest, band.name, bake.normalize)
        for band in manifest.bands
    ]
    offset, divisor = zip(*figures, strict=True)
    with np.errstate(all="ignore"):
        factors = 1 / np.array(divisor, np.float32)
    if not np.isfinite(factors).all():
        raise UsageError(f"`normalize={bake.normalize}`: a band is constant in train, so it has no spread")
    return dataclasses.replace(bake, offset=offset, divisor=divisor)


def recorded_spread(bake: Bake, sealed: Place) -> Bake | None:
    """Return the bake with the figures of the build that was made so earlier, None where none stands there."""
    try:
        step = next((step for step in Build.open(sealed).manifest.applied if step.step == "normalize"), None)
    except BuildError:
        return None
    if step is None:
        return None
    return dataclasses.replace(bake, offset=tuple(step.parameters["offset"]), divisor=tuple(step.parameters["divisor"]))


def stored_spread(parent: Build, bake: Bake, train: pa.Table, runner: Runner, progress: Progress | None) -> Bake:
    """Return the bake with the train figures of what it stores before it normalizes.

    `train` has the planned rows of the train split. Raises UsageError for a band that has no valid pixel there, or one
    value.
    """
    stored = describe_changes(parent.manifest, bake)
    bands, units = (tuple(getattr(band, name) for band in stored.bands) for name in ("name", "unit"))
    before = Baked(parent, dataclasses.replace(bake, normalize=None, dtype=None))
    chunks = [train.slice(start, CHUNK) for start in range(0, len(train), CHUNK)]
    parts: list[BandStats] = []
    for part in runner.map(partial(_tally, before, bake.scale, units), chunks):
        parts.append(part)
        if progress:
            progress("count", min(len(parts) * CHUNK, len(train)), len(train))
    counted = merge(parts, units)
    figures = normalization(counted, bands)
    if figures is None:
        raise UsageError(f"`normalize={bake.normalize}`: a band has no valid pixel in train")
    outcome = {"normalization": figures, "statistics": {"train": summarise(counted, bands)}}
    return with_spread(bake, stored.model_copy(update=outcome))


def _tally(origin: Baked, scale: float | None, units: Sequence[str], rows: pa.Table) -> BandStats:
    tally = Tally(units)
    with origin.open() as reader:
        for record, place in zip(to_records(rows), places_of(rows["parent"].combine_chunks()), strict=True):
            pixels = reader.pixels(record, place)
            height, width = pixels.size
            image = pixels.image[..., :height, :width]
            tally.add(survey(physical(image, scale if image.dtype.kind == "i" else None), pixels.nodata))
    return tally.finish()
