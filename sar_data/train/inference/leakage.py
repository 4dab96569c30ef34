"""Leakage between two builds: how many samples that a model is judged on lie in, or right beside, its train split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sar_data.errors import RunError, SarDataError
from sar_data.sealed import leakage as sealed
from sar_data.sealed.files import open_files
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.index_file import read_index
from sar_data.sealed.leakage import Card
from sar_data.sealed.manifest import Manifest

FIGURES = [name for name in sealed.MEANINGS if name != "near_duplicate"]  # which needs more than an index


def leakage(build: Mapping[str, Any], index: Path, keys: Sequence[str], *, named: str = "") -> Card:
    """Return the figures of FIGURES for the samples `keys` of an index, against the train split of a run's build.

    `build` is what config.json says of that. A figure is None, with a reason, where the build is not there any more, is
    behind a URL that is not the one that the user `named`, or the samples do not say what is compared.
    """
    try:
        if build["path"] != named:
            check_local(build["path"])
        train = _train(build)
    except SarDataError as error:
        return sealed.not_looked_at(FIGURES, len(keys), str(error))
    table = read_index(index, sealed.INDEX_COLUMNS)
    asked = table.filter(pc.is_in(table["key"], pa.array(keys, pa.string())))
    return sealed.index_share(asked, train)


def check_local(build: str) -> None:
    """Raise RunError for a run's build behind a URL: a run may come from a stranger, and name any server."""
    if "://" in build:
        raise RunError(f"{build}: expected a build in a folder, found the address of a server, which a run alone names")


def sentences(found: Card, build: str | None = None) -> list[str]:
    """Return what the figures say, a sentence each; one that they could not be looked at. `build` is one of several."""
    other = "the model's train split" + (f" of {build}" if build else "")
    told = sealed.sentences(found, judged="samples", other=other)
    return [f"leakage: {sentence}" for sentence in told]


def _train(build: Mapping[str, Any]) -> pa.Table:
    """Return the rows of the train split of a run's build; raise SarDataError where that is not there."""
    files = open_files(build["path"])
    try:
        if Manifest.load(files.folder).content_digest != build["content_digest"]:
            raise SarDataError(f"{build['path']}: expected the build that the run was trained on, found another")
        table = read_index(files.path(INDEX_NAME), sealed.INDEX_COLUMNS)
    finally:
        files.close()
    return table.filter(pc.equal(table["split"], "train"))
