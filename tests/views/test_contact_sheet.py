"""Contact sheets and histograms: what is drawn, how it is stretched, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sar_data import catalog
from sar_data.builder.itinerary import build, convert
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.cli import main
from sar_data.errors import TargetError, UsageError
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.statistics.tally import Tally, survey
from sar_data.views import contact_sheet as show
from sar_data.views import overlay
from sar_data.views.histograms import histograms
from sar_data.views.palette import palette
from sar_data.views.stretch import stretch


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
    "changes", [{"dtype": "int16"}, {"dtype": "float16", "format": "lmdb"}, {"normalize": "zscore"}, {"resize": 40}]
)
def test_baked_builds_look_as_their_parent_does(parent: Build, tmp_path: Path, changes: dict[str, Any]) -> None:
    baked = convert(ConvertRequest(parent=parent.path, out=tmp_path / "out", **changes))
    for name, of in (("parent", parent), ("baked", baked)):
        show.contact_sheet(of, tmp_path / f"{name}.png", count=4)
    first, second = drawn(tmp_path / "parent.png"), drawn(tmp_path / "baked.png")
    assert first.shape == second.shape
    if "normalize" not in changes:
        assert abs(first - second).mean() < (0.002 if "dtype" in changes else 0.1)


def test_vv_and_vh_become_colours_stretched_over_the_whole_sheet() -> None:
    ramp = np.linspace(-25, -5, 200, dtype=np.float32).reshape(2, 1, 10, 10)
    images = np.concatenate([ramp - 7, ramp], axis=1)
    pictures, note = show.stretch(list(images), {"VH": "dB", "VV": "dB"})
    assert [picture.shape for picture in pictures] == [(10, 10, 3)] * 2
    assert pictures[0][..., 0].mean() < pictures[1][..., 0].mean()  # not stretched each for itself
    assert note.startswith("R VV −24.6 to −5.4 dB · G VH −31.6 to −12.4 dB · B VV−VH 7.0 to 7.0 dB")
    assert "2–98 %" in note


def test_one_band_is_grey_and_masked_pixels_are_neither_dark_nor_bright() -> None:
    images = np.linspace(-25, -5, 100, dtype=np.float32).reshape(1, 1, 10, 10)
    images[0, 0, 0, 0] = np.nan
    (picture,), note = show.stretch(list(images), {"HH": "dB"})
    assert picture.shape == (10, 10, 1)
    assert picture[0, 0] == 0.5
    assert note.startswith("grey HH")
    assert np.isfinite(show.stretch([np.full((1, 4, 4), np.nan, np.float32)], {"VV": "dB"})[0]).all()


def test_images_of_different_sizes_share_one_stretch_and_power_is_shown_in_db() -> None:
    images = [np.full((1, 8, 9), 0.01, np.float32), np.full((1, 20, 5), 1.0, np.float32)]
    pictures, note = show.stretch(images, {"VV": "power"})
    assert [picture.shape for picture in pictures] == [(8, 9, 1), (20, 5, 1)]
    assert (pictures[0].max(), pictures[1].min()) == (0, 1)
    assert note.startswith("grey VV −20.0 to 0.0 dB")


def test_long_and_many_labels_are_wrapped_and_what_has_no_room_is_counted() -> None:
    long = "Land principally occupied by agriculture, with significant areas of natural vegetation"
    lines = show._wrap([long, "Pastures"])
    assert len(lines) == 3
    assert max(map(len, lines)) <= show.CHARACTERS
    many = show._wrap([f"class {i}" for i in range(20)])
    assert len(many) == show.MOST_LINES
    assert many[-1] == "· and 14 more"
    assert show._wrap([f"class {i}" for i in range(7)])[-1] == "· class 6"


def test_a_long_key_is_whole_and_stays_below_its_patch() -> None:
    key = "S1A_IW_GRDH_1SDV_20170613T170000_33UUP_55_13"
    cell = show.Cell(key, (np.zeros((4, 4, 1), np.float32),), 1, (), None, [], [])
    figure = show._sheet([cell, cell], "BigEarthNet-S1", "grey VV", [])
    renderer = FigureCanvasAgg(figure).get_renderer()
    widths = [text.get_window_extent(renderer).width for text in figure.texts if text.get_text() == key]
    assert len(widths) == 2
    assert 0.8 < max(widths) / (show.CELL * figure.dpi) <= 1


def test_one_band_alone_is_drawn_and_a_phase_in_colours_that_end_where_they_begin(
    parent: Build, tmp_path: Path
) -> None:
    for band in ("VV", "VH"):
        show.contact_sheet(parent, tmp_path / f"{band}.png", count=2, band=band)
    assert (tmp_path / "VV.png").read_bytes() != (tmp_path / "VH.png").read_bytes()
    phase = np.array([[[-np.pi, np.pi, 0, np.nan]]], np.float32)
    (picture,), note = stretch([phase], {"HH_phase": "phase"})
    assert "HH_phase" in note
    first, last, middle, masked = picture[0]
    np.testing.assert_allclose(first, last, atol=0.02)
    assert np.abs(first - middle).max() > 0.5
    assert masked.tolist() == [0.5] * 3
    with pytest.raises(UsageError, match="unknown band 'HH'"):
        show.contact_sheet(parent, tmp_path / "a.png", band="HH")


def test_wrong_names_are_refused_with_what_exists(parent: Build, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ending in \.png, \.pdf or \.svg, found \.jpg"):
        show.contact_sheet(parent, tmp_path / "a.jpg")
    with pytest.raises(UsageError, match="Did you mean 'train'"):
        show.contact_sheet(parent, tmp_path / "a.png", split="trian")
    with pytest.raises(TargetError, match="cannot write"):
        show.contact_sheet(parent, tmp_path / "nowhere" / "a.png", count=1)
    result = CliRunner().invoke(main, ["show", str(parent.path), "--out", str(tmp_path / "a.png"), "--count", "2"])
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'a.png'}\n")


def sheet(name: str, count: int, tmp_path: Path, **options: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return the contact sheet of a miniature's build."""
    catalog.synthesise(name)(tmp_path / "raw", count=count, seed=0)
    pipeline = catalog.pipeline(name, options.pop("variant", None))
    made = build(BuildRequest(dataset=pipeline, source=tmp_path / "raw", out=tmp_path, format="webdataset", **options))
    show.contact_sheet(made, tmp_path / "a.png")
    return drawn(tmp_path / "a.png")[..., :3]


