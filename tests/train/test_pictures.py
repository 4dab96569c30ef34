"""Curves, confusion matrices and sheets of predictions: what is drawn, and how it is stretched."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest

from sar_data.errors import TargetError
from sar_data.train import pictures, predictions
from sar_data.train.pictures import mosaic, sheets, stretch
from sar_data.views.palette import palette
from tests.train import predicted
from tests.views.figures import texts

CLASSES = ("wood", "open water", "a class whose name is so long that no margin would hold it")
UNITS = {"VV": "dB", "VH": "dB"}
RED = (0xC0, 0x39, 0x2B)  # of the frame


def drawn(path: Path) -> npt.NDArray[np.uint8]:
    """Return a PNG as uint8 [y, x, 3]."""
    image = matplotlib.image.imread(io.BytesIO(path.read_bytes()))
    return (image[..., :3] * 255).round().astype(np.uint8)


def pixels(picture: npt.NDArray[np.uint8], colour: Sequence[int]) -> int:
    return int((picture == np.array(colour, np.uint8)).all(axis=-1).sum())


def invented(keys: Sequence[str], shape: tuple[int, ...] = (2, 12, 10)) -> list[tuple[Any, None]]:
    """Return images in dB with a masked corner."""
    images = [np.random.default_rng(i).normal(-12, 4, shape).astype(np.float32) for i in range(len(keys))]
    for image in images:
        image[:, 0, 0] = np.nan
    return [(image, None) for image in images]


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {"epoch": i + 1, "step": 10 * i, "lr": 0.1 / (i + 1), "loss": 2.0 / (i + 1), "samples_s": 9.0, "waiting": 0.1}
        | ({"val_loss": 2.5 / (i + 1), "val_oa": 1 - 0.5 / (i + 1), "val_aa": None} if i % 2 else {})
        for i in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 40])
def test_curves_are_drawn_of_any_number_of_epochs(count: int, tmp_path: Path) -> None:
    pictures.curves(tmp_path / "curves.png", rows(count), "title")
    picture = drawn(tmp_path / "curves.png")
    first = (0x1B, 0x6C, 0xA8)
    assert (pixels(picture, first) > 0) == (count > 0)
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_curves_have_both_losses_and_say_the_last_of_each(tmp_path: Path) -> None:
    pictures.curves(tmp_path / "curves.svg", rows(40), "A set · resnet18 · run")
    found = texts(tmp_path / "curves.svg")
    assert {"A set · resnet18 · run", "train loss  0.050", "val loss  0.062", "loss", "epoch", "learning rate"} <= set(
        found
    )


def test_sheets_of_power_are_stretched_in_db() -> None:
    power = [np.float32([[[0.001, 0.01, 0.1, 1.0]]])]
    (picture,), note = stretch.stretch_images(power, {"VV": "power"})
    assert note.startswith("grey VV −29.4 to −0.6 dB")
    assert np.diff(picture[0, :, 0]).min() > 0.25  # in power all but the last would be black


def test_a_log_without_figures_has_no_panel_for_them(tmp_path: Path) -> None:
    bare = [{name: row[name] for name in ("epoch", "lr", "loss")} for row in rows(4)]
    pictures.curves(tmp_path / "bare.png", bare)
    pictures.curves(tmp_path / "full.png", rows(4))
    assert drawn(tmp_path / "bare.png").shape[1] < 0.75 * drawn(tmp_path / "full.png").shape[1]
    broken = [{"epoch": 1, "lr": 0.1, "loss": float("nan"), "val_oa": None}]
    pictures.curves(tmp_path / "nan.png", broken)
    assert drawn(tmp_path / "nan.png").std() > 0


@pytest.mark.parametrize("size", [1, 2, 10, 43])
def test_a_matrix_of_any_size_is_drawn_whole_with_its_numbers_beside_it(size: int, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    counts = random.integers(0, 3000, (size, size)) * (random.random((size, size)) < 4 / size)
    counts[-1] = 0
    names = [f"{CLASSES[i % 3]} {i}" for i in range(size)]
    pictures.confusion(tmp_path / "confusion.png", counts, names, "test")
    picture = drawn(tmp_path / "confusion.png")
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert (edge == 255).all()  # nothing is cut off
    with (tmp_path / "confusion.csv").open() as file:
        head, *lines = csv.reader(file)
    assert head == ["true \\ predicted", *names]
    assert [[int(value) for value in line[1:]] for line in lines] == counts.tolist()
    assert [line[0] for line in lines] == names


def test_the_diagonal_of_a_perfect_model_is_dark_and_nothing_else_is(tmp_path: Path) -> None:
    pictures.confusion(tmp_path / "good.png", np.diag([5, 6, 7]), CLASSES)
    pictures.confusion(tmp_path / "even.png", np.ones((3, 3), np.int64), CLASSES)
    darkest = (0x08, 0x30, 0x6B)  # the end of matplotlib's Blues
    assert pixels(drawn(tmp_path / "good.png"), darkest) > 5000
    assert pixels(drawn(tmp_path / "even.png"), darkest) == 0


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (1234, "1.2k"),
        (9949, "9.9k"),
        (9950, "10k"),
        (12_345, "12k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (3_400_000, "3.4M"),
        (123_000_000_000, "123G"),
        (5 * 10**15, "5000T"),
    ],
)
def test_counts_are_told_in_few_characters(count: int, text: str) -> None:
    assert pictures.compact(count) == text


def single(count: int, wrong: int) -> predictions.pa.Table:
    """Return answers of which the first ones are wrong."""
    target = np.arange(count) % 3
    said = np.where(np.arange(count) < wrong, (target + 1) % 3, target)
    keys = [f"sample-{i:03d}" for i in range(count)]
    return predictions.gathered([predicted.part(keys, target, 4.0 * np.eye(3)[said])])


def test_wrong_answers_are_framed_and_right_ones_are_not(tmp_path: Path) -> None:
    framed = []
    for wrong in (0, 1, 3):
        sheets.answers(tmp_path / "sheet.png", single(3, wrong), CLASSES, invented, units=UNITS, title="test")
        framed.append(pixels(drawn(tmp_path / "sheet.png"), RED))
    assert framed[0] == 0 < framed[1] < framed[2]


def test_lines_below_an_image_say_what_is_right_wrong_and_missed() -> None:
    assert sheets._class(np.array([4.0, 0.0, 0.0]), 0, CLASSES) == [("right", "96% wood")]
    assert sheets._class(np.array([4.0, 0.0, 0.0]), 1, CLASSES) == [("wrong", "96% wood"), ("missed", "is open water")]
    found = sheets._labels(np.array([2.0, 2.0, -2.0]), np.array([1, 0, 1]), ("a", "b", "c"))
    assert found == [("wrong", "+ 88% b"), ("missed", "− 12% c"), ("right", "= 88% a")]
    assert sheets._labels(np.array([-900.0]), np.array([0]), ("a",)) == [("right", "no label")]


def test_lines_that_have_no_room_are_counted() -> None:
    lines = [("right", f"label {i}") for i in range(12)]
    fitted = mosaic._fit(lines, 32)
    assert len(fitted) == mosaic.MOST_LINES
    assert fitted[-1] == ("key", "and 6 more")
    assert mosaic._fit(lines[:7], 32) == lines[:7]
    assert max(len(text) for _, text in mosaic._fit([("right", " ".join(["word"] * 20))], 32)) <= 32


def test_a_long_key_is_told_by_its_end_and_says_so() -> None:
    assert sheets._end("S1A_IW_GRDH_33UUP_0_0", 32) == "S1A_IW_GRDH_33UUP_0_0"
    assert sheets._end("S1A_IW_GRDH_33UUP_0_0", 10) == "…33UUP_0_0"


def test_a_sheet_is_spread_evenly_over_the_keys_and_fetches_no_more(tmp_path: Path) -> None:
    asked: list[str] = []

    def images(keys: Sequence[str]) -> list[tuple[Any, None]]:
        asked.extend(keys)
        return invented(keys, (1, 6, 6))

    sheets.answers(tmp_path / "sheet.png", single(93, 5), CLASSES, images, units={"VV": "dB"})
    assert len(asked) == 24
    assert (asked[0], asked[1], asked[-1]) == ("sample-000", "sample-004", "sample-092")
    assert sheets.spread(3, 10) == [0, 1, 2]
    assert sheets.spread(0, 10) == []


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_an_empty_split_gives_an_empty_sheet(kind: str, tmp_path: Path) -> None:
    empty = predictions.gathered([predicted.nothing(kind)])
    sheets.answers(tmp_path / "sheet.png", empty, CLASSES, invented, units=UNITS)
    assert drawn(tmp_path / "sheet.png").size


@pytest.mark.parametrize("shape", [(1, 40, 12), (2, 12, 40), (5, 16, 16)])
def test_images_of_any_shape_and_number_of_bands_are_drawn(shape: tuple[int, ...], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    units = {f"band {i}": "dB" for i in range(shape[0])}
    table = predictions.gathered(
        [predicted.part(["a", "b"], random.integers(0, 2, (2, 3)), random.normal(size=(2, 3)))]
    )
    sheets.answers(tmp_path / "sheet.png", table, CLASSES, lambda keys: invented(keys, shape), units=units)
    assert drawn(tmp_path / "sheet.png").std() > 10


def test_masks_have_the_colours_of_their_files_and_a_legend_of_what_is_there(tmp_path: Path) -> None:
    true = np.repeat([[0, 1], [1, 255]], 8, axis=0).repeat(8, axis=1).astype(np.uint8)
    said = np.where(true == 255, 0, true)
    pictures_, keys = [image for image, _ in invented(["a"], (2, 16, 16))], ["a"]
    right, wrong = (sheets.Segments(keys, pictures_, [true], [mask]) for mask in (said, np.full_like(true, 2)))
    sheets.segments(tmp_path / "right.png", right, CLASSES, units=UNITS)
    sheets.segments(tmp_path / "wrong.png", wrong, CLASSES, units=UNITS)
    right, wrong = drawn(tmp_path / "right.png"), drawn(tmp_path / "wrong.png")
    colours = palette(3)
    for label in (0, 1):
        assert pixels(right, colours[label]) > 1.8 * pixels(wrong, colours[label]) > 0
    assert pixels(right, colours[2]) == 0 < pixels(wrong, colours[2])
    assert pixels(right, (0, 0, 0)) > 5000  # what is ignored


def test_bands_are_stretched_over_the_whole_sheet_and_masked_pixels_are_grey() -> None:
    ramp = np.linspace(-25, -5, 200, dtype=np.float32).reshape(2, 1, 10, 10)
    images = list(np.concatenate([ramp, ramp - 7], axis=1))
    images[0][0, 0, 0] = np.nan
    shown, note = stretch.stretch_images(images, UNITS)
    assert [picture.shape for picture in shown] == [(10, 10, 3)] * 2
    assert shown[0][..., 0].mean() < shown[1][..., 0].mean()  # not stretched each for itself
    assert shown[0][0, 0].tolist() == [0.5, 0.0, 0.5]
    assert note == "R VV −24.5 to −5.4 dB · G VH −31.6 to −12.4 dB · B VV−VH 7.0 to 7.0 dB  (2–98 % over the sheet)"
    (grey,), note = stretch.stretch_images([images[1][:1]], {"HH": "dB"})
    assert (grey[..., 0] == grey[..., 2]).all()
    assert note.startswith("grey HH ")
    assert np.isfinite(stretch.stretch_images([np.full((1, 4, 4), np.nan, np.float32)], {"HH": "dB"})[0][0]).all()
    assert stretch.stretch_images([], {}) == ([], "")


def test_large_images_are_thinned() -> None:
    assert stretch.thin(np.zeros((2000, 700))).shape == (500, 175)
    assert stretch.thin(np.zeros((512, 3))).shape == (512, 3)


def test_a_picture_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot write"):
        pictures.curves(tmp_path / "nowhere" / "curves.png", rows(2))
