"""What a run leaves: metrics.json with intervals, predictions.parquet, pictures."""

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
from sar_data.train.metrics.batched import rescored
from sar_data.train.metrics.jackknife import intervals
from sar_data.train.metrics.thresholds import Thresholds
from sar_data.train.pictures import curves
from sar_data.train.pictures.drawing import Drawing
from sar_data.train.predictions import NAME, of_build, told_apart
from sar_data.train.predictions import read as kept
from sar_data.train.predictions import write as keep
from sar_data.train.run.folder import Folder, write
from sar_data.train.settings import Classes

PUBLISHED = "test (as published)"  # what is said wherever a figure is shown that its own split was chosen by


def leave(
    folder: Folder,
    job: Judge | None,
    data: Data,
    tables: Mapping[str, pa.Table],
    selection: Mapping[str, Any],
    **more: Any,
) -> dict[str, Any]:
    """Score each split's predictions and write all of it; return the metrics. Without a judge there are none.

    `selection` is what else there is to say of how the best epoch or head was chosen; `more` goes into metrics.json as
    it is. metrics.json comes last: a run that has it is finished.
    """
    _draw_log(folder, data)
    found = {} if job is None else scored(folder, job, data, tables)
    if departures := documents.config(folder.path)["departures"]:
        found["departures"] = departures
    found["leakage"] = {name: figure.model_dump() for name, figure in leakage(data).items()}
    if data.duplicates is not None:
        found["duplicates"] = data.duplicates.counts
    found |= {"selection": {"asked": data.settings.select, "on": data.select, **selection}, **more}
    write(folder.path / METRICS, found)
    return found


def scored(
    folder: Folder, job: Judge, data: Data, tables: Mapping[str, pa.Table], limits: Thresholds | None = None
) -> dict[str, Any]:
    """Return split → metric → value with intervals; write predictions and pictures.

    Figures of several labels are told under the thresholds `limits`, too, by default those that a split chooses here.
    Of several builds there is split/NAME for each of them, too.
    """
    found: dict[str, Any] = {}
    if data.builds.members is not None:
        tables = {split: told_apart(table) for split, table in tables.items()}
    for split, table in tables.items():
        found[split] = _figures(job, data, split, table)
        folder.say(f"{split}: intervals of 95 %, {found[split]['intervals']['method']}")
        for member in data.builds.members or ():
            if len(part := of_build(table, member.name)):
                found[f"{split}/{member.name}"] = _figures(job, data, split, part)
    limits = limits or _chosen(data, tables)
    for split, table in tables.items():
        if limits and split != limits.chosen_on:
            made = thresholds.figures(table, limits.values, data.classes)
            found[split]["thresholds"] = {"chosen_on": limits.chosen_on, **made}
    if limits:
        found["thresholds"] = {"chosen_on": limits.chosen_on, "values": limits.by_class(data.classes)}
    if tables:
        keep(folder.path / NAME, tables, data.classes)
    _draw(folder, job, data, tables, found)
    return found


def _draw(
    folder: Folder, job: Judge, data: Data, tables: Mapping[str, pa.Table], found: Mapping[str, dict[str, Any]]
) -> None:
    """Draw each split's predictions."""
    for split, table in tables.items():
        job.draw(drawing(folder, data, split), table, found[split])


def drawing(folder: Folder, data: Data, split: str) -> Drawing:
    """Return what pictures of a split have in common."""
    units = units_of(data.manifest, data.channels)
    images = partial(data.images, split)
    return Drawing(folder.path, split, _subject(data), units, images, data.settings.picture_format)


def _subject(data: Data) -> str:
    return f"{data.manifest.title} · {data.settings.model}"


def _draw_log(folder: Folder, data: Data) -> None:
    """Draw the log, where there is one."""
    if rows := folder.rows():
        path = folder.path / f"curves.{data.settings.picture_format}"
        told = f", chosen on {PUBLISHED}" if data.select == "test" else ""
        head = f": {rows[0]['head']}" if "head" in rows[0] else ""
        curves(path, rows, f"{_subject(data)} · {folder.path.name}{head}{told}")


def _figures(job: Judge, data: Data, split: str, table: pa.Table) -> dict[str, Any]:
    found = job.score(table)
    if split == data.select == "test":
        found["chosen_on"] = PUBLISHED
    return found | {"intervals": intervals(table, data.classes)}


def leakage(data: Data) -> Card:
    """Return the card of a build; of several, what test of each shares with train of each, as it is trained on."""
    if data.builds.members is None:
        return data.manifest.leakage
    found: Card = {}
    used = set(data.loader("train").keys)
    tables = [read_index(one.index, INDEX_COLUMNS) for one in data.builds.each]
    for member, table in zip(data.builds.members, tables, strict=True):
        test = table.filter(pc.equal(table["split"], "test"))
        for other, theirs in zip(data.builds.members, tables, strict=True):
            train = theirs.filter(pa.array([other.key(key) in used for key in theirs["key"].to_pylist()]))
            shares = index_share(test, train) if len(test) else {}
            shares.pop("key", None)  # which name other images in another build
            found |= {f"test/{member.name}-train/{other.name}.{name}": share for name, share in shares.items()}
    return found


def _chosen(data: Data, tables: Mapping[str, pa.Table]) -> Thresholds | None:
    """Return thresholds where labels may be several, of a split that is there to choose on."""
    chosen_on = next((name for name in (CARVED, "val") if name in tables), None)
    if data.task.kind != "multilabel" or chosen_on is None:
        return None
    return Thresholds(chosen_on, thresholds.chosen(tables[chosen_on]))


def again(folder: Folder, job: Judge | None, data: Data) -> dict[str, Any]:
    """Return the metrics of a finished run.

    What is asked for by now and was not then, FG-MAE's figures and pictures of another format, comes from its
    predictions.
    """
    found, settings = documents.metrics(folder.path), data.settings
    if job is None or not (folder.path / NAME).exists():
        return found
    tables, classes = kept(folder.path / NAME)
    if isinstance(settings, Classes) and settings.metrics == "fgmae-batched":
        for split, table in tables.items():
            found[split]["fgmae_batched"] = rescored(table, classes, settings.batch_size)
        write(folder.path / METRICS, found)
    if not any(folder.path.glob(f"*.{settings.picture_format}")):
        _draw_log(folder, data)
        _draw(folder, job, data, tables, found)
    return found