def coloured(picture: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> int:
    """Return how many pixels are of no grey."""
    return int((np.ptp(picture, axis=-1) > 0.2).sum())


def test_objects_are_outlined_on_grey_images_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_ships = sheet("ssdd", 6, tmp_path)
    assert coloured(with_ships) > 500
    monkeypatch.setattr(show, "draw_objects", lambda axes, objects: None)
    monkeypatch.setattr(show, "legend", lambda manifest, drawn: [])
    made = next(tmp_path.glob("ssdd/*/webdataset-*"))
    show.contact_sheet(Build.open(made), tmp_path / "b.png")
    assert coloured(drawn(tmp_path / "b.png")[..., :3]) == 0


def test_a_scene_larger_than_the_sheet_is_thinned_and_its_boxes_stay_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sheet("ls-ssdd", 1, tmp_path, variant="scenes")
    monkeypatch.setattr(show, "MOST_PIXELS", 100)
    made = next(tmp_path.glob("ls-ssdd/*/webdataset-*"))
    show.contact_sheet(Build.open(made), tmp_path / "thin.png")
    thin = drawn(tmp_path / "thin.png")[..., :3]
    assert coloured(whole) == pytest.approx(coloured(thin), rel=0.1)


def test_masks_lie_beside_their_patches_in_the_colours_of_their_classes(tmp_path: Path) -> None:
    picture = sheet("hephaestus", 4, tmp_path, split="random")
    made = Build.open(next(tmp_path.glob("hephaestus/*/webdataset-*")))
    rows = made.index().filter(np.asarray(made.index()["split"]) == "train")
    with made.reader() as reader:
        masks = [reader.mask(place) for place in places(rows)]
    background, deformed = (np.concatenate([mask.ravel() == label for mask in masks]).sum() for label in (0, 2))
    seen = (picture * 255).round().astype(np.uint8)
    colours = palette(7)
    first, second = ((seen == colours[label]).all(axis=-1).sum() for label in (0, 2))
    assert second / first == pytest.approx(deformed / background, rel=0.1)


def test_each_class_has_its_colour_and_counts_are_told_below() -> None:
    assert len({overlay.colour(label) for label in range(8)}) == 8
    assert overlay.colour(9) == overlay.colour(1)


@pytest.mark.parametrize("unit", ["dB", "1", "minmax"])
def test_histograms_are_drawn_in_every_unit_and_for_empty_splits(unit: str, tmp_path: Path) -> None:
    tally = Tally((unit, unit))
    tally.add(survey(np.random.default_rng(0).random((2, 32, 32), np.float32)))
    parts = {"train": tally.finish(), "val": Tally((unit, unit)).finish()}
    histograms(parts, ["VV", "VH"], "Title", tmp_path / "a.png")
    assert drawn(tmp_path / "a.png").shape[1] > 800
    with pytest.raises(UsageError, match=r"plot=.*ending in \.png"):
        histograms(parts, ["VV", "VH"], "Title", tmp_path / "a.gif")
