"""The first and last step of every policy: unused records stay out, and each key is placed once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from sar_data.errors import SplitError, UsageError
from sar_data.record import Record
from sar_data.split.policy import SPLITS, UNUSED, Assignment

NAMES = (*SPLITS, UNUSED)
OUT = NAMES.index(UNUSED)

Codes = npt.NDArray[np.int8]


def usable(records: Sequence[Record]) -> list[int]:
    """Return the positions of the records that a policy may place: those without a reason to be unused.

    Raises SplitError where a key occurs twice, because a split contains every key exactly once.
    """
    if len({record.key for record in records}) != len(records):
        key, times = Counter(record.key for record in records).most_common(1)[0]
        raise SplitError(f"key {key!r}: expected once among the records, found {times} times: make the keys unique")
    return [i for i, record in enumerate(records) if record.unused is None]


def assignment(
    records: Sequence[Record],
    positions: Sequence[int],
    codes: Codes,
    *,
    reasons: Mapping[int, str] | None = None,
    bad: Mapping[str, str] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Assignment:
    """Return the assignment of all records, given that of the usable ones.

    `codes[j]` places `records[positions[j]]`: an index into SPLITS, or OUT for unused, whose reason is then
    `reasons[positions[j]]`. Records outside `positions` are unused for the reason that they carry.
    """
    split = [UNUSED] * len(records)
    reason: list[str | None] = [record.unused for record in records]
    for position, code in zip(positions, codes.tolist(), strict=True):
        split[position] = NAMES[code]
    for position, text in (reasons or {}).items():
        reason[position] = text
    return Assignment(split=split, reason=reason, bad=bad or {}, notes=notes or {})


TOLERANCE = 1e-9


def check_fractions(train: float, val: float, test: float) -> None:
    """Raise UsageError unless each share is in [0, 1], train is above 0 and all sum to 1 within 1e-9."""
    shares = dict(zip(SPLITS, (train, val, test), strict=True))
    given = ", ".join(f"{name}={share}" for name, share in shares.items())
    for name, share in shares.items():
        # Written so that NaN, which compares false with everything, is refused too.
        if not 0 <= share <= 1:
            raise UsageError(f"split fraction {name}: expected a number from 0 to 1, found {share} ({given})")
    if train == 0:
        raise UsageError(f"split fraction train: expected more than 0, found {given}: nothing could be trained on")
    total = math.fsum(shares.values())
    if abs(total - 1) > TOLERANCE:
        raise UsageError(f"split fractions: expected a sum of 1, found {total:.12g} ({given}): give all three")


def salted_hashes(names: Iterable[str], seed: int) -> npt.NDArray[np.uint64]:
    """Return the xxh3_64 of each name, salted by the seed, which may be any whole number."""
    # The seed is hashed first: any integer fits, and neighbouring seeds share nothing. The prefix keeps these
    # hashes apart from those that decide the order of samples in shards, else shards would sort by split.
    salt = xxhash.xxh3_64_intdigest(f"sar-data/split/{seed}".encode())
    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(name.encode(), salt) for name in names), dtype=np.uint64)


def hash_order(names: Sequence[str], seed: int) -> npt.NDArray[np.intp]:
    """Return the positions of the names in the order of their salted hashes."""
    hashes = salted_hashes(names, seed)
    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    if np.any(ranked[1:] == ranked[:-1]):
        # Names with equal hashes would otherwise stay in the order of the input.
        by_name = sorted(range(len(names)), key=lambda i: (int(hashes[i]), names[i]))
        return np.array(by_name, dtype=np.intp)
    return order
