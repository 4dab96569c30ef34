"""Which folder is a set: the one that says so, whatever lies above and below; what lacks stops with a remedy."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.cli import main
from sar_data.errors import BadRecord, SarDataError
from sar_data.sealed.opened import Build
from tests.own.trees import SIDE, png, tif, values


def made(source: Path, out: Path, **choices: object) -> Build:
    return build(BuildRequest(**{"dataset": "custom", "source": source, "out": out, **choices}))  # type: ignore[arg-type]


def test_a_declaration_that_waits_for_answers_is_not_passed_over_for_the_folder_above(tmp_path: Path) -> None:
    for i in range(8):
        tif(tmp_path / f"raw/{'ab'[i % 2]}/{i}.tif", values(i))
    (tmp_path / "raw/dataset.toml").write_text('name = "all"\nunit = "power"\n')
    (tmp_path / "raw/a/dataset.toml").write_text('name = "one"\n')
    with pytest.raises(SarDataError, match="unit: expected one of"):
        made(tmp_path / "raw/a", tmp_path / "out")
    assert made(tmp_path / "raw", tmp_path / "out").manifest.dataset == "all"


def test_a_declaration_that_is_wrong_is_not_passed_over_for_folders_below(tmp_path: Path) -> None:
    for name in ("first", "second"):
        tif(tmp_path / f"raw/{name}/0.tif", values(0))
        (tmp_path / f"raw/{name}/dataset.toml").write_text('unit = "power"\n')
    with pytest.raises(SarDataError, match=r"expected one dataset\.toml, found it in the folders first, second"):
        made(tmp_path / "raw", tmp_path / "out")
    png(tmp_path / "raw/second/1.png")
    (tmp_path / "raw/dataset.toml").write_text('unit = "power"\n')
    with pytest.raises(SarDataError, match="expected images of one number of bands and one dtype"):
        made(tmp_path / "raw", tmp_path / "out")


def test_previews_beside_the_images_are_left_out_by_the_option_that_the_refusal_names(tmp_path: Path) -> None:
    for number in range(3):
        tif(tmp_path / f"raw/{number}.tif", values(number))
        png(tmp_path / f"raw/{number}.png")
    asked = ["build", "custom", "--source", str(tmp_path / "raw"), "--out", str(tmp_path), "--unit", "power"]
    done = CliRunner().invoke(main, asked)
    assert "give --images '*.png' or --images '*.tif', or --masks if some are masks" in done.stderr
    done = CliRunner().invoke(main, [*asked, "--images", "*.tif"])
    assert done.exit_code == 0, done.stderr
    assert Build.open(Path(done.stdout.splitlines()[-1])).index().num_rows == 3


def test_a_folder_without_a_declaration_is_answered_with_both_ways(tmp_path: Path) -> None:
    tif(tmp_path / "raw/0.tif", values(0))
    done = CliRunner().invoke(main, ["build", str(tmp_path / "raw"), "--unit", "power", "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert f"sar-data init {tmp_path / 'raw'}" in done.stderr
    assert f"or build the dataset custom with --source {tmp_path / 'raw'} and fields such as --unit" in done.stderr


@pytest.mark.parametrize(
    ("files", "declare", "words"),
    [
        (
            {"masks/0.tif": 0},
            {"masks": "masks"},
            "expected a mask of the same name, found none: 5 of 6 samples have none",
        ),
        (
            {"meta.csv": "image,label\n0,a\ngone,b\n1,b\nlost,a\n"},
            {},
            "expected an image, found no file that gone could mean: 2 rows or lines name none",
        ),
        (
            {"7_VV.tif": 0, "7_VH.tif": 0, "8_VV.tif": 0},
            {"band_suffixes": ["_VV", "_VH"], "task": "none"},
            "expected 8_VH with it, found none: 1 of 2 samples lack a file",
        ),
    ],
)
def test_what_lacks_is_counted_and_the_remedy_named(
    tmp_path: Path, files: dict[str, object], declare: dict[str, object], words: str
) -> None:
    for i in range(6):
        tif(tmp_path / f"raw/{i}.tif", values(i, bands=1))
    for name, text in files.items():
        if isinstance(text, str):
            (tmp_path / "raw" / name).write_text(text)
        else:
            tif(tmp_path / "raw" / name, np.zeros((1, SIDE, SIDE), np.uint8))
    fields = {"unit": "power", **declare, **({} if "task" in declare else {"classes": ["a", "b"]})}
    match = re.escape(words) + r".*\. `bad_records=quarantine` leaves out records that are so"
    with pytest.raises(BadRecord, match=match):
        made(tmp_path / "raw", tmp_path / "out", declare=fields)


def test_images_without_a_mask_are_left_out_on_request(tmp_path: Path) -> None:
    for i in range(9):
        png(tmp_path / f"raw/images/{i}.png", i)
        if i != 4:
            tif(tmp_path / f"raw/masks/{i}.tif", np.full((1, SIDE, SIDE), i % 2, np.uint8))
    sealed = made(tmp_path / "raw", tmp_path / "out", bad_records="quarantine", declare={"classes": ["a", "b"]})
    assert [one.path for one in sealed.manifest.quarantine] == ["images/4.png"]
