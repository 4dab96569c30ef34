"""Empty splits and missing classes of a random split, and a split that avoids them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from sar_data.errors import SplitError, UsageError
from sar_data.naming import few
from sar_data.record import Record
from sar_data.split.blocks import Blocks
from sar_data.split.drawn import Drawn, WholeUnits
from sar_data.split.policy import SPLITS, Assignment, SplitPolicy, parameters_of

MIN_SAMPLES = 3  # a class with as many samples could be in train, val and test
MAX_RECORDS = 50_000  # above this number other splits are not tried: some seconds at most


@dataclass(frozen=True, slots=True)
class MissingClasses:
    """Empty splits that should have samples, and the classes of MIN_SAMPLES samples that each other split lacks."""

    empty: tuple[str, ...]
    lacking: Mapping[str, tuple[int, ...]]

    @property
    def size(self) -> tuple[int, int]:
        """The numbers of empty splits and of missing classes; less is better, in this order."""
        return len(self.empty), sum(map(len, self.lacking.values()))

    def sentence(self, classes: Sequence[str]) -> str:
        """Return what is missing in words; empty where nothing is."""
        parts = [f"{' and '.join(self.empty)} {'are' if len(self.empty) > 1 else 'is'} empty"] if self.empty else []
        parts += [f"{part} has no {few([classes[label] for label in lost])}" for part, lost in self.lacking.items()]
        return "; ".join(parts)


def find_missing_classes(policy: Drawn, records: Sequence[Record], split: Sequence[str]) -> MissingClasses:
    """Return the empty splits and missing classes of records that a policy has split."""
    shares = zip(policy.homes.tolist(), policy.bins.tolist(), strict=True)
    parts = {SPLITS[home] for home, share in shares if share > 0}
    totals, counts = Counter[int](), {part: Counter[int]() for part in SPLITS if part in parts}
    for record, part in zip(records, split, strict=True):
        labels = next(iter(record.labels.values()), ()) if record.unused is None else ()
        totals.update(labels)
        if part in counts:
            counts[part].update(labels)
    filled = set(split)
    enough = sorted(label for label, count in totals.items() if count >= MIN_SAMPLES)
    lost = {part: tuple(label for label in enough if label not in of) for part, of in counts.items() if part in filled}
    return MissingClasses(
        tuple(part for part in counts if part not in filled), {part: of for part, of in lost.items() if of}
    )


def find_better_split(
    name: str, policies: Mapping[str, SplitPolicy], policy: Drawn, records: Sequence[Record], seed: int
) -> tuple[str, MissingClasses] | None:
    """Return the split that misses least, as an option's value, with what it misses; None for too many records.

    Smaller blocks, and units balanced by class, are tried first. Samples without units are tried only where a split is
    still empty, or train lacks a class. On a tie the first one wins, which may be the policy itself.
    """
    best: tuple[str, MissingClasses] | None = None
    alone = [
        (other, candidate) for other in ("stratified", "random") if isinstance(candidate := policies.get(other), Drawn)
    ]
    for candidates in (
        ([(name, candidate) for candidate in _variants(policy)], alone) if len(records) <= MAX_RECORDS else ()
    ):
        for other, candidate in candidates:
            with suppress(SplitError, UsageError):
                missing = find_missing_classes(candidate, records, candidate.draw(records, seed, {}).split)
                if best is None or missing.size < best[1].size:
                    best = _format_policy(other, candidate, policies), missing
                if missing.size == (0, 0):
                    return best
        if best and not best[1].empty and "train" not in best[1].lacking:
            return best
    return best


def _variants(policy: Drawn) -> Iterator[Drawn]:
    """Yield a policy, and similar ones that may miss less: with smaller blocks, with units balanced by class."""
    sizes = [policy.size] if isinstance(policy, Blocks) else []
    while sizes and sizes[-1] > 1:
        sizes.append(sizes[-1] - max(1, sizes[-1] // 5))
    for variant in [replace(policy, size=size) for size in sizes] if isinstance(policy, Blocks) else [policy]:
        yield variant
        if isinstance(variant, WholeUnits) and not variant.stratified:
            yield replace(variant, stratified=True)


def _format_policy(name: str, policy: Drawn, policies: Mapping[str, SplitPolicy]) -> str:
    """Return a policy as the value of the option: NAME, or NAME:parameter=value,…"""
    defaults, offered = parameters_of(type(policy)()), parameters_of(policies.get(name))
    changed = [
        f"{field}={'yes' if value is True else value}"
        for field, value in sorted(parameters_of(policy).items())
        if not value == defaults.get(field) == offered.get(field, value)
    ]
    return f"{name}:{','.join(changed)}" if changed else name


def warning(
    requested: tuple[str, SplitPolicy],
    policies: Mapping[str, SplitPolicy],
    records: Sequence[Record],
    placed: Assignment,
    seed: int,
    classes: Sequence[str],
) -> str:
    """Return what a random split misses, with a split that misses less; empty where it misses nothing."""
    name, policy = requested
    if not isinstance(policy, Drawn) or (missing := find_missing_classes(policy, records, placed.split)).size == (0, 0):
        return ""
    best = find_better_split(name, policies, policy, records, seed)
    if best is None or best[1].size >= missing.size:
        remedy = "more samples or other shares would fill it"
    else:
        remaining = best[1].sentence(classes)
        remedy = f"`split={best[0]}` {f'leaves less out: {remaining}' if remaining else 'leaves nothing out'}"
        if isinstance(policy, WholeUnits) and not best[0].startswith(name):
            remedy += ", but separates samples that belong together"
    units = "".join(f" ({placed.notes[word]:,} {word})" for word in ("blocks", "groups") if word in placed.notes)
    return f"split {name}{units}: {missing.sentence(classes)}: {remedy}"
