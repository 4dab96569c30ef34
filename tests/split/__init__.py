"""Law of the split policies, with the small records and lists that its tests share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from sar_data.record import Record, SourceFile
from sar_data.split.policy import SPLITS, UNUSED, Assignment, SplitPolicy

Footprint = tuple[float, float, float, float]


class Shelf:
    """Lists in memory that remember what was asked for."""

    def __init__(self, lists: Mapping[str, bytes] | None = None) -> None:
        self.lists = dict(lists or {})
        self.asked: list[str] = []

    def find(self, name: str) -> bytes | None:
        self.asked.append(name)
        return self.lists.get(name)

    def where(self) -> str:
        return "the shelf"


def record(
    key: str,
    *labels: int,
    group: str | None = None,
    footprint: Footprint | None = None,
    crs: str | None = "EPSG:32633",
    unused: str | None = None,
    path: str | None = None,
    attrs: Mapping[str, str] | None = None,
) -> Record:
    return Record(
        key=key,
        files=(SourceFile(path or f"{key}.tif", 1),),
        labels={"classes": labels},
        group=group,
        footprint=footprint,
        crs=crs,
        unused=unused,
        attrs=attrs or {},
    )


def lattice(columns: int, rows: int, extent: float = 1200.0) -> list[Record]:
    """Return a full lattice of patches whose first corner lies on a block border."""
    return [
        record(
            f"{c}_{r}", c % 3, group=f"{c // 9}", footprint=(c * extent, r * extent, (c + 1) * extent, (r + 1) * extent)
        )
        for c in range(columns)
        for r in range(rows)
    ]


def place(
    policy: SplitPolicy, records: Sequence[Record], seed: int = 0, lists: Mapping[str, bytes] | None = None
) -> Assignment:
    """Assign, and check what holds for every policy: one split a key, and a reason exactly where unused."""
    result = policy.assign(records, seed=seed, lists=Shelf(lists))
    assert len(result.split) == len(result.reason) == len(records)
    assert set(result.split) <= {*SPLITS, UNUSED}
    for one, split, reason in zip(records, result.split, result.reason, strict=True):
        assert (reason is not None) == (split == UNUSED), one.key
        if one.unused is not None:
            assert (split, reason) == (UNUSED, one.unused)
            assert one.key not in result.bad
    return result


def counts(result: Assignment) -> Counter[str]:
    return Counter(result.split)


def by_key(records: Sequence[Record], result: Assignment) -> dict[str, tuple[str, str | None]]:
    return {r.key: (s, why) for r, s, why in zip(records, result.split, result.reason, strict=True)}
