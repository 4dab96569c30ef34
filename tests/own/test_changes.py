"""Changes between dates of one's own: dates are folders or ends of names, and one mask is of all of them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sar_data
from sar_data import synth
from sar_data.errors import BadRecord, SarDataError, SourceError, UsageError
from sar_data.own.template import declaration_text, init_declaration
from sar_data.record import Date
from sar_data.sealed.verify import verify
from sar_data.sources.tree import Folder
from tests.own.test_folders import fitted
from tests.own.trees import SIDE, png, tif, values

CLASSES = {"classes": ["same", "flooded"], "mask_values": [0, 255]}


def mask(path: Path, index: int) -> Path:
    """Write a mask of 0 and 255: so many rows changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(synth.png(np.where(np.arange(SIDE)[:, None] < index % SIDE, 255, 0).repeat(SIDE, 1).astype("u1")))
    return path


def pairs(root: Path, dates: tuple[str, str] = ("A", "B"), count: int = 9) -> Path:
    for i in range(count):
        split = ("train", "val", "test")[i % 3]
        for j, date in enumerate(dates):
            png(root / split / date / f"{i}.png", 2 * i + j)
        mask(root / split / "label" / f"{i}.png", i)
    return root


@pytest.mark.parametrize("dates", [("A", "B"), ("before", "after"), ("Pre", "Post")])
def test_dates_in_folders_of_usual_names_are_found_and_built(tmp_path: Path, dates: tuple[str, str]) -> None:
    raw = pairs(tmp_path / "raw", dates)
    init_declaration(raw)
    written = tomllib.loads((raw / "dataset.toml").read_text())
    assert (written["frame_folders"], written["task"], written["masks"]) == ([*dates], "change", "label")
    assert (written["split"], written["mask_values"]) == ("folders", [0, 255])
    made = sar_data.build("custom", source=raw, out=tmp_path / "out", declare={"classes": CLASSES["classes"]})
    (task,) = made.manifest.tasks
    assert (made.manifest.frames, task.kind, task.classes) == (2, "change", ["same", "flooded"])
    assert verify(made.path, full=True) == []
    rows = {row["key"]: row for row in made.index().to_pylist()}
    assert rows["train_0"]["split"] == "train"
    assert [date["role"] for date in rows["train_0"]["dates"]] == [*dates]


def test_pixels_are_those_of_each_date_and_the_mask(tmp_path: Path) -> None:
    for site in "ab":
        for j, date in enumerate(("post", "pre2", "pre")):
            for k, band in enumerate(("VH", "VV")):
                tif(tmp_path / site / date / f"x_{band}.tif", values(3 * j + k, bands=1), place=0)
        mask(tmp_path / "masks" / site / "x.png", 5)
    found, records = fitted(tmp_path, unit="power", frame_folders=["pre2", "pre", "post"], **CLASSES)
    assert [*records] == ["a_x", "b_x"]
    record = records["b_x"]
    assert record.dates == (Date(role="pre2"), Date(role="pre"), Date(role="post"))
    sample = found.read(Folder.at(tmp_path), record)
    assert np.array_equal(sample.image, [[values(3 * j + k, bands=1)[0] for k in (1, 0)] for j in (1, 2, 0)])
    assert sample.mask is not None
    assert sample.mask.sum(axis=0).tolist() == [5] * SIDE


def test_dates_by_the_ends_of_names_with_masks_are_a_change(tmp_path: Path) -> None:
    for i in range(3):
        for end in ("_pre", "_post"):
            png(tmp_path / f"img/{i}{end}.png", i)
        mask(tmp_path / f"masks/{i}.png", i)
    text = declaration_text(Folder.at(tmp_path), "x")
    assert 'frame_suffixes = ["_pre", "_post"]' in text
    assert 'task = "change"' in text


def test_class_folders_of_such_names_stay_classes(tmp_path: Path) -> None:
    for name in "ab":
        for i in range(4):
            png(tmp_path / name / f"{i}.png", i)
    found, records = fitted(tmp_path)
    assert (found.spec.frames, len(records), found.spec.tasks[0].kind) == (1, 8, "multiclass")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda root: (root / "train/B/0.png").unlink(),
            r"train/A/0\.png: expected train/B/0 with it, found none: 1 of 9",
        ),
        (lambda root: (root / "train/label/0.png").unlink(), "expected a mask of the same name, found none: 1 of 9"),
        (
            lambda root: (root / "train/B/0.png").write_bytes(synth.png(np.zeros((8, SIDE), np.uint8))),
            r"train/B/0\.png: expected 16x16 pixels, as train/A/0\.png, found 8x16",
        ),
        (
            lambda root: (root / "train/label/0.png").write_bytes(synth.png(np.zeros((8, SIDE), np.uint8))),
            r"train/label/0\.png: expected a mask of \(16, 16\) uint8, found \(8, 16\)",
        ),
    ],
)
def test_a_date_or_a_mask_that_lacks_or_differs_ends_in_a_sentence(tmp_path: Path, damage: Any, message: str) -> None:
    damage(pairs(tmp_path / "raw"))
    declared = {**CLASSES, "frame_folders": ["A", "B"]}
    with pytest.raises(SarDataError, match=message):
        sar_data.build("custom", source=tmp_path / "raw", out=tmp_path / "out", declare=declared, runner="serial")


def test_dates_of_two_places_are_refused(tmp_path: Path) -> None:
    for place, date in enumerate(("A", "B")):
        tif(tmp_path / date / "0.tif", values(place), place=place)
    mask(tmp_path / "masks/0.png", 5)
    with pytest.raises(BadRecord, match=r"B/0\.tif: expected the georeference of A/0\.tif, found another"):
        fitted(tmp_path, unit="power", **CLASSES)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"frame_folders": ["A"]}, "expected 2 to 1024, found 1"),
        ({"frame_folders": ["A", "A"]}, "expected every one once"),
        ({"frame_folders": ["A", "x/B"]}, "expected names of folders, found A, x/B"),
        ({"frame_folders": ["A", "B"], "frame_suffixes": ["_1", "_2"]}, "expected them or frame_suffixes, found both"),
    ],
)
def test_folders_of_dates_that_cannot_be_are_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fitted(tmp_path, **fields)


def test_a_change_without_dates_is_refused(tmp_path: Path) -> None:
    png(tmp_path / "img/0.png")
    mask(tmp_path / "masks/0.png", 5)
    with pytest.raises(SourceError, match="task: expected the dates of a change by `frame_folders=…` or"):
        fitted(tmp_path, task="change", **CLASSES)
