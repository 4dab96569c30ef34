"""The part of train that a probe uses in place of val: a tenth of the train samples, in whole groups.

It depends on keys and groups alone, not on seed, order or number of ranks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xxhash

from sar_data.errors import UsageError

SHARE = 0.1  # the least share of the samples
MOST = 0.5  # the largest share of them, for groups may be large


def carve(keys: Sequence[str], groups: Sequence[str | None]) -> npt.NDArray[np.bool_]:
    """Return which samples are set aside, bool [sample].

    Groups (scenes, tiles or blocks) are taken whole, in the order of their names' hashes, until a tenth of the samples
    is reached; a group that would make it more than half is left out. A sample without a group is a group of its
    own, and so is each sample where all have the same group. Raises UsageError for fewer than two samples.
    """
    if len(keys) < 2:
        raise UsageError(f"select auto: expected at least 2 train samples to set one aside, found {len(keys)}")
    names = [f"key {key}" if group is None else f"group {group}" for key, group in zip(keys, groups, strict=True)]
    if len(set(names)) == 1:
        names = [f"key {key}" for key in keys]
    sizes, taken, count = Counter(names), set[str](), 0
    for name in sorted(sizes, key=lambda name: (xxhash.xxh3_64_intdigest(name.encode()), name)):
        if count >= SHARE * len(keys):
            break
        if count + sizes[name] <= MOST * len(keys):
            taken.add(name)
            count += sizes[name]
    return np.array([name in taken for name in names])
