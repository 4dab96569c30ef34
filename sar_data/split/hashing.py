"""Salted hashes of names: chance that is the same on every machine and in any order of records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import xxhash


def salted(names: Iterable[str], seed: int) -> npt.NDArray[np.uint64]:
    """Return the xxh3_64 of each name, salted by the seed, which may be any whole number."""
    # The seed is hashed first: any integer fits, and neighbouring seeds share nothing. The prefix keeps these
    # hashes apart from those that decide the order of samples in shards, else shards would sort by split.
    salt = xxhash.xxh3_64_intdigest(f"sar-data/split/{seed}".encode())
    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(name.encode(), salt) for name in names), dtype=np.uint64)


def hash_order(names: Sequence[str], seed: int) -> npt.NDArray[np.intp]:
    """Return the positions of the names in the order of their salted hashes."""
    hashes = salted(names, seed)
    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    if np.any(ranked[1:] == ranked[:-1]):
        # Two names with one hash would otherwise stand in the order in which they came.
        by_name = sorted(range(len(names)), key=lambda i: (int(hashes[i]), names[i]))
        return np.array(by_name, dtype=np.intp)
    return order
