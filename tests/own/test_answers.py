"""What a newcomer gets wrong is answered with what is there, and with what to write instead."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import sar_data
from pipelines.custom import PIPELINE
from sar_data.cli import main
from sar_data.errors import BuildError, SarDataError, UsageError
from sar_data.own.pipeline import fit
from sar_data.own.template import declaration_text, init_declaration
from sar_data.sources.tree import Folder
from tests.own.trees import SIDE, png, tif, values


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures with masks and a table."""
    root = tmp_path_factory.mktemp("answers") / "raw"
    for i in range(6):
        png(root / f"images/{i}.png", i)
        tif(root / f"masks/{i}.tif", np.full((1, SIDE, SIDE), i % 2, np.uint8))
    (root / "labels.csv").write_text("image,label\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(6)))
    return root


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"table": "label.csv"},
            "table: expected a file or a folder, found no 'label.csv'. Did you mean 'labels.csv'?",
        ),
        ({"masks": "mask"}, "masks: expected a file or a folder, found no 'mask'. Did you mean 'masks'?"),
        ({"masks": "qqq"}, "masks: expected a file or a folder, found no 'qqq', only images, masks"),
        ({"split": "column"}, "split: expected a table with a column that says train, val or test: give `table=…`"),
        ({"split": "lists"}, "split: expected lists such as train.txt and test.txt, found none"),
        ({"split": "folders"}, "split: expected folders called train, val or test, found none"),
        ({"split": "group"}, "For group give `group_column=…` or `group=folder`"),
        ({"split": "blocks"}, "For blocks give images with a georeference"),
    ],
)
def test_a_field_that_finds_nothing(chips: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SarDataError, match=re.escape(message)):
        fit(Folder.at(chips), PIPELINE, {"classes": ["a", "b"], **fields})


@pytest.mark.parametrize("split", ["group", "blocks:size=5"])
def test_a_split_that_the_data_do_not_admit(chips: Path, tmp_path: Path, split: str) -> None:
    name = split.partition(":")[0]
    with pytest.raises(UsageError, match=f"`split={name}`: expected .*(`group_column=…`|georeference).*, found none"):
        sar_data.build("custom", source=chips, out=tmp_path, split=split, declare={"classes": ["a", "b"]})


def test_text_without_quotes(tmp_path: Path) -> None:
    png(tmp_path / "0.png")
    (tmp_path / "dataset.toml").write_text("unit = power\n")
    with pytest.raises(SarDataError, match=r'line 1.*where text stands in quotes: unit = "power"'):
        fit(Folder.at(tmp_path), PIPELINE, {})


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["build", "nodir", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "unknown dataset 'nodir'" in done.stderr
    assert "No folder here has that name either" in done.stderr


def test_a_build_of_masks_says_no_shares_is_the_owners_word_and_has_a_plain_path(chips: Path) -> None:
    out = Path(os.path.relpath(chips.parent / "x")).parent / "x/../builds"
    (chips.parent / "x").mkdir()
    request: dict[str, Any] = {"classes": ["land", "sea"], "split": "random:train=1,val=0,test=0"}
    build = sar_data.build("custom", source=chips, out=out, declare=request, runner="serial")
    assert build.path.is_relative_to((chips.parent / "builds").resolve())
    assert build.manifest.evidence == "declared"
    assert [split.class_shares for split in build.manifest.splits.values()] == [{}, {}, {}]
    with pytest.raises(BuildError, match=re.escape(f"builds below it are {build.path}")):
        sar_data.open(chips.parent / "builds")


def test_info_of_a_set_of_ones_own_says_what_a_declaration_gives() -> None:
    text = CliRunner().invoke(main, ["info", "custom"]).stdout
    assert "as declared" in text
    assert "stratified, random, group and blocks" in text
    assert "documents" not in text


def test_a_folder_too_high_is_asked_about(tmp_path: Path) -> None:
    tif(tmp_path / "sar/0.tif", values(0))
    png(tmp_path / "pictures/0.png")
    text = " ".join(declaration_text(Folder.at(tmp_path), "x").split("\n# "))
    assert "ASK which folder is the set, for images differ: " in text
    assert "2 bands of float32 in sar" in text
    assert "1 band of uint8 in pictures" in text


def test_a_folder_too_low_is_asked_about(tmp_path: Path) -> None:
    for name in ("field", "water"):
        png(tmp_path / f"raw/{name}/0.png")
    text = " ".join(init_declaration(tmp_path / "raw/field").read_text().split("\n# "))
    assert "ASK whether the folder above is the set, and its folders are classes: images lie in field, water." in text
    assert "ASK whether the folder above" not in init_declaration(tmp_path / "raw").read_text()
