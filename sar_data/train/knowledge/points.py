"""Knowledge points: cells that an encoder leans on, where they lie, and what a table says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sar_data.train.knowledge.regions import BACKGROUND, NAMES

THRESHOLD = 0.3  # SAR-HUB's, in nats below the background's mean


def points(entropy: Tensor, region: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Return bool [cells, cells]: cells whose noise has less entropy than the background's mean by the threshold.

    Where a chip has no background, the mean is of all cells.
    """
    background = region == BACKGROUND
    reference = entropy[background if background.any() else torch.ones_like(background)].mean()
    return reference - entropy > threshold


def row(key: str, split: str, entropy: Tensor, region: Tensor, found: Tensor) -> dict[str, Any]:
    """Return what the table says of a chip: cells, points and mean entropy of each region, and the points' shares."""
    total = int(found.sum())
    cells = {"key": key, "split": split, "cells": found.numel(), "points": total}
    for number, name in enumerate(NAMES):
        inside = region == number
        count = int((found & inside).sum())
        cells |= {f"cells_{name}": int(inside.sum()), f"points_{name}": count}
        cells[f"share_{name}"] = round(count / total, 4) if total else None
        cells[f"entropy_{name}"] = round(float(entropy[inside].mean()), 4) if inside.any() else None
    return cells


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the sums over all chips, and which share of points and of cells each region has."""
    found: dict[str, Any] = {"chips": len(rows)}
    for what in ("cells", "points"):
        total = sum(one[what] for one in rows)
        found[what] = total
        for name in NAMES:
            count = sum(one[f"{what}_{name}"] for one in rows)
            found[f"{what}_{name}"] = round(count / total, 4) if total else None
    return found
