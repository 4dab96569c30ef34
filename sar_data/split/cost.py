"""The cost of a split: samples in buffers, and classes with unequal shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

BUFFER = "buffer: "
"""The prefix of the reason of samples that are too near to another split."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a split: `buffered` of `of` samples lie in buffers.

    `deviation` is the largest difference between the share of a class in one split and its share in all used samples,
    both from 0 to 1; `split` and `label` say where. It is None where there are no classes.
    """

    buffered: int
    of: int
    deviation: float | None = None
    split: str = ""
    label: str = ""

    def sentence(self) -> str:
        """Return the cost of the split in words."""
        lost = f"{self.buffered:,} of {self.of:,} samples ({self.buffered / max(self.of, 1):.1%}) lie in buffers"
        parts = [lost] if self.buffered else []
        if self.deviation is not None:
            points = f"up to {100 * self.deviation:.1f} points off ({self.label} in {self.split})"
            parts.append(f"class shares are {points if self.deviation else 'equal in all splits'}")
        return "; ".join(parts)


class Part(Protocol):
    """A split in a manifest: the number of its samples, and the share of them that carries each class."""

    @property
    def count(self) -> int: ...

    @property
    def class_shares(self) -> Mapping[str, float]: ...


def split_cost(parts: Mapping[str, Part], unused: Mapping[str, int]) -> Cost:
    """Return the cost of a split, given its parts by name, and the number of unused samples by reason."""
    filled = {name: part for name, part in parts.items() if part.count}
    used = sum(part.count for part in filled.values())
    buffered = sum(count for reason, count in unused.items() if reason.startswith(BUFFER))
    off: list[tuple[float, str, str]] = []
    for label in next(iter(filled.values())).class_shares if filled else ():
        share = sum(part.class_shares[label] * part.count for part in filled.values()) / used
        off += [(abs(part.class_shares[label] - share), name, label) for name, part in filled.items()]
    worst = max(off, key=lambda deviation: deviation[0], default=(None, "", ""))
    return Cost(buffered, used + buffered, *worst)
