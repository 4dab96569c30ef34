"""Image sets by list are found, fitted and built, and what is ambiguous stops with what was found."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.path_label import PIPELINE
from pipelines.synth import path_label
from sar_data import synth
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord, SourceError
from sar_data.record import Record
from sar_data.sources.tree import Folder
from sar_data.spec import Pipeline
from tests.contract.pipelines import PipelineContract


def fit(tree: Folder) -> tuple[Pipeline, tuple[str, ...]]:
    assert PIPELINE.fit
    return PIPELINE.fit(tree)


@pytest.fixture(scope="module")
def path_label_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("path_label")
    path_label.synthesise(out, count=24, seed=0)
    return out


class TestPathLabel(PipelineContract):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, path_label_archive: Path) -> Path:
        return path_label_archive

    def raw_bands(self, root: Path, record: Record) -> npt.NDArray[np.float32]:
        image: npt.NDArray[np.float32] = np.load(root / record.files[0].path, allow_pickle=False)
        return image[None]


def array(path: Path, values: npt.NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    path.write_bytes(stream.getvalue())


def listed(root: Path, **lists: str) -> Folder:
    root.mkdir(exist_ok=True)
    for name, text in lists.items():
        (root / f"{name}.txt").write_text(text)
    return Folder.at(root)


def scanned(pipeline: Pipeline, tree: Folder) -> list[Record]:
    return [record for unit in pipeline.units(tree) for record in pipeline.scan(tree, unit)]


def test_what_was_found_is_said_and_kept_in_the_manifest(path_label_archive: Path, tmp_path: Path) -> None:
    made = build(BuildRequest(dataset=PIPELINE, source=path_label_archive, out=tmp_path, format="lmdb")).manifest
    assert made.title == "Chips of a lab"
    assert [(band.name, band.polarization, band.unit) for band in made.bands] == [("HH", "HH", "amplitude")]
    assert made.shape == (64, 64)
    assert "1 band a sample, 64x64, float32, taken for amplitude" in made.discovered
    assert made.tasks[0].classes == ["Bridge", "Tank_farm", "Open_water"]
    assert {split: made.splits[split].count for split in made.splits} == {"train": 12, "val": 6, "test": 6}


def test_labels_that_are_numbers_need_no_names_and_images_may_differ_in_size(tmp_path: Path) -> None:
    array(tmp_path / "a/one.npy", np.ones((30, 40), np.float32))
    array(tmp_path / "a/two.npy", np.ones((40, 30), np.float32))
    tree = listed(tmp_path, train="a/one.npy 2\n\na/two 0\n")
    fitted, found = fit(tree)
    assert fitted.spec.shape is None
    assert fitted.spec.tasks[0].classes == ("0", "1", "2")
    assert "2 sizes" in " ".join(found)
    assert [record.shape for record in scanned(fitted, tree)] == [(30, 40), (40, 30)]


def test_bands_of_an_array_may_come_last(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((20, 30, 2), np.float32)
    array(tmp_path / "one.npy", values)
    tree = listed(tmp_path, train="one.npy 0\n")
    fitted, _ = fit(tree)
    (record,) = scanned(fitted, tree)
    assert np.array_equal(fitted.read(tree, record).image, values.transpose(2, 0, 1))


def test_pictures_are_8_bit_and_geotiffs_keep_their_type(tmp_path: Path) -> None:
    (tmp_path / "one.tif").write_bytes(
        synth.geotiff(np.ones((2, 9, 9), np.uint16), epsg=None, transform=None, rows_per_strip=9)
    )
    fitted, found = fit(listed(tmp_path, train="one 0\n"))
    assert (fitted.spec.dtype, fitted.spec.bands[1].unit) == ("uint16", "DN")
    assert "taken for DN" in " ".join(found)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({}, "expected lists such as train.txt"),
        ({"test": "one.npy 0\n"}, "expected lists such as train.txt"),
        ({"train": "one.npy 0\n", "my_train2": "one.npy 0\n"}, "expected one list of train"),
        ({"train": "one.npy 0\ntwo.npy\n"}, "train.txt, line 2: expected `path label`"),
        ({"train": "one.npy ship\n"}, "expected labels that are numbers, or classes.txt"),
        ({"train": "../one.npy 0\n"}, "found no image"),
        ({"train": "one.npy 0\ntwo.npy 1\n"}, "one number of bands and one dtype"),
    ],
)
def test_what_the_lists_do_not_tell_stops_the_build(tmp_path: Path, lists: dict[str, str], message: str) -> None:
    root = tmp_path / "set"
    array(root / "one.npy", np.ones((9, 9), np.float32))
    array(root / "two.npy", np.ones((9, 9), np.uint8))
    with pytest.raises(SourceError, match=message):
        fit(listed(root, **lists))


def test_a_listed_image_that_is_missing_is_named_with_its_line(tmp_path: Path) -> None:
    array(tmp_path / "one.npy", np.ones((9, 9), np.float32))
    tree = listed(tmp_path, train="one.npy 0\ngone.npy 0\n")
    fitted, _ = fit(tree)
    with pytest.raises(BadRecord, match=r"train\.txt, line 2: expected an image, found no file that gone.npy"):
        scanned(fitted, tree)


@pytest.mark.parametrize("facts", [{"polarization": "HH"}, {"bands": 5}, {"unit": "linear"}])
def test_a_dataset_json_with_what_is_not_known_is_refused(tmp_path: Path, facts: dict[str, object]) -> None:
    array(tmp_path / "one.npy", np.ones((9, 9), np.float32))
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    wrong = r"unknown .*'polarization'|bands: expected a list|unit: expected .*, found 'linear'. Did you mean 'power'"
    with pytest.raises(SourceError, match=rf"dataset\.json: ({wrong})"):
        fit(listed(tmp_path, train="one.npy 0\n"))


def test_an_array_of_objects_is_refused_before_anything_is_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BadRecord, match=r"one\.npy: expected numbers, found an array of object"):
        fit(listed(tmp_path, train="one.npy 0\n"))
