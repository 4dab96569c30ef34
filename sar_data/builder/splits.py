"""What several splits of one source would come to, before one is chosen: leakage, samples lost, shares of classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sar_data.builder.prepare import leakage_of, shares_of
from sar_data.builder.scan import Scanned
from sar_data.errors import SourceError, SplitError, unknown
from sar_data.sealed.documents import PlannedSplit
from sar_data.sealed.leakage import Card, pair
from sar_data.spec import DatasetSpec, Pipeline
from sar_data.split.cost import Cost, split_cost
from sar_data.split.parse import parse, split_list
from sar_data.split.policy import SPLITS, UNUSED, ByLists, Lists, SplitPolicy


@dataclass(frozen=True, slots=True)
class SplitOutlook:
    """What a split would come to: samples by split and `unused`, its cost, and what test shares with train.

    `class_shares` are those of each split; `leakage` is of what records say. `failure` says why there is no such split,
    and then the rest is empty.
    """

    split: str
    counts: Mapping[str, int] = field(default_factory=dict)
    class_shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    leakage: Card = field(default_factory=dict)
    cost: Cost | None = None
    failure: str = ""

    def document(self) -> dict[str, Any]:
        """Return the outlook as JSON has it."""
        return asdict(self) | {"leakage": {name: figure.model_dump() for name, figure in self.leakage.items()}}


def policies_of(split: str | Sequence[str] | None, pipeline: Pipeline) -> list[tuple[str, SplitPolicy]]:
    """Return the policies that are asked for, each as it was said, or all that the dataset offers.

    `split` is a list of policies, or a text of them, "A,B". Raises UsageError for a split that does not exist.
    """
    asked = split_list(split) if isinstance(split, str) else split
    chosen = [(text, parse(text, pipeline.all_splits)[1]) for text in asked or pipeline.splits]
    if not chosen:
        raise unknown("split", "", pipeline.all_splits)
    return chosen


def split_outlook(
    text: str, policy: SplitPolicy, scanned: Scanned, spec: DatasetSpec, seed: int, lists: Lists
) -> SplitOutlook:
    """Return what a split of scanned records would come to."""
    try:
        if isinstance(policy, ByLists):
            policy.check_lists(lists)
        assignment = policy.assign(scanned.records, seed=seed, lists=lists)
    except (SourceError, SplitError) as error:
        return SplitOutlook(text, failure=str(error))
    counts = Counter(assignment.split)
    shares = shares_of(scanned.records, assignment, spec)
    parts = {name: PlannedSplit(count=counts[name], shard_length=1, class_shares=shares[name]) for name in SPLITS}
    unused = Counter(reason for reason in assignment.reason if reason is not None)
    return SplitOutlook(
        text,
        {name: counts[name] for name in (*SPLITS, UNUSED)},
        shares,
        pair(leakage_of(scanned.table, assignment)),
        split_cost(parts, unused),
    )
