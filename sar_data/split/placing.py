"""What every policy begins and ends with: records declared unused stay out, and each key is placed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sar_data.errors import SplitError
from sar_data.record import Record
from sar_data.split.policy import SPLITS, UNUSED, Assignment

NAMES = (*SPLITS, UNUSED)
OUT = NAMES.index(UNUSED)

Codes = npt.NDArray[np.int8]


def usable(records: Sequence[Record]) -> list[int]:
    """Return the positions that a policy may place: all but those whose record says why it is unused.

    Raises SplitError where a key occurs twice, since no split could then hold every key exactly once.
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
    """Return the outcome for all records from that of the usable ones.

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
