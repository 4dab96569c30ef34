"""SEN1-2 stays what it is: stretched pictures of one polarization, told by their unit and split by scenes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.sen1_2 import PIPELINE
from pipelines.synth import sen1_2
from sar_data import synth
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord
from sar_data.raster.gdal import encode
from sar_data.record import Record
from sar_data.sources.tree import Folder
from tests.contract.pipelines import PipelineContract

FIRST = "ROIs1158_spring_s1_0_p30"


def records(root: Path) -> dict[str, Record]:
    tree = Folder.at(root)
    return {record.key: record for unit in PIPELINE.units(tree) for record in PIPELINE.scan(tree, unit)}


@pytest.fixture(scope="module")
def sen1_2_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sen1-2")
    sen1_2.synthesise(out, count=16, seed=0)
    return out


class TestSen12(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, sen1_2_archive: Path) -> Path:
        return sen1_2_archive


def test_scenes_count_from_0_and_belong_together_by_season(sen1_2_archive: Path) -> None:
    found = records(sen1_2_archive)
    assert found[FIRST].group == "ROIs1158_spring_0"
    assert len({record.group for record in found.values()}) == 12


def test_no_db_is_told_of_a_stretched_picture(sen1_2_archive: Path, tmp_path: Path) -> None:
    made = build(BuildRequest(dataset=PIPELINE, source=sen1_2_archive, out=tmp_path))
    assert made.manifest.statistics is not None
    band = made.manifest.statistics["train"].bands["VV"]
    assert "dB" not in band.model_dump_json()
    assert [band.unit for band in PIPELINE.spec.bands] == ["8-bit"]


def test_the_optical_partner_is_named_and_not_read(sen1_2_archive: Path) -> None:
    record = records(sen1_2_archive)[FIRST]
    assert record.attrs["s2_name"] == "ROIs1158_spring_s2_0_p30.png"
    assert [file.path for file in record.files] == [f"ROIs1158_spring/s1_0/{FIRST}.png"]


GREY = np.arange(256, dtype=np.uint8) * np.ones((256, 1), np.uint8)


def test_three_equal_channels_are_one(sen1_2_archive: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(sen1_2_archive, tmp_path / "raw"))
    (root / "ROIs1158_spring" / "s1_0" / f"{FIRST}.png").write_bytes(encode(np.stack([GREY] * 3), "PNG"))
    image = PIPELINE.read(Folder.at(root), records(root)[FIRST]).image
    assert np.array_equal(image, GREY[None])


def flipped(data: bytes) -> bytes:
    return data[:2000] + bytes([data[2000] ^ 1]) + data[2001:]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(encode(np.stack([GREY, GREY, 255 - GREY]), "PNG")), "found 3 that differ"),
        (lambda path: path.write_bytes(encode(GREY[None].astype(np.uint16), "PNG")), "expected 8-bit pixels"),
        (lambda path: path.write_bytes(synth.png(GREY[:128])), "expected 256x256 pixels, found 128x256"),
        (lambda path: path.write_bytes(b""), "expected a JPEG or PNG, found b''"),
        (lambda path: path.write_text("<!DOCTYPE html>"), "DOCTYPE"),
        (lambda path: os.truncate(path, 3000), "truncated: expected at least"),
        (lambda path: os.truncate(path, path.stat().st_size - 12), "truncated: expected at least"),
        (lambda path: path.write_bytes(flipped(path.read_bytes())), "wrong CRC-32 in its chunk b'IDAT'"),
        (lambda path: path.rename(path.with_name("ROIs1158_spring_s1_9_p30.png")), "expected a patch of s1_0"),
        (lambda path: path.with_name("notes.txt").write_text("?"), "expected a patch of s1_0"),
    ],
)
def test_a_picture_that_is_not_as_documented_is_a_bad_record(
    sen1_2_archive: Path, tmp_path: Path, damage: Callable[[Path], Any], reason: str
) -> None:
    root = Path(shutil.copytree(sen1_2_archive, tmp_path / "raw"))
    damage(root / "ROIs1158_spring" / "s1_0" / f"{FIRST}.png")
    with pytest.raises(BadRecord, match=reason):
        PIPELINE.read(Folder.at(root), records(root)[FIRST])
