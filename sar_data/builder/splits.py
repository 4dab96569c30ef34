"""What several splits of one source would come to, before one is chosen: leakage, samples lost, shares of classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sar_data.builder.prepare import leakage_of, open_source, scan_source, shares_of
from sar_data.builder.request import BuildRequest
from sar_data.builder.scan import Scanned
from sar_data.errors import SourceError, SplitError, unknown
from sar_data.progress import Progress, Say
from sar_data.runners import Runner
from sar_data.sealed.documents import PlannedSplit
from sar_data.sealed.leakage import Card, pair
from sar_data.spec import DatasetSpec
from sar_data.split.cost import Cost, split_cost
from sar_data.split.parse import parse, split_list
from sar_data.split.policy import SPLITS, UNUSED, ByLists, Lists, SplitPolicy


@dataclass(frozen=True, slots=True)
class SplitOutlook:
    """What a split would come to: samples by split and `unused`, its cost, and what test shares with train.

    `leakage` is of what records say: pixels are not read. `failure` says why there is no such split, and then the rest
    is empty.
    """

    split: str
    counts: Mapping[str, int] = field(default_factory=dict)
    leakage: Card = field(default_factory=dict)
    cost: Cost | None = None
    failure: str = ""

    def document(self) -> dict[str, Any]:
        """Return the outlook as JSON has it."""
        return asdict(self) | {"leakage": {name: figure.model_dump() for name, figure in self.leakage.items()}}


def outlooks(
    request: BuildRequest,
    split: str | Sequence[str] | None,
    runner: Runner,
    progress: Progress | None = None,
    say: Say | None = None,
) -> list[SplitOutlook]:
    """Return what each of some splits, or of all that the dataset offers, would come to; one scan serves all.

    `split` is a list of policies, or a text of them, "A,B". Raises UsageError for a split that does not exist, and what
    preparing a build raises.
    """
    fit, lists = open_source(request, progress, say)
    policies = fit.pipeline.all_splits
    asked = split_list(split) if isinstance(split, str) else split
    chosen = [(text, parse(text, policies)[1]) for text in asked or fit.pipeline.splits]
    if not chosen:
        raise unknown("split", "", policies)
    scanned, fit = scan_source(request, fit, runner, progress, say)
    return [_outlook(text, policy, scanned, fit.pipeline.spec, request.seed, lists) for text, policy in chosen]


def _outlook(
    text: str, policy: SplitPolicy, scanned: Scanned, spec: DatasetSpec, seed: int, lists: Lists
) -> SplitOutlook:
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
        pair(leakage_of(scanned.table, assignment)),
        split_cost(parts, unused),
    )
