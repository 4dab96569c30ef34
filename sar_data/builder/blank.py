"""Dates and masks of changes that show nothing: found in the pass over an image, told once a build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sar_data.progress import WARNING
from sar_data.record import IGNORE
from sar_data.sealed.documents import BlankSamples
from sar_data.sealed.manifest import Manifest
from sar_data.statistics.tally import Survey

REASONS: Mapping[str, str] = {
    "missing": "a band of a date without a valid pixel",
    "constant": "a band of a date with one single value",
    "unlabelled": "a mask without a labelled pixel",
    "unchanged": "a mask without a change",
}


def reasons(seen: Survey, frames: int, labelled: npt.NDArray[np.int64]) -> Iterator[str]:
    """Yield why a sample of some dates and a mask is blank; `labelled` [256] counts each value of the mask."""
    planes = seen.flat.reshape(len(seen.flat) * frames, -1)
    valid = np.True_ if seen.valid is None else seen.valid.reshape(planes.shape)
    low = planes.min(axis=1, where=valid, initial=np.inf)
    high = planes.max(axis=1, where=valid, initial=-np.inf)
    if (low > high).any():
        yield "missing"
    if (low == high).any():
        yield "constant"
    if not labelled[:IGNORE].any():
        yield "unlabelled"
    elif not labelled[1:IGNORE].any():
        yield "unchanged"


def documents(shards: Sequence[Mapping[str, Sequence[str]]]) -> dict[str, BlankSamples]:
    """Return count and first key of each reason, of the keys by reason of all shards in their order."""
    by_reason = {reason: [key for shard in shards for key in shard.get(reason, ())] for reason in REASONS}
    return {reason: BlankSamples(count=len(keys), first=keys[0]) for reason, keys in by_reason.items() if keys}


def describe(manifest: Manifest) -> str:
    """Return the one sentence that tells of all reasons; an empty one where no sample is blank."""
    blank = manifest.blank_samples
    parts = [f"{blank[reason].count:,} with {words}" for reason, words in REASONS.items() if reason in blank]
    if not parts:
        return ""
    total = sum(split.count for split in manifest.splits.values())
    first = next(blank[reason].first for reason in REASONS if reason in blank)
    return (
        f"{WARNING}of {total:,} samples some show nothing: {', '.join(parts)}; the first is {first}. Look whether "
        "files are missing or were cut (docs/sources.md)"
    )
