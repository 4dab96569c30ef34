"""What a drawn split leaves out, empty parts and classes that a part lacks, and a split that leaves out less."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from sar_data.errors import SplitError, UsageError
from sar_data.naming import few
from sar_data.record import Record
from sar_data.split.blocks import Blocks
from sar_data.split.drawn import Drawn, Whole
from sar_data.split.policy import SPLITS, Assignment, SplitPolicy, parameters_of

FEWEST = 3  # samples of a class that train, val and test can each have one of
MOST = 50_000  # records for which other splits are tried: some seconds at most


@dataclass(frozen=True, slots=True)
class Gaps:
    """Parts that have a share and no sample, and for each other one the classes of FEWEST samples that it lacks."""

    empty: tuple[str, ...]
    lacking: Mapping[str, tuple[int, ...]]

    @property
    def size(self) -> tuple[int, int]:
        """The numbers of empty parts and of lacking classes: a split with less is better, in this order."""
        return len(self.empty), sum(map(len, self.lacking.values()))

    def sentence(self, classes: Sequence[str]) -> str:
        """Say what is left out; nothing where nothing is."""
        said = [f"{' and '.join(self.empty)} {'are' if len(self.empty) > 1 else 'is'} empty"] if self.empty else []
        said += [f"{part} has no {few([classes[label] for label in lost])}" for part, lost in self.lacking.items()]
        return "; ".join(said)


def gaps_of(policy: Drawn, records: Sequence[Record], split: Sequence[str]) -> Gaps:
    """Return what the split of records by a policy leaves out."""
    shares = zip(policy.homes.tolist(), policy.bins.tolist(), strict=True)
    parts = {SPLITS[home] for home, share in shares if share > 0}
    known, found = Counter[int](), {part: Counter[int]() for part in SPLITS if part in parts}
    for record, part in zip(records, split, strict=True):
        labels = next(iter(record.labels.values()), ()) if record.unused is None else ()
        known.update(labels)
        if part in found:
            found[part].update(labels)
    filled = set(split)
    enough = sorted(label for label, count in known.items() if count >= FEWEST)
    lost = {part: tuple(label for label in enough if label not in of) for part, of in found.items() if part in filled}
    return Gaps(tuple(part for part in found if part not in filled), {part: of for part, of in lost.items() if of})


def better(
    name: str, policies: Mapping[str, SplitPolicy], policy: Drawn, records: Sequence[Record], seed: int
) -> tuple[str, Gaps] | None:
    """Return the split that leaves out least, as it is asked for, with what it does; None for too many records.

    Smaller blocks, and whole units by class, go before samples that are placed alone, which are tried only where a
    part is empty else, or train lacks a class. The first of equals is taken, which may be the policy itself.
    """
    found: tuple[str, Gaps] | None = None
    alone = [(other, one) for other in ("stratified", "random") if isinstance(one := policies.get(other), Drawn)]
    for tried in ([(name, one) for one in _alike(policy)], alone) if len(records) <= MOST else ():
        for other, one in tried:
            with suppress(SplitError, UsageError):
                gaps = gaps_of(one, records, one.draw(records, seed, {}).split)
                if found is None or gaps.size < found[1].size:
                    found = _spelled(other, one, policies), gaps
                if gaps.size == (0, 0):
                    return found
        if found and not found[1].empty and "train" not in found[1].lacking:
            return found
    return found


def _alike(policy: Drawn) -> Iterator[Drawn]:
    """Yield a policy, and others of its kind that may leave out less: of smaller blocks, of units by class."""
    sizes = [policy.size] if isinstance(policy, Blocks) else []
    while sizes and sizes[-1] > 1:
        sizes.append(sizes[-1] - max(1, sizes[-1] // 5))
    for one in [replace(policy, size=size) for size in sizes] if isinstance(policy, Blocks) else [policy]:
        yield one
        if isinstance(one, Whole) and not one.stratified:
            yield replace(one, stratified=True)


def _spelled(name: str, policy: Drawn, policies: Mapping[str, SplitPolicy]) -> str:
    """Return a policy as it is asked for: NAME, or NAME:parameter=value,…"""
    usual, offered = parameters_of(type(policy)()), parameters_of(policies.get(name))
    given = [
        f"{field}={'yes' if value is True else value}"
        for field, value in sorted(parameters_of(policy).items())
        if not value == usual.get(field) == offered.get(field, value)
    ]
    return f"{name}:{','.join(given)}" if given else name


def warning(
    asked: tuple[str, SplitPolicy],
    policies: Mapping[str, SplitPolicy],
    records: Sequence[Record],
    placed: Assignment,
    seed: int,
    classes: Sequence[str],
) -> str:
    """Return what a drawn split leaves out, with what leaves out less; nothing where it leaves nothing out."""
    name, policy = asked
    if not isinstance(policy, Drawn) or (gaps := gaps_of(policy, records, placed.split)).size == (0, 0):
        return ""
    found = better(name, policies, policy, records, seed)
    if found is None or found[1].size >= gaps.size:
        remedy = "more samples or other shares would fill it"
    else:
        left = found[1].sentence(classes)
        remedy = f"`split={found[0]}` {f'leaves less out: {left}' if left else 'leaves nothing out'}"
        if isinstance(policy, Whole) and not found[0].startswith(name):
            remedy += ", but parts what belongs together"
    units = "".join(f" ({placed.notes[word]:,} {word})" for word in ("blocks", "groups") if word in placed.notes)
    return f"split {name}{units}: {gaps.sentence(classes)}: {remedy}"
