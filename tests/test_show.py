"""Contact sheets and histograms: what is drawn, how it is stretched, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from click.testing import CliRunner

from sar_data import show
from sar_data.build import repack
from sar_data.cli import main
from sar_data.errors import TargetError, UsageError
from sar_data.plot import histograms
from sar_data.repack import Changes
from sar_data.sealed import Build
from sar_data.tally import Tally, survey


@pytest.fixture
def parent(sealed: dict[str, Build]) -> Build:
    return sealed["zarr"]


def drawn(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    image: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = matplotlib.image.imread(io.BytesIO(path.read_bytes()))
    return image


def test_a_sheet_is_a_picture_that_the_seed_decides(parent: Build, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert show.contact_sheet(parent, tmp_path / f"{name}.png", count=9, seed=seed) == 9
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c
    picture = drawn(tmp_path / "a.png")
    assert picture.shape[0] > 900
    assert picture[..., :3].std() > 0.1


def test_a_split_smaller_than_the_sheet_is_shown_whole(parent: Build, tmp_path: Path) -> None:
    count = parent.manifest.splits["val"].count
    assert show.contact_sheet(parent, tmp_path / "a.png", split="val", count=100) == count < 100


@pytest.mark.parametrize(
    "changes",
    [Changes(dtype="int16"), Changes(dtype="float16", format="lmdb"), Changes(normalize="zscore"), Changes(resize=40)],
)
def test_baked_builds_look_as_their_parent_does(parent: Build, tmp_path: Path, changes: Changes) -> None:
    baked = repack(parent.path, changes, out=tmp_path / "out")
    for name, of in (("parent", parent), ("baked", baked)):
        show.contact_sheet(of, tmp_path / f"{name}.png", count=4)
    first, second = drawn(tmp_path / "parent.png"), drawn(tmp_path / "baked.png")
    assert first.shape == second.shape
    if changes.normalize is None:
        assert abs(first - second).mean() < (0.002 if changes.dtype else 0.1)


def test_vv_and_vh_become_colours_stretched_over_the_whole_sheet() -> None:
    ramp = np.linspace(-25, -5, 200, dtype=np.float32).reshape(2, 1, 10, 10)
    images = np.concatenate([ramp - 7, ramp], axis=1)
    pictures, note = show.stretched(images, ["VH", "VV"], "dB")
    assert pictures.shape == (2, 10, 10, 3)
    assert pictures[0, ..., 0].mean() < pictures[1, ..., 0].mean()  # not stretched each for itself
    assert note.startswith("R VV −24.6 to −5.4 dB · G VH −31.6 to −12.4 dB · B VV−VH 7.0 to 7.0 dB")
    assert "2–98 %" in note


def test_one_band_is_grey_and_masked_pixels_are_neither_dark_nor_bright() -> None:
    images = np.linspace(-25, -5, 100, dtype=np.float32).reshape(1, 1, 10, 10)
    images[0, 0, 0, 0] = np.nan
    pictures, note = show.stretched(images, ["HH"], "dB")
    assert pictures.shape == (1, 10, 10, 1)
    assert pictures[0, 0, 0] == 0.5
    assert note.startswith("grey HH")
    assert np.isfinite(show.stretched(np.full((1, 1, 4, 4), np.nan, np.float32), ["VV"], "dB")[0]).all()


def test_long_and_many_labels_are_wrapped_and_what_has_no_room_is_counted() -> None:
    long = "Land principally occupied by agriculture, with significant areas of natural vegetation"
    lines = show._wrapped([long, "Pastures"])
    assert len(lines) == 3
    assert max(map(len, lines)) <= show.CHARACTERS
    many = show._wrapped([f"class {i}" for i in range(20)])
    assert len(many) == show.MOST_LINES
    assert many[-1] == "· and 14 more"
    assert show._wrapped([f"class {i}" for i in range(7)])[-1] == "· class 6"


def test_wrong_names_are_refused_with_what_exists(parent: Build, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ending in \.png, found \.jpg"):
        show.contact_sheet(parent, tmp_path / "a.jpg")
    with pytest.raises(UsageError, match="Did you mean 'train'"):
        show.contact_sheet(parent, tmp_path / "a.png", split="trian")
    with pytest.raises(TargetError, match="cannot write"):
        show.contact_sheet(parent, tmp_path / "nowhere" / "a.png", count=1)
    result = CliRunner().invoke(main, ["show", str(parent.path), "--out", str(tmp_path / "a.png"), "--count", "2"])
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'a.png'}\n")


@pytest.mark.parametrize("unit", ["dB", "1", "minmax"])
def test_histograms_are_drawn_in_every_unit_and_for_empty_splits(unit: str, tmp_path: Path) -> None:
    tally = Tally((unit, unit))
    tally.add(survey(np.random.default_rng(0).random((2, 32, 32), np.float32)))
    parts = {"train": tally.finish(), "val": Tally((unit, unit)).finish()}
    histograms(parts, ["VV", "VH"], "Title", tmp_path / "a.png")
    assert drawn(tmp_path / "a.png").shape[1] > 800
    with pytest.raises(UsageError, match=r"ending in \.png"):
        histograms(parts, ["VV", "VH"], "Title", tmp_path / "a.svg")
