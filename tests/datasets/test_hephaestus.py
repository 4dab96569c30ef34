"""Hephaestus pairs get the masks their annotations draw, and what an annotation leaves open is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.hephaestus import ACTIVITIES, PIPELINE
from pipelines.hephaestus_crops import PIPELINE as CROPS
from pipelines.synth import hephaestus
from sar_data.errors import BadRecord
from sar_data.raster import image
from sar_data.raster.gdal import encode
from sar_data.record import Record
from sar_data.sources.tree import Folder
from tests.contract.pipelines import PipelineContract


@pytest.fixture(scope="module")
def hephaestus_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hephaestus")
    hephaestus.synthesise(out, count=24, seed=0)
    return out


class TestHephaestus(PipelineContract):
    pipeline = PIPELINE
    split = "random"

    @pytest.fixture
    def archive(self, hephaestus_archive: Path) -> Path:
        return hephaestus_archive


class TestHephaestusCrops(PipelineContract):
    pipeline = CROPS

    @pytest.fixture
    def archive(self, hephaestus_archive: Path) -> Path:
        return hephaestus_archive


def records(root: Path) -> dict[str, Record]:
    tree = Folder.at(root)
    return {record.key: record for unit in PIPELINE.units(tree) for record in PIPELINE.scan(tree, unit)}


def test_a_flat_polygon_and_a_list_of_polygons_give_the_same_mask(hephaestus_archive: Path, tmp_path: Path) -> None:
    shutil.copytree(hephaestus_archive, tmp_path / "raw")
    path = tmp_path / "raw/annotations/1.json"
    facts = json.loads(path.read_text())
    masks: list[npt.NDArray[Any]] = []
    for mask in (facts["segmentation_mask"], [facts["segmentation_mask"]]):
        path.write_text(json.dumps(facts | {"segmentation_mask": mask}))
        sample = PIPELINE.read(Folder.at(tmp_path / "raw"), records(tmp_path / "raw")["1"])
        assert sample.mask is not None
        masks.append(sample.mask)
    assert np.array_equal(*masks)
    assert set(np.unique(masks[0]).tolist()) == {0, ACTIVITIES.index(facts["activity_type"][0])}


def test_frames_differ_in_size_and_one_place_is_one_group(hephaestus_archive: Path) -> None:
    found = records(hephaestus_archive)
    assert {record.shape for record in found.values()} == {(90, 120), (110, 80)}
    assert {record.group for record in found.values()} == set(hephaestus.FRAMES)


def test_corrupted_frames_are_unused_and_say_so(hephaestus_archive: Path) -> None:
    reasons = {key: record.unused for key, record in records(hephaestus_archive).items() if record.unused}
    assert reasons == {"9": "marked corrupted", "19": "marked corrupted"}


def test_a_caption_is_kept_where_there_is_one(hephaestus_archive: Path, tmp_path: Path) -> None:
    shutil.copytree(hephaestus_archive, tmp_path / "raw")
    path = tmp_path / "raw/annotations/1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"caption": "Fringes around the crater."}))
    found = records(tmp_path / "raw")
    assert found["1"].attrs["caption"] == "Fringes around the crater."
    assert "caption" not in found["2"].attrs


def test_all_three_channels_of_a_picture_must_be_equal(hephaestus_archive: Path, tmp_path: Path) -> None:
    shutil.copytree(hephaestus_archive, tmp_path / "raw")
    path = next((tmp_path / "raw").rglob("*.geo.cc.png"))
    grey = image.grey(path.read_bytes(), path.name)[0]
    path.write_bytes(encode(np.stack([grey, grey, 255 - grey]), "PNG"))
    found = next(r for r in records(tmp_path / "raw").values() if r.files[1].path.endswith(path.name))
    with pytest.raises(BadRecord, match="three equal ones"):
        PIPELINE.read(Folder.at(tmp_path / "raw"), found)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: {"segmentation_mask": [[1, 1, 5, 1, 5, 5]] * 2, "activity_type": []}, "activity_type for each of 2"),
        (lambda f: {"activity_type": ["Flood"]}, "activities of"),
        (lambda f: {"segmentation_mask": [[1, "a", 5, 1, 5, 5]]}, "polygons of numbers"),
        (lambda f: {"label": ["Landslide"]}, "expected labels among"),
        (lambda f: {"label": "Deformation"}, "the key 'label' of type list"),
        (lambda f: {"frameID": "000A_nowhere"}, "expected a file, found none"),
    ],
)
def test_an_annotation_that_leaves_something_open_is_named(
    hephaestus_archive: Path, tmp_path: Path, change: Callable[[Any], dict[str, Any]], reason: str
) -> None:
    shutil.copytree(hephaestus_archive, tmp_path / "raw")
    path = tmp_path / "raw/annotations/1.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | change(facts)))
    with pytest.raises(BadRecord, match=reason):
        records(tmp_path / "raw")
