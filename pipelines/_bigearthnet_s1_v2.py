"""The two tables of BigEarthNet v2.0: what they say of a patch, found by its Sentinel-1 name."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from sar_data.errors import BadRecord, SourceError
from sar_data.labels import corine, parquet
from sar_data.sources.tree import Tree

TABLE, MAPS = "metadata.parquet", "Reference_Maps"
SNOW = "metadata_for_patches_with_snow_cloud_or_shadow.parquet"
REASONS = {"contains_seasonal_snow": "seasonal snow", "contains_cloud_or_shadow": "cloud or shadow"}
COLUMNS = ("patch_id", "labels", "split", "country", *REASONS)
OFFICIAL = {"train": "train", "validation": "val", "test": "test"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the tables say: classes among the 19, the official split, why a patch is not recommended."""

    labels: tuple[int, ...]
    official: str
    why: str | None
    country: str
    s2_name: str


@functools.lru_cache(maxsize=4)
def beside(tree: Tree, top: str) -> tuple[parquet.Rows, parquet.Rows | None, str]:
    """Return the recommended patches' table, the others' and the place of the maps, in the scenes' folder or above."""
    parts = top.split("/") if top else []
    homes = ["".join(f"{part}/" for part in parts[:depth]) for depth in range(len(parts), -1, -1)]
    paths = {name: home + name for home in reversed(homes) for name in tree.files(home) if name in (TABLE, SNOW)}
    main, other = (parquet.read_rows(tree.read(p), p, "s1_name", COLUMNS) if (p := paths.get(name)) else None
                   for name in (TABLE, SNOW))  # fmt: skip
    maps = next((home + MAPS for home in homes if MAPS in tree.folders(home)), MAPS)
    if main is None:
        raise SourceError(f"expected {TABLE} beside BigEarthNet-S1/, found none: fetch it and put it there")
    return main, other, maps


def facts_of(tree: Tree, top: str, unit: str, key: str) -> Facts | None:
    """Return what the tables say of a patch; None where the first has no row and the second table is absent.

    Raise BadRecord where both are present and neither has a row, or where a row is not as published.
    """
    main, other, _ = beside(tree, top)
    row = main.get(key) or (other.get(key) if other else None)
    if row is None and other is None:
        return None
    if row is None:
        raise BadRecord(unit, f"expected a row of {key} in {TABLE} or {SNOW}, found none")
    if row["split"] not in OFFICIAL:
        raise BadRecord(unit, f"{TABLE}: expected a split of {', '.join(OFFICIAL)}, found {row['split']!r}")
    try:
        labels = corine.indices_19(row["labels"])
    except ValueError as error:
        raise BadRecord(unit, f"{TABLE}: {error}") from None
    why = "; ".join(reason for flag, reason in REASONS.items() if row[flag]) or None
    return Facts(labels, OFFICIAL[row["split"]], why, row["country"], row["patch_id"])
