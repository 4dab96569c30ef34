"""Leakage between two builds: how many samples that a model is judged on lie in, or right beside, its train split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sar_data.errors import SarDataError
from sar_data.sealed.documents import LeakageFigure
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.index_file import read_index
from sar_data.sealed.manifest import Manifest
from sar_data.split.ground import Ground, touching
from sar_data.stream.storage.files import open_files

COLUMNS = ("key", "split", "xxh3", "footprint", "reference_frame", "crs")
FIGURES = {
    "keys": "have a key of the model's train split",
    "pixels": "have the very pixels of a sample of it",
    "touching": "touch one of it on the ground",
}


def leakage(build: Mapping[str, Any], index: Path, keys: Sequence[str]) -> dict[str, LeakageFigure]:
    """Return the figures of FIGURES for the samples `keys` of an index, against the train split of a run's build.

    `build` is what config.json says of that. A figure is None, with a reason, where the build is not there any more or
    a sample has no footprint.
    """
    try:
        train = _train(build)
    except SarDataError as error:
        return dict.fromkeys(FIGURES, LeakageFigure(value=None, of=len(keys), reason=f"not looked at: {error}"))
    table = read_index(index, list(COLUMNS))
    asked = table.filter(pc.is_in(table["key"], pa.array(keys, pa.string())))
    same = {"keys": "key", "pixels": "xxh3"}
    found = {
        name: LeakageFigure(value=pc.sum(pc.is_in(asked[column], train[column])).as_py() / len(asked), of=len(asked))
        for name, column in same.items()
    }
    return found | {"touching": _touching(asked, train)}


def sentences(found: Mapping[str, LeakageFigure]) -> list[str]:
    """Return what the figures say, a sentence each; one that they could not be looked at."""
    reasons = {figure.reason for figure in found.values()}
    if len(reasons) == 1 and (reason := reasons.pop()):
        return [f"leakage: {reason}"]
    return [
        f"leakage: {figure.value:.1%} of {figure.of:,} samples {FIGURES[name]}"
        if figure.value is not None
        else f"leakage: whether samples {FIGURES[name]} is not known: {figure.reason}"
        for name, figure in found.items()
    ]


def _train(build: Mapping[str, Any]) -> pa.Table:
    """Return the rows of the train split of a run's build; raise SarDataError where that is not there."""
    files = open_files(build["path"])
    try:
        if Manifest.load(files.folder).content_digest != build["content_digest"]:
            raise SarDataError(f"{build['path']}: expected the build that the run was trained on, found another")
        table = read_index(files.path(INDEX_NAME), list(COLUMNS))
    finally:
        files.close()
    return table.filter(pc.equal(table["split"], "train"))


def _touching(asked: pa.Table, train: pa.Table) -> LeakageFigure:
    ours, theirs = (_ground(table) for table in (asked, train))
    if not (ours.known.all() and theirs.known.all()):
        return LeakageFigure(value=None, of=len(asked), reason="some samples have no footprint")
    return LeakageFigure(value=float(np.mean(touching(ours, theirs))), of=len(asked))


def _ground(table: pa.Table) -> Ground:
    """Return the footprints of the samples of an index."""
    boxes = np.array([row or (np.nan,) * 4 for row in table["footprint"].to_pylist()], np.float64).reshape(-1, 4)
    return Ground.from_columns(boxes, pc.coalesce(table["reference_frame"], table["crs"]).to_pylist())
