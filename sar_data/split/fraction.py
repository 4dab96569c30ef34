"""The shares of train, val and test: the one place where they are checked."""

from __future__ import annotations

import math

from sar_data.errors import UsageError
from sar_data.split.policy import SPLITS

TOLERANCE = 1e-9


def check_fractions(train: float, val: float, test: float) -> None:
    """Raise UsageError unless each share is in [0, 1], train is above 0 and all sum to 1 within 1e-9."""
    shares = dict(zip(SPLITS, (train, val, test), strict=True))
    found = ", ".join(f"{name}={share}" for name, share in shares.items())
    for name, share in shares.items():
        # Written so that NaN, which compares false with everything, is refused as well.
        if not 0 <= share <= 1:
            raise UsageError(f"split fraction {name}: expected a number from 0 to 1, found {share} ({found})")
    if train == 0:
        raise UsageError(f"split fraction train: expected more than 0, found {found}: nothing could be trained on")
    total = math.fsum(shares.values())
    if abs(total - 1) > TOLERANCE:
        raise UsageError(f"split fractions: expected a sum of 1, found {total:.12g} ({found}): give all three")
