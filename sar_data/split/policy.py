"""The interface of split policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Protocol, runtime_checkable

from sar_data.record import Record

SPLITS = ("train", "val", "test")
UNUSED = "unused"


@dataclass(frozen=True, slots=True)
class Assignment:
    """The outcome of a policy, in the order of the records.

    `split[i]` is train, val, test or unused; `reason[i]` is None unless unused. `bad` maps keys that the policy
    cannot place to the reason, for the caller's stop-or-quarantine decision (their split is unused). `notes`
    are facts for the manifest, such as the rows of each list.
    """

    split: Sequence[str]
    reason: Sequence[str | None]
    bad: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


LATER = "later"


def optional_parameter(default: Any) -> Any:
    """Return a field that was added after the first builds: at its default it is not part of their recipes."""
    return field(default=default, metadata={LATER: True})


def parameters_of(policy: object) -> dict[str, Any]:
    """Return the parameters of a policy by name, without later ones that are at their defaults."""
    if not is_dataclass(policy):
        return {}
    values = {parameter.name: (getattr(policy, parameter.name), parameter) for parameter in fields(policy)}
    return {
        name: value
        for name, (value, parameter) in values.items()
        if LATER not in parameter.metadata or value != parameter.default
    }


class Lists(Protocol):
    """Finds lists by name, beside the data or in a given folder."""

    def find(self, name: str) -> bytes | None:
        """Return the bytes of a list, or None where it is missing."""

    def where(self) -> str:
        """Say which folders were searched, for error messages."""


@runtime_checkable
class ByLists(Protocol):
    """A policy that needs lists."""

    def check_lists(self, lists: Lists) -> None:
        """Raise MissingList where one is missing, so that this is known before the scan."""


class SplitPolicy(Protocol):
    """A frozen value whose fields are the policy's parameters."""

    def assign(self, records: Sequence[Record], *, seed: int, lists: Lists) -> Assignment:
        """Place every record; raise SplitError or MissingList where that cannot be done."""
