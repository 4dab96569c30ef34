"""Dates and masks of changes that show nothing are counted and told in one sentence; an image of no date is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord
from sar_data.record import IGNORE, Record, Sample
from sar_data.sealed.documents import BlankSamples
from sar_data.sealed.opened import Build
from sar_data.spec import Pipeline, Tree
from tests.mini import changes
from tests.mini.builds import CONTAINERS, options


def blanked(change: Callable[[int, Any, Any], None]) -> Pipeline:
    """Return a dataset of two dates whose images and masks are changed in place, by the number of their file."""
    pipeline = changes.pipeline()

    def read(tree: Tree, record: Record) -> Sample:
        sample = pipeline.read(tree, record)
        change(json.loads(tree.read(record.files[0].path))["seed"], sample.image, sample.mask)
        return sample

    return replace(pipeline, read=read)


def blank(number: int, image: Any, mask: Any) -> None:
    if number in (2, 3):
        image[0, 1] = np.nan
    elif number == 4:
        image[1, 0, :, 5:] = np.nan
        image[1, 0, :, :5] = -7
    elif number == 5:
        mask[:] = IGNORE
    elif number in (6, 7, 8):
        mask[mask == 1] = 0


def sealed(pipeline: Pipeline, folder: Path, count: int, container: str = "zarr") -> tuple[Build, list[str]]:
    source, said = changes.archive(folder / "raw", count), list[str]()
    chosen = options(container, split=changes.SPLIT, shard_length=3)
    return build(BuildRequest(dataset=pipeline, source=source, out=folder / "out", **chosen), say=said.append), said


@pytest.mark.parametrize("container", CONTAINERS[:3])
def test_dates_and_masks_that_show_nothing_are_counted_and_told_in_one_sentence(container: str, tmp_path: Path) -> None:
    made, said = sealed(blanked(blank), tmp_path, 24, container)
    counts = made.manifest.blank_samples
    assert {reason: one.count for reason, one in counts.items()} == {
        "missing": 2,
        "constant": 1,
        "unlabelled": 1,
        "unchanged": 3,
    }
    assert counts["constant"] == BlankSamples(count=1, first="s0004")
    assert counts["missing"].first in ("s0002", "s0003")
    assert [line for line in said if "show nothing" in line] == [
        "warning: of 24 samples some show nothing: 2 with a band of a date without a valid pixel, 1 with a band of a "
        "date with one single value, 1 with a mask without a labelled pixel, 3 with a mask without a change; the first "
        f"is {counts['missing'].first}. Look whether files are missing or were cut (docs/sources.md)"
    ]


def test_of_sound_changes_nothing_is_said(tmp_path: Path) -> None:
    made, said = sealed(changes.pipeline(), tmp_path, 24)
    assert made.manifest.blank_samples == {}
    assert not [line for line in said if "warning" in line]


def test_a_change_without_a_valid_pixel_of_any_date_is_refused(tmp_path: Path) -> None:
    def hide(number: int, image: Any, mask: Any) -> None:
        if number == 2:
            image[:] = np.nan

    with pytest.raises(BadRecord, match=r"s0002\.json: band VV: expected some valid pixels, found every one masked"):
        sealed(blanked(hide), tmp_path, 24)
