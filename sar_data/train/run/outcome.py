"""The results of a run: metrics.json with intervals, predictions.parquet, pictures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sar_data.sealed.index_file import read_index
from sar_data.sealed.leakage import INDEX_COLUMNS, Card, index_share
from sar_data.stream.normalize import units_of
from sar_data.train import documents
from sar_data.train.data import CARVED, Data
from sar_data.train.documents import METRICS
from sar_data.train.jobs import Judge
from sar_data.train.metrics import thresholds
from sar_data.train.metrics.batched import rescore_batches
from sar_data.train.metrics.jackknife import intervals
from sar_data.train.metrics.thresholds import Thresholds
from sar_data.train.pictures import curves
from sar_data.train.pictures.drawing import Drawing
from sar_data.train.predictions import NAME, of_build, told_apart
from sar_data.train.predictions import read as read_predictions
from sar_data.train.predictions import write as write_predictions
from sar_data.train.run.folder import Folder, write
from sar_data.train.settings import Classes

PUBLISHED = "test (as published)"  # stands beside each figure of the split that chose the epoch


def write_outcome(
    folder: Folder,
    job: Judge | None,
    data: Data,
    tables: Mapping[str, pa.Table],
    selection: Mapping[str, Any],
    **more: Any,
) -> dict[str, Any]:
    """Score the predictions of each split, write all results and return the metrics. Without a judge there are none.

    `selection` says more of how the best epoch or head was chosen; `more` goes into metrics.json unchanged.
    metrics.json is written last: a run that has it is finished.
    """
    _draw_log(folder, data)
    metrics = {} if job is None else score_splits(folder, job, data, tables)
    if departures := documents.config(folder.path)["departures"]:
        metrics["departures"] = departures
    metrics["leakage"] = {name: figure.model_dump() for name, figure in leakage(data).items()}
    if data.duplicates is not None:
        metrics["duplicates"] = data.duplicates.counts
    metrics |= {"selection": {"asked": data.settings.select, "on": data.select, **selection}, **more}
    write(folder.path / METRICS, metrics)
    return metrics


def score_splits(
    folder: Folder, job: Judge, data: Data, tables: Mapping[str, pa.Table], limits: Thresholds | None = None
) -> dict[str, Any]:
    """Return split → metric → value with intervals; write predictions and pictures.

    Multilabel figures are also computed with the thresholds `limits`, by default those that a split chooses here.
    With several builds, each has figures of its own, under split/NAME.
    """
    metrics: dict[str, Any] = {}
    if data.builds.members is not None:
        tables = {split: told_apart(table) for split, table in tables.items()}
    for split, table in tables.items():
        metrics[split] = _figures(job, data, split, table)
        folder.say(f"{split}: intervals of 95 %, {metrics[split]['intervals']['method']}")
        for member in data.builds.members or ():
            if len(part := of_build(table, member.name)):
                metrics[f"{split}/{member.name}"] = _figures(job, data, split, part)
    limits = limits or _choose_thresholds(data, tables)
    for split, table in tables.items():
        if limits and split != limits.chosen_on:
            figures = thresholds.figures(table, limits.values, data.classes)
            metrics[split]["thresholds"] = {"chosen_on": limits.chosen_on, **figures}
    if limits:
        metrics["thresholds"] = {"chosen_on": limits.chosen_on, "values": limits.by_class(data.classes)}
    if tables:
        write_predictions(folder.path / NAME, tables, data.classes)
    _draw(folder, job, data, tables, metrics)
    return metrics


def _draw(
    folder: Folder, job: Judge, data: Data, tables: Mapping[str, pa.Table], metrics: Mapping[str, dict[str, Any]]
) -> None:
    """Draw each split's predictions."""
    for split, table in tables.items():
        job.draw(drawing(folder, data, split), table, metrics[split])


def drawing(folder: Folder, data: Data, split: str) -> Drawing:
    """Return what pictures of a split have in common."""
    units = units_of(data.manifest, data.channels)
    images = partial(data.images, split)
    return Drawing(folder.path, split, _subject(data), units, images, data.settings.picture_format)


def _subject(data: Data) -> str:
    return f"{data.manifest.title} · {data.settings.model}"


def _draw_log(folder: Folder, data: Data) -> None:
    """Draw the log, where it exists."""
    if rows := folder.rows():
        path = folder.path / f"curves.{data.settings.picture_format}"
        choice = f", chosen on {PUBLISHED}" if data.select == "test" else ""
        head = f": {rows[0]['head']}" if "head" in rows[0] else ""
        curves(path, rows, f"{_subject(data)} · {folder.path.name}{head}{choice}")


def _figures(job: Judge, data: Data, split: str, table: pa.Table) -> dict[str, Any]:
    figures = job.score(table)
    if split == data.select == "test":
        figures["chosen_on"] = PUBLISHED
    return figures | {"intervals": intervals(table, data.classes)}


def leakage(data: Data) -> Card:
    """Return a build's leakage; for several, the leakage of each test split from each train split, as trained on."""
    if data.builds.members is None:
        return data.manifest.leakage
    card: Card = {}
    used = set(data.loader("train").keys)
    tables = [read_index(build.index, INDEX_COLUMNS) for build in data.builds.each]
    for member, table in zip(data.builds.members, tables, strict=True):
        test = table.filter(pc.equal(table["split"], "test"))
        for other, rows in zip(data.builds.members, tables, strict=True):
            train = rows.filter(pa.array([other.key(key) in used for key in rows["key"].to_pylist()]))
            shares = index_share(test, train) if len(test) else {}
            shares.pop("key", None)  # the same key names another image in another build
            card |= {f"test/{member.name}-train/{other.name}.{name}": share for name, share in shares.items()}
    return card


def _choose_thresholds(data: Data, tables: Mapping[str, pa.Table]) -> Thresholds | None:
    """Return thresholds of a multilabel task, chosen on val or a part of train; None without either."""
    chosen_on = next((name for name in (CARVED, "val") if name in tables), None)
    if data.task.kind != "multilabel" or chosen_on is None:
        return None
    return Thresholds(chosen_on, thresholds.choose(tables[chosen_on]))


def finished_metrics(folder: Folder, job: Judge | None, data: Data) -> dict[str, Any]:
    """Return the metrics of a finished run.

    Results that were not asked for then, such as FG-MAE's figures and pictures of another format, are made of its
    predictions.
    """
    metrics, settings = documents.metrics(folder.path), data.settings
    if job is None or not (folder.path / NAME).exists():
        return metrics
    tables, classes = read_predictions(folder.path / NAME)
    if isinstance(settings, Classes) and settings.metrics == "fgmae-batched":
        for split, table in tables.items():
            metrics[split]["fgmae_batched"] = rescore_batches(table, classes, settings.batch_size)
        write(folder.path / METRICS, metrics)
    if not any(folder.path.glob(f"*.{settings.picture_format}")):
        _draw_log(folder, data)
        _draw(folder, job, data, tables, metrics)
    return metrics
