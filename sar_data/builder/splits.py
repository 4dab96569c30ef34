"""What several splits of one source would come to, before one is chosen: leakage, samples lost, shares of classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sar_data.builder.prepare import leakage_of, shares_of
from sar_data.builder.raw_statistics import fitting
from sar_data.builder.request import BuildRequest
from sar_data.builder.scan import Scanned, scan
from sar_data.errors import SourceError, SplitError, unknown
from sar_data.progress import Progress
from sar_data.runners import Runner
from sar_data.sealed.documents import PlannedSplit
from sar_data.sealed.leakage import Card, pair
from sar_data.sources.lists import ListFinder
from sar_data.spec import DatasetSpec
from sar_data.split.cost import Cost, split_cost
from sar_data.split.parse import parse
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


def outlooks(
    request: BuildRequest, splits: Sequence[str], runner: Runner, progress: Progress | None = None
) -> list[SplitOutlook]:
    """Return what each of some splits, or of all that the dataset offers, would come to; one scan serves all.

    Raises UsageError for a split that does not exist, and what a scan raises.
    """
    fit = fitting(request.pipeline, request.source, progress)
    policies = fit.pipeline.all_splits
    chosen = [(text, parse(text, policies)[1]) for text in splits or fit.pipeline.splits]
    if not chosen:
        raise unknown("split", "", policies)
    scanned = scan(
        fit.pipeline,
        fit.tree,
        runner=runner,
        bad_records=request.bad_records,
        bad_objects=request.bad_objects,
        limit=request.limit,
        progress=progress,
    )
    lists = ListFinder.beside(request.source, request.lists, fit.tree)
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
