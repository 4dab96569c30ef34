"""Knowledge points: cells that an encoder depends on, where they lie, and their row in the table."""

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


def row(key: str, split: str, entropy: Tensor, region: Tensor, chosen: Tensor) -> dict[str, Any]:
    """Return the row of a chip: cells, points and mean entropy of each region, and the points' shares."""
    total = int(chosen.sum())
    cells = {"key": key, "split": split, "cells": chosen.numel(), "points": total}
    for number, name in enumerate(NAMES):
        inside = region == number
        count = int((chosen & inside).sum())
        cells |= {f"cells_{name}": int(inside.sum()), f"points_{name}": count}
        cells[f"share_{name}"] = round(count / total, 4) if total else None
        cells[f"entropy_{name}"] = round(float(entropy[inside].mean()), 4) if inside.any() else None
    return cells


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the sums over all chips, and the share of points and of cells in each region."""
    sums: dict[str, Any] = {"chips": len(rows)}
    for what in ("cells", "points"):
        total = sum(row[what] for row in rows)
        sums[what] = total
        for name in NAMES:
            count = sum(row[f"{what}_{name}"] for row in rows)
            sums[f"{what}_{name}"] = round(count / total, 4) if total else None
    return sums
