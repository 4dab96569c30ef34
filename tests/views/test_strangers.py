"""What a stranger calls something is drawn and printed as it is, however odd, long or much it is."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from matplotlib import rc_context

from sar_data.cli import main
from sar_data.errors import BuildError
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.opened import Build
from sar_data.statistics.tally import Tally, survey
from sar_data.views.contact_sheet import contact_sheet
from sar_data.views.histograms import histograms
from tests.mini import invented
from tests.mini.resealed import edit, resealed

NAMES = ("$\\frac{$ $", "[/x] [bold", ":smile: [red]a[/red]", "$" * 100_000)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Build:
    root = tmp_path_factory.mktemp("texts")
    source = invented.archive(root / "raw", 8)
    return invented.sealed(invented.pipeline("detection"), source, root / "out", format="webdataset")


@pytest.fixture
def path(sound: Build, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound.path, tmp_path / sound.path.name))


@pytest.mark.parametrize("name", NAMES)
def test_a_title_and_classes_are_texts(path: Path, tmp_path: Path, name: str) -> None:
    def change(document: dict[str, Any]) -> None:
        document["title"] = name
        document["tasks"][0]["classes"] = [f"{name}{i}" for i in range(4)]

    edit(path, change)
    answer = CliRunner().invoke(main, ["stats", str(path)])
    assert answer.exit_code == 0, answer.output
    assert name[:100] in answer.output.replace("\n", "")
    assert contact_sheet(Build.open(path), tmp_path / "sheet.png", count=3) == 3


def test_no_text_is_given_to_latex(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A matplotlibrc in the current folder could ask for that."""
    monkeypatch.setenv("PATH", "")  # where LaTeX could be
    with rc_context({"text.usetex": True}):
        assert contact_sheet(Build.open(path), tmp_path / "sheet.pdf", count=3) == 3


def test_names_of_bands_are_texts(tmp_path: Path) -> None:
    import numpy as np

    tally = Tally(("dB",))
    tally.add(survey(np.zeros((1, 8, 8), np.float32)))
    histograms({"train": tally.finish()}, [NAMES[0]], NAMES[0], tmp_path / "bands.png")


def test_power_that_no_power_is_has_no_decibels(path: Path) -> None:
    edit(path, lambda document: document["statistics"]["train"]["bands"]["VV"]["power"].update(mean=-1.0))
    answer = CliRunner().invoke(main, ["stats", str(path), "--split", "train"])
    assert answer.exit_code == 0, answer.output


def objects(path: Path, box: list[float], count: int) -> None:
    table = pq.read_table(path / INDEX_NAME)
    at = table.column_names.index("objects")
    item = {"label": 0, "box": box, "rotated": None, "polygons": [box * 2], "attrs": []}
    rows = [[item] * count if i == 0 else row for i, row in enumerate(table["objects"].to_pylist())]
    column = pa.array(rows, table.schema.field(at).type)
    pq.write_table(table.set_column(at, table.schema.field(at), column), path / INDEX_NAME)
    resealed(path)


@pytest.mark.parametrize(("far", "count"), [(2.0**24, 3), (4.0, 50_000)])
def test_objects_far_away_or_very_many_are_drawn_as_far_as_they_show(
    path: Path, tmp_path: Path, far: float, count: int
) -> None:
    objects(path, [-far, -far, far, far], count)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert contact_sheet(Build.open(path), tmp_path / "sheet.png", count=9) > 1


def test_a_split_without_rows_is_refused(path: Path, tmp_path: Path) -> None:
    pq.write_table(pq.read_table(path / INDEX_NAME).slice(0, 0), path / INDEX_NAME)
    resealed(path)
    with pytest.raises(BuildError, match=r"expected rows of train in index\.parquet, found none"):
        contact_sheet(Build.open(path), tmp_path / "sheet.png")
    assert json.loads((path / "manifest.json").read_bytes())["splits"]["train"]["count"]
