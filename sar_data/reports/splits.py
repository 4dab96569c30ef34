"""The splits: how many samples each has, and the share of each class in them."""

from __future__ import annotations

from dataclasses import dataclass

from sar_data.sealed.manifest import Manifest
from sar_data.split.policy import SPLITS

MOST_CLASSES = 60  # that have bars


@dataclass(frozen=True)
class Bars:
    """Shares by class and split, their largest, what they are of, and how many classes there was no room for."""

    of: str
    shares: dict[str, dict[str, float]]
    most: float
    more: int


def bars(manifest: Manifest) -> list[Bars]:
    """Return the shares of samples by class, and of pixels by class where there are masks."""
    splits = {name: manifest.splits[name] for name in SPLITS if name in manifest.splits and manifest.splits[name].count}
    charts = {"samples": {name: dict(split.class_shares) for name, split in splits.items()}}
    pixels = {}
    for name, split in splits.items():
        counts = split.mask_pixels or {}
        total = sum(counts.values())
        pixels[name] = {label: count / total for label, count in counts.items()} if total else {}
    charts["pixels"] = pixels
    return [chart for of, shares in charts.items() if (chart := _bars(of, shares)) is not None]


def _bars(of: str, shares: dict[str, dict[str, float]]) -> Bars | None:
    labels = list(dict.fromkeys(label for split in shares.values() for label in split))
    if not labels or not any(share for split in shares.values() for share in split.values()):
        return None
    first = next(iter(shares.values()))
    labels.sort(key=lambda label: -first.get(label, 0))
    shown = {label: {name: split.get(label, 0.0) for name, split in shares.items()} for label in labels[:MOST_CLASSES]}
    return Bars(of, shown, max(max(row.values()) for row in shown.values()), len(labels) - len(shown))
