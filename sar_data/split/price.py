"""The price of a split: samples that are left out between its parts, and classes that its parts hold unequally."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BUFFER = "buffer: "
"""How the reasons of samples begin that are left out because they lie too near to another split."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a split costs: `buffered` of `of` samples lie in buffers.

    `deviation` is the largest distance of a class share in one split from that in all samples that are used, both from
    0 to 1; `split` and `label` name where. It is None where there are no classes.
    """

    buffered: int
    of: int
    deviation: float | None = None
    split: str = ""
    label: str = ""

    def sentence(self) -> str:
        """Return what the split costs, in words."""
        lost = f"{self.buffered:,} of {self.of:,} samples ({self.buffered / max(self.of, 1):.1%}) lie in buffers"
        parts = [lost] if self.buffered else []
        if self.deviation is not None:
            where = f" ({self.label} in {self.split})" if self.deviation else ""
            parts.append(f"class shares are up to {100 * self.deviation:.1f} points off{where}")
        return "; ".join(parts)


def price_of(counts: Mapping[str, int], shares: Mapping[str, Mapping[str, float]], unused: Mapping[str, int]) -> Price:
    """Return the price of a split, given the samples of each split, its class shares, and the unused by reason."""
    used = sum(counts.values())
    buffered = sum(count for reason, count in unused.items() if reason.startswith(BUFFER))
    filled = [name for name, count in counts.items() if count]
    off = [
        (abs(shares[name][label] - whole), name, label)
        for label in (shares[filled[0]] if filled else {})
        for whole in [sum(shares[name][label] * counts[name] for name in filled) / used]
        for name in filled
    ]
    return (
        Price(buffered, used + buffered, *max(off, key=lambda one: one[0])) if off else Price(buffered, used + buffered)
    )
