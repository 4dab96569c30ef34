"""Figures for papers: PNG, PDF and SVG, the same bytes each time, with titles, units and legends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from sar_data import catalog
from sar_data.builder.itinerary import build
from sar_data.builder.leakage import LeakageRequest
from sar_data.builder.request import BuildRequest
from sar_data.cli import main
from sar_data.errors import UsageError
from sar_data.sealed.opened import Build
from sar_data.sealed.pairs import Pair
from sar_data.statistics.tally import Tally, survey
from sar_data.views import pairs
from sar_data.views.contact_sheet import contact_sheet
from sar_data.views.heading import Heading
from sar_data.views.histograms import histograms
from tests.views.figures import texts

BEGINS = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


def of(name: str, count: int, tmp_path: Path, **options: Any) -> Build:
    """Return a build of a miniature."""
    catalog.synthesise(name)(tmp_path / "raw", count=count, seed=0)
    return build(BuildRequest(dataset=catalog.pipeline(name), source=tmp_path / "raw", out=tmp_path, **options))


@pytest.mark.parametrize("suffix", BEGINS)
def test_the_suffix_chooses_the_kind_and_the_same_picture_is_the_same_bytes(
    sealed: dict[str, Build], tmp_path: Path, suffix: str
) -> None:
    first, second = (tmp_path / f"{name}.{suffix}" for name in "ab")
    for path in (first, second):
        contact_sheet(sealed["zarr"], path, count=2)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(BEGINS[suffix])


def test_a_sheet_says_dataset_split_units_and_the_key_of_each_sample(sealed: dict[str, Build], tmp_path: Path) -> None:
    contact_sheet(sealed["zarr"], tmp_path / "a.svg", split="val", count=3)
    title, note, *below = texts(tmp_path / "a.svg")
    assert title == f"BigEarthNet-S1 v1.0 · val, 3 of {sealed['zarr'].manifest.splits['val'].count} patches, seed 0"
    assert note.count("dB") == 3
    rows = sealed["zarr"].index().filter(np.asarray(sealed["zarr"].index()["split"]) == "val")
    assert len(set(rows["key"].to_pylist()) & set(below)) == 3


def test_classes_of_masks_have_a_legend_and_so_have_those_of_boxes(tmp_path: Path) -> None:
    land = of("dfc2020", 4, tmp_path / "land", split="random")
    contact_sheet(land, tmp_path / "land.svg", count=4)
    classes = land.manifest.tasks[0].classes
    shown = [name for name in classes if name in texts(tmp_path / "land.svg")]
    assert len(shown) > 3
    ships = of("ssdd", 6, tmp_path / "ships")
    contact_sheet(ships, tmp_path / "ships.svg", count=2)
    assert texts(tmp_path / "ships.svg")[2] == "ship"


def test_a_histogram_has_one_line_a_split_and_the_unit_on_its_axis(tmp_path: Path) -> None:
    parts = {}
    for number, split in enumerate(("train", "val", "test")):
        tally = Tally(("dB", "dB"))
        tally.add(survey(np.random.default_rng(number).normal(-12, 4, (2, 32, 32)).astype(np.float32)))
        parts[split] = tally.finish()
    histograms(parts, ["VV", "VH"], "A set · train, val, test", tmp_path / "a.svg")
    found = texts(tmp_path / "a.svg")
    assert {"VV", "VH", "train", "val", "test", "A set · train, val, test"} <= set(found)
    assert found.count("backscatter in dB") == 2


def test_pairs_say_of_which_split_each_side_is(sealed: dict[str, Build], tmp_path: Path) -> None:
    build = sealed["zarr"]
    rows = build.index()
    test, train = (rows.filter(np.asarray(rows["split"]) == name)["key"][0].as_py() for name in ("test", "train"))
    pairs.draw((build, build), [Pair("touching", test, train)], build.manifest.title, tmp_path / "a.svg")
    found = texts(tmp_path / "a.svg")
    assert found[0] == "BigEarthNet-S1 v1.0 · pairs that leak"
    assert {f"test {test}", f"train {train}"} <= set(found)


def test_long_titles_are_wrapped_and_a_legend_of_many_classes_takes_rows() -> None:
    short, long = (Heading("word " * count, "", (), 6.0).height for count in (5, 80))
    assert long > short + 0.5
    many = Heading("", "", [(f"class {i}", "red") for i in range(100)], 6.0)
    assert many.height < 3  # of too many the first are drawn


@pytest.mark.parametrize("command", [("show", "--out"), ("stats", "--plot"), ("leakage", "--plot")])
def test_a_suffix_that_is_no_picture_is_refused_before_anything_is_read(
    sealed: dict[str, Build], tmp_path: Path, command: tuple[str, str]
) -> None:
    result = CliRunner().invoke(main, [command[0], str(sealed["zarr"].path), command[1], str(tmp_path / "a.bmp")])
    assert result.exit_code == 2
    assert f"{command[1]} {tmp_path / 'a.bmp'}: expected a file name ending in .png, .pdf or .svg" in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_library_says_it_without_options(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`plot=a\.bmp`"):
        LeakageRequest(path=tmp_path, plot=Path("a.bmp"))
