"""What our own export says of itself: sar-data.json, beside the files of every target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, get_args

from sar_data.containers.layouts import EXPORT_FILE
from sar_data.dtypes import STORED
from sar_data.errors import Reading, SourceError
from sar_data.record import Date
from sar_data.spec import Tree, Unit
from sar_data.system import strict_json

LONGEST = 1 << 24  # bytes of the document
LABELS = ("multiclass", "multilabel")
UNITS = frozenset(get_args(Unit))


@dataclass(frozen=True, slots=True, eq=False)
class ExportDocument:
    """Units of the bands by name, in order, type of pixels, frames, classes of the tasks with labels of images."""

    units: Mapping[str, Unit]
    dtype: str
    frames: int
    tasks: Mapping[str, tuple[str, ...]]


def is_export(tree: Tree) -> bool:
    """Say whether a tree has the document of an export."""
    return EXPORT_FILE in tree.files()


@lru_cache(maxsize=4)
def export_document(tree: Tree) -> ExportDocument | None:
    """Return what the export in a tree says of itself, None where there is none.

    Raises BadRecord for a document that does not say it, SourceError for values that were normalized.
    """
    if not is_export(tree):
        return None
    with Reading(EXPORT_FILE, "the document of an export, with bands, frames and tasks"):
        document = strict_json.loads(tree.head(EXPORT_FILE, LONGEST))
        units = {str(band["name"]): band["unit"] for band in document["bands"]}
        if len(units) < len(document["bands"]):
            raise ValueError("a band twice")
        tasks = {
            str(task["name"]): tuple(map(str, task["classes"])) for task in document["tasks"] if task["kind"] in LABELS
        }
        dtype, frames = document.get("dtype", "float32"), document["frames"]
        if dtype not in STORED or type(frames) is not int or frames < 1:
            raise ValueError(f"{frames!r:.20} frames of {dtype!r:.20}")
    if strange := [f"{name} in {unit!r:.20}" for name, unit in units.items() if unit not in UNITS]:
        raise SourceError(
            f"{EXPORT_FILE}: expected values in {', '.join(sorted(UNITS))}, found {', '.join(strange)}: a "
            "normalization cannot be undone. Export the build that it was made of"
        )
    return ExportDocument(MappingProxyType(units), dtype, frames, MappingProxyType(tasks))


def dates_of(value: Any, where: str) -> tuple[Date, ...]:
    """Return the dates in a cell, a list or its JSON, () in an empty one; raise BadRecord, naming `where`."""
    with Reading(where, "a list of dates with role, time, platform and relative_orbit"):
        rows = strict_json.loads(value.encode()) if isinstance(value, str) and value else value
        return tuple(
            Date(
                role=str(row["role"]),
                time=_time(row["time"]),
                platform=None if row["platform"] is None else str(row["platform"]),
                relative_orbit=None if row["relative_orbit"] is None else int(row["relative_orbit"]),
            )
            for row in rows or ()
        )


def _time(value: Any) -> datetime | None:
    time = value if value is None or isinstance(value, datetime) else datetime.fromisoformat(value)
    if time is not None and time.tzinfo is None:
        raise ValueError(f"a time without a time zone: {value!r:.40}")
    return time
