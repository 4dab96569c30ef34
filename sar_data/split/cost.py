"""The cost of a split: samples in buffers, and classes with unequal shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

BUFFER = "buffer: "
"""The prefix of the reason of samples that are too near to another split."""
LOST = "{n} of {of} samples ({share}) lie in buffers"
OFF = "class shares are up to {points} points off ({label} in {split})"
EQUAL = "class shares are equal in all splits"


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

    def sentence(self, words: Callable[..., str] = str.format) -> str:
        """Return the cost of the split in words, which `words` may translate before it fills them in."""
        share = f"{self.buffered / max(self.of, 1):.1%}"
        parts = [words(LOST, n=f"{self.buffered:,}", of=f"{self.of:,}", share=share)] if self.buffered else []
        if self.deviation:
            parts.append(words(OFF, points=f"{100 * self.deviation:.1f}", label=self.label, split=self.split))
        elif self.deviation is not None:
            parts.append(words(EQUAL))
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
