"""What files of pixels cannot say: samples.csv, COCO documents of objects, and the dataset.toml that names them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sar_data.containers.layouts import DATES_FIELD
from sar_data.errors import UsageError
from sar_data.exporters import coco
from sar_data.exporters.source import Row, Source, labels_of
from sar_data.sealed.documents import TaskDocument
from sar_data.text import COMPUTED, csv_lines, literal

TABLE = "samples.csv"
PLAIN = ("group", "place", "orbit_pass", "relative_orbit", "crs")
KINDS = {"multiclass": "classification", "multilabel": "multilabel"}
"""Kind of a task with labels of images → its name in a declaration."""
COLUMNS = ["key", "split", "targets", "time", "dates", *PLAIN]
UNITS = ("dB", "power", "amplitude", "DN", "8-bit", "phase")


def check_names(source: Source) -> None:
    """Raise UsageError for a class whose name a table cannot have among others of its cell."""
    for task in _tasks_of(source):
        for name in task.classes:
            # Readers part a cell at both signs; a spreadsheet parts it too, and computes what looks like a formula.
            if set(name) & {";", "|"} or name.strip().startswith(COMPUTED):
                raise UsageError(
                    f"{task.name}: expected class names without ; and | that begin with none of = + - @, "
                    f"found {name[:80]!r}: {TABLE} cannot have it, but the target hf can"
                )


def write(source: Source, folder: Path, suffix: str) -> None:
    """Write the tables of images that lie in images/KEY`suffix`."""
    (folder / TABLE).write_text(csv_lines(_lines(source, suffix, _tasks_of(source))), encoding="utf-8")
    detection = next((task for task in source.manifest.tasks if task.kind == "detection"), None)
    if detection is not None:
        for split in source.splits:
            document = coco.document(source, split, detection.classes, f"images/{{key}}{suffix}")
            (folder / f"{split}.json").write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    if source.manifest.frames == 1:
        (folder / "dataset.toml").write_text(_declaration(source), encoding="utf-8")


def _tasks_of(source: Source) -> list[TaskDocument]:
    return [task for task in source.manifest.tasks if task.kind in KINDS]


def _lines(source: Source, suffix: str, tasks: list[TaskDocument]) -> Iterator[list[Any]]:
    yield ["image", "key", "split", *(task.name for task in tasks), "date", *PLAIN, DATES_FIELD]
    for row in source.index.select(COLUMNS).to_pylist():
        yield _line(row, f"images/{row['key']}{suffix}", tasks)


def _line(row: Row, image: str, tasks: list[TaskDocument]) -> list[Any]:
    names = (";".join(task.classes[label] for label in labels_of(row, task)) for task in tasks)
    date = "" if row["time"] is None else row["time"].isoformat()
    dates = json.dumps(row["dates"], default=datetime.isoformat) if row["dates"] else ""
    return [image, row["key"], row["split"], *names, date, *(row[name] for name in PLAIN), dates]


def _declaration(source: Source) -> str:
    """Return a dataset.toml of the first task, so that the folder is built again as a dataset of one's own."""
    manifest = source.manifest
    fields: dict[str, Any] = {
        "name": f"{manifest.dataset}-export",
        "title": manifest.title,
        "licence": manifest.licence,
        "citation": manifest.citation,
        "images": "images",
        "bands": [band.name for band in manifest.bands],
        "polarizations": [band.polarization for band in manifest.bands],
    }
    if all(band.unit in UNITS for band in manifest.bands):  # a normalized value has no unit that can be declared
        fields["unit"] = [band.unit for band in manifest.bands]
    fields |= {"table": TABLE, "image_column": "image", "split_column": "split", "split": "column"}
    for task in manifest.tasks[:1]:
        fields |= {"task": KINDS.get(task.kind, task.kind), "classes": task.classes}
        if task.kind in KINDS:
            fields |= {"labels": "table", "label_column": task.name}
        else:
            fields |= {"masks": "masks"} if task.kind == "segmentation" else {"boxes": "coco"}
    return "".join(f"{name} = {literal(value)}\n" for name, value in fields.items())
