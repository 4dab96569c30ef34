"""How much of what was published is here: n of N, by split and by class where the publisher says how many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from sar_data.errors import SourceError, UsageError
from sar_data.naming import few
from sar_data.record import Record
from sar_data.spec import DatasetSpec
from sar_data.split.policy import SPLITS

OFFICIAL = "official"  # the policy whose splits are those that were published


def counts_of(spec: DatasetSpec, records: Sequence[Record], split: Sequence[str], policy: str) -> dict[str, int]:
    """Return how many records there are of each split and class of which the publisher says how many there are."""
    counts = Counter[str](split) if policy == OFFICIAL else Counter[str]()
    if spec.tasks and (classes := spec.tasks[0].classes):
        counts.update(classes[label] for record in records for label in record.labels[spec.tasks[0].name])
    return {name: counts[name] for name in spec.published if policy == OFFICIAL or name not in SPLITS}


def describe_counts(spec: DatasetSpec, count: int, counts: Mapping[str, int]) -> str:
    """Return the sentence of how many records there are of those published; an empty one where nobody says."""
    if spec.samples is None:
        return ""
    parts = [f"{name} {n:,} of {spec.published[name]:,}" for name, n in counts.items()]
    some = [part for part, (name, n) in zip(parts, counts.items(), strict=True) if n < spec.published[name]]
    return f"{count:,} of {spec.samples:,} published records" + (f": {few(some)}" if some else "")


def check(spec: DatasetSpec, count: int, counts: Mapping[str, int]) -> None:
    """Raise SourceError where records that were published are missing, UsageError where nobody says how many."""
    if spec.samples is None:
        raise UsageError(f"`complete=True`: expected a dataset with a published count, found none of {spec.name}")
    if count < spec.samples or any(n < spec.published[name] for name, n in counts.items()):
        raise SourceError(
            f"`complete=True`: expected all published records, found {describe_counts(spec, count, counts)}"
        )
