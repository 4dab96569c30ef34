"""A split that is kept: the records of a sealed build stay where they are, and new ones find their places."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sar_data.errors import UsageError
from sar_data.record import Record
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.index_file import read_index
from sar_data.sealed.manifest import Manifest
from sar_data.split.drawn import Drawn
from sar_data.split.policy import Assignment, SplitPolicy


@dataclass(frozen=True, slots=True)
class Kept:
    """The split of each record of a sealed build, by key, and the build's content digest."""

    splits: Mapping[str, str]
    content_digest: str
    policy: Drawn

    def assign(self, records: Sequence[Record], seed: int) -> Assignment:
        """Place the records by the policy, those of the build where they were; note which build it is."""
        assignment = self.policy.keep(records, kept=self.splits, seed=seed)
        noted = {**assignment.notes["kept"], "content_digest": self.content_digest}
        return dataclasses.replace(assignment, notes={**assignment.notes, "kept": noted})


def kept(build: Path, dataset: str, name: str, policy: SplitPolicy) -> Kept:
    """Return what a sealed build holds of its split, to be kept by a policy that is called `name`.

    Raises UsageError where the build is of another dataset, or the policy is one that nothing moves.
    """
    manifest = Manifest.load(build)
    if manifest.dataset != dataset:
        raise UsageError(f"`keep={build}`: expected a build of {dataset}, found one of {manifest.dataset}")
    if not isinstance(policy, Drawn):
        raise UsageError(f"`keep={build}`: expected a split that draws, found {name}, which data that grow do not move")
    policy.check_keep()
    table = read_index(build / INDEX_NAME, ["key", "split"])
    return Kept(
        dict(zip(*(table[column].to_pylist() for column in ("key", "split")), strict=True)),
        manifest.content_digest,
        policy,
    )
