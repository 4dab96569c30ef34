"""What our own export says of itself: sar-data.json, beside the files of every target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, get_args

from sar_data.containers.layouts import DATES_FIELD, EXPORT_FILE
from sar_data.dtypes import STORED
from sar_data.errors import Reading, SourceError
from sar_data.record import Date
from sar_data.spec import Band, Task, TaskKind, Tree, Unit
from sar_data.system import strict_json

LONGEST = 1 << 24  # bytes of the document
LABELS = ("multiclass", "multilabel")
FACTS = ("group", "place", "orbit_pass", "relative_orbit", "time", "date", DATES_FIELD)
"""Columns of an export that say more of a sample."""
UNITS = frozenset(get_args(Unit))


@dataclass(frozen=True, slots=True, eq=False)
class ExportDocument:
    """Bands in order, tasks, type of pixels and frames of what was exported; `shape` is None where sizes differ."""

    bands: tuple[Band, ...]
    tasks: tuple[Task, ...]
    dtype: str
    frames: int
    shape: tuple[int, int] | None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the bands."""
        return tuple(band.name for band in self.bands)

    @property
    def labels(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The tasks with labels of images, each with its classes."""
        return tuple((task.name, tuple(task.classes)) for task in self.tasks if task.kind in LABELS)


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
        bands, tasks = tuple(map(_band, document["bands"])), tuple(map(_task, document["tasks"]))
        if any(len({item.name for item in items}) < len(items) for items in (bands, tasks)):
            raise ValueError("a band or a task twice")
        dtype, frames, shape = document.get("dtype", "float32"), document["frames"], document.get("shape")
        if dtype not in STORED or type(frames) is not int or frames < 1:
            raise ValueError(f"{frames!r:.20} frames of {dtype!r:.20}")
        if shape is not None:
            height, width = map(int, shape)
            shape = height, width
    if strange := [f"{band.name} in {band.unit!r:.20}" for band in bands if band.unit not in UNITS]:
        raise SourceError(
            f"{EXPORT_FILE}: expected values in {', '.join(sorted(UNITS))}, found {', '.join(strange)}: a "
            "normalization cannot be undone. Export the build that it was made of"
        )
    return ExportDocument(bands, tasks, dtype, frames, shape)


def _band(band: Mapping[str, Any]) -> Band:
    words = {name: str(band.get(name, "")) for name in ("polarization", "description", "calibration")}
    if str(band["unit"]) != band["unit"]:
        raise ValueError(f"a band in {band['unit']!r:.20}")
    terrain = band.get("terrain_corrected")
    return Band(
        name=str(band["name"]),
        unit=band["unit"],
        **words,
        terrain_corrected=terrain if terrain is None else bool(terrain),
    )


def _task(task: Mapping[str, Any]) -> Task:
    if task["kind"] not in get_args(TaskKind):
        raise ValueError(f"a task of the kind {task['kind']!r:.20}")
    return Task(name=str(task["name"]), kind=task["kind"], classes=tuple(map(str, task["classes"])))


def facts_of(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of a record that the cells of FACTS have; raise BadRecord for another value."""
    cells = {name: value for name, value in row.items() if value not in (None, "", [])}
    facts: dict[str, Any] = {name: str(cells[name]) for name in ("group", "place", "orbit_pass") if name in cells}
    with Reading(where, "a time with its zone, and the number of an orbit"):
        if "relative_orbit" in cells:
            facts["relative_orbit"] = int(cells["relative_orbit"])
        if (time := cells.get("time", cells.get("date"))) is not None:
            facts["time"] = _time(time)
    return facts | ({DATES_FIELD: _dates_of(cells[DATES_FIELD], where)} if DATES_FIELD in cells else {})


def _dates_of(value: Any, where: str) -> tuple[Date, ...]:
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
