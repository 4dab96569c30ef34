"""The report of finished runs as one page: what each was asked for, and what came out of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.errors import SarDataError
from sar_data.reports.build import beside, check_name
from sar_data.reports.page import drawn, render
from sar_data.reports.pictures import Picture, pictures
from sar_data.reports.rows import read as rows_of
from sar_data.reports.words import language_of
from sar_data.sealed.opened import Build
from sar_data.system import durable
from sar_data.train import charts, comparison, documents, predictions
from sar_data.train.comparison import Run
from sar_data.train.hardest import rightness, said
from sar_data.train.metrics import confusion
from sar_data.train.metrics.calibration import reliability_of
from sar_data.train.pictures import detections

MOST_RUNS = 8  # whose charts and samples are shown; tables have all
MOST_CLASSES = 30  # of a confusion matrix
MOST_BOXES = 250  # of a picture
SHOWN = 6  # samples, of the worst and of the best


@dataclass(frozen=True)
class Answers:
    """What is shown of a run's predictions of a split: confusion counts, reliability, worst and best samples."""

    classes: Sequence[str]
    matrix: list[list[int]]
    calibration: Mapping[str, Any]
    bins: charts.Bins
    sheets: dict[str, dict[str, str]] = field(default_factory=dict)
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    note: str = ""
    legend: Mapping[str, str] = field(default_factory=dict)


def report(runs: Path | str | Iterable[Path | str], *, out: Path | str | None = None, language: str = "en") -> Path:
    """Write the report of finished runs as one HTML page and return its path.

    That is `out`, or RUN.report.html beside the first run. `language` is en or zh. Raises RunError for a folder that is
    no finished run, UsageError for another language and for a name that does not end in .html.
    """
    found = comparison.opened([Path(runs)] if isinstance(runs, str | Path) else [Path(one) for one in runs])
    path = beside(found[0].path or Path()) if out is None else Path(out)
    check_name(path)
    spoken = language_of(language)
    splits = [name for name in ("test", "val") if any(name in documents.figures(run.metrics) for run in found)]
    figures = dict.fromkeys(name for run in found for name in documents.figures(run.metrics))
    parts = [name for split in splits for name in figures if name.startswith(f"{split}/")]  # of each of several builds
    shown = found[:MOST_RUNS]
    whole = render(
        "runs.html",
        spoken,
        runs=found,
        shown=shown,
        settings={run.name: list(_flat(run.config)) for run in shown},
        differing=comparison.differences(found) if len(found) > 1 else {},
        tables={split: _turned(*comparison.columns(found, split)) for split in (*splits, *parts)},
        tested=comparison.tested(found, splits[0]) if splits and len(found) > 1 else None,
        curves={run.name: charts.curves(documents.log(run.path)) for run in shown if run.path},
        answers={run.name: answered for run in shown if splits and (answered := answers(run, splits[0])) is not None},
        split=splits[0] if splits else "",
        size=(charts.WIDTH, charts.HEIGHT, charts.LEFT, charts.BOTTOM),
        mark=comparison.NOTE,
    )
    durable.write(path, whole)
    return path


def answers(run: Run, split: str) -> Answers | None:
    """Return what is shown of a run's predictions of a split, None where they were not kept."""
    if run.path is None or not (run.path / predictions.NAME).is_file():
        return None
    tables, classes = predictions.read(run.path / predictions.NAME)
    if split not in tables or not len(tables[split]):
        return None
    table = tables[split]
    calibration = documents.figures(run.metrics).get(split, {}).get("calibration")
    sheets = _sheets(table, classes)
    shown, note = _pictures(run, [key for sheet in sheets.values() for key in sheet])
    boxes = predictions.kind_of(table) == "detection"
    if boxes:
        rows = table.filter(pc.is_in(table["key"], pa.array(sorted(shown), pa.string()))).to_pylist()
        shown = {row["key"]: replace(shown[row["key"]], outlines=_outlines(row)) for row in rows}
    return Answers(
        classes=classes,
        matrix=_matrix(table, len(classes)),
        calibration=calibration if isinstance(calibration, Mapping) else {},
        bins=charts.reliability(reliability_of(table, classes)),
        sheets=sheets,
        pictures=shown,
        note=note,
        legend={text: detections.COLOURS[name] for name, text in detections.LEGEND.items()} if boxes else {},
    )


def _outlines(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a path and a colour for each box that is true or said of an image, as many as a picture has room for."""
    found = list[tuple[str, str]]()
    for name, prefix, number in detections.boxes_to_draw(row)[:MOST_BOXES]:
        points = " ".join(f"{x:.1f} {y:.1f}" for x, y in detections.outline(row, prefix, number))
        found.append((drawn(f"M{points}z"), detections.COLOURS[name]))
    return found


def _matrix(table: pa.Table, classes: int) -> list[list[int]]:
    """Return confusion counts [target, predicted]; none of several labels, of boxes, and of very many classes."""
    kind = predictions.kind_of(table)
    if classes > MOST_CLASSES or kind not in ("multiclass", "segmentation"):
        return []
    if kind == "segmentation":
        counts = predictions.confusions(table).sum(axis=0)
    else:
        counts = confusion(predictions.targets(table), predictions.scores(table).argmax(axis=1), classes)
    return [[int(count) for count in row] for row in counts]


def _sheets(table: pa.Table, classes: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the keys of the worst and of the best samples, each with what stands below it."""
    right = rightness(table)
    order = np.argsort(right, kind="stable")
    order = order[np.isfinite(right[order])]
    keys = table["key"].to_pylist()
    below = {row: f"{right[row]:.2f} {said(table, row, classes)}".strip() for row in order.tolist()}
    worst, best = order[:SHOWN].tolist(), order[::-1][: min(SHOWN, max(len(order) - SHOWN, 0))].tolist()
    return {name: {keys[row]: below[row] for row in rows} for name, rows in (("worst", worst), ("best", best)) if rows}


def _pictures(run: Run, keys: list[str]) -> tuple[Mapping[str, Picture], str]:
    """Return pictures of samples of a run's builds, and in words what they are or why there are none."""
    shown, notes = dict[str, Picture](), dict[str, None]()
    for one in documents.builds(run.config):
        before = f"{one['name']}/" if "name" in one else ""
        own, note = _pictures_of(one, [key.removeprefix(before) for key in keys if key.startswith(before)])
        shown |= {before + key: picture for key, picture in own.items()}
        notes[note] = None
    return shown, "; ".join(filter(None, notes))


def _pictures_of(about: Mapping[str, Any], keys: list[str]) -> tuple[Mapping[str, Picture], str]:
    try:
        build = Build.open(Path(about["path"]))
        if build.manifest.content_digest != about["content_digest"]:
            return {}, "another build lies where the run's was"
        index = rows_of(build).index
        return pictures(build, index.filter(pc.is_in(index["key"], pa.array(sorted(set(keys)), pa.string()))))
    except (SarDataError, OSError):
        return {}, "the build of the run is not there any more"


def _turned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[tuple[str, list[str]]]:
    """Return a table turned: a row a figure, a column a run, without the runs' names."""
    return [(name, [row[place] for row in rows]) for place, name in enumerate(head) if name != "run"]


def _flat(document: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}".removeprefix("settings."), "–" if value is None else _text(value)


def _text(value: Any) -> str:
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value)
