"""Which patches of an image an encoder sees: a random share of them, by each sample's own random numbers.

As in MAE (He et al. 2022, arXiv:2111.06377): patches are sorted by uniform noise, the first int(L · (1 - ratio)) are
seen and the others are to be reconstructed.
"""

from __future__ import annotations

from torch import Tensor

from sar_data.errors import UsageError
from sar_data.train.augment.speckle import uniform


def seen(patches: int, ratio: float) -> int:
    """Return how many of an image's patches are seen; raise UsageError where none or all are."""
    kept = int(patches * (1 - ratio))
    if not 0 < kept < patches:
        raise UsageError(
            f"mask_ratio {ratio:g}: expected some of the {patches} patches of an image to be seen and some to be "
            f"masked, found {kept} seen"
        )
    return kept


def order(seeds: Tensor, patches: int) -> Tensor:
    """Return int64 [B, patches], a random order of each sample's patches, of which the first are seen.

    `seeds` int64 [B] decide the order: a sample has the same mask in any batch and on any rank.
    """
    return uniform(seeds, (patches,)).argsort(dim=1, stable=True)


def errors(predicted: Tensor, target: Tensor, order: Tensor, seen: int) -> Tensor:
    """Return float32 [B, L - seen]: the mean squared error of each patch that is not seen, of values [B, L, V]."""
    return (predicted.float() - target).square().mean(dim=2).gather(1, order[:, seen:])
