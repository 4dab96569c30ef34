"""Some images of a split by key, as its build stores them: for pictures, not for metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Images(Protocol):
    """Fetch float32 [C, H, W] of some keys, in physical units, masked pixels NaN; with the masks [H, W] or None."""

    def __call__(self, keys: Sequence[str]) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[Any] | None]]: ...
