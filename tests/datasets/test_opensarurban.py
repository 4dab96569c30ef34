"""OpenSARUrban is discovered in whichever folders it lies, and stops where two answers are possible."""

from __future__ import annotations

import re
import shutil
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines._opensarurban import CLASSES, LABELS
from pipelines.opensarurban import LISTS, PIPELINE
from pipelines.synth import opensarurban
from sar_data import synth
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord, MissingList, SourceError, SplitError
from sar_data.record import Record, SourceFile
from sar_data.sources.tree import Folder
from sar_data.spec import Pipeline
from sar_data.testing.pipelines import ListsIn
from tests.contract.pipelines import PipelineContract
from tests.places import SAMPLES

NAMES = SAMPLES / "split_lists" / "opensarurban_sarhub_names.txt"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("opensarurban")
    opensarurban.synthesise(out, count=40, seed=0)
    return out


@pytest.fixture
def archive(made: Path) -> Path:
    return made


def fitted(root: Path, variant: str | None = None) -> tuple[Pipeline, tuple[str, ...]]:
    fit = (PIPELINE if variant is None else PIPELINE.variants[variant]).fit
    assert fit is not None
    return fit(Folder.at(root))


def scanned(root: Path, variant: str | None = None) -> list[Record]:
    pipeline, _ = fitted(root, variant)
    tree = Folder.at(root)
    return [record for unit in sorted(pipeline.units(tree)) for record in pipeline.scan(tree, unit)]


def tif(path: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(synth.geotiff(values, epsg=None, transform=None, rows_per_strip=20))


class TestOriginal(PipelineContract):
    pipeline = PIPELINE


class TestCalibrated(PipelineContract):
    pipeline = PIPELINE.variants["calibrated"]


class TestUint8(PipelineContract):
    pipeline = PIPELINE.variants["uint8"]


@pytest.mark.parametrize(
    ("variant", "dtype", "unit"),
    [(None, "uint16", "amplitude"), ("calibrated", "float32", "power"), ("uint8", "uint8", "8-bit")],
)
def test_dtype_size_and_unit_are_found_and_said(made: Path, variant: str | None, dtype: str, unit: str) -> None:
    pipeline, found = fitted(made, variant)
    assert (pipeline.spec.dtype, pipeline.spec.shape, set(pipeline.spec.units)) == (dtype, (100, 100), {unit})
    assert found[0].startswith("2 folders of")
    assert found[1:] == ("2 packages", f"{dtype}, 100x100, taken for {unit}")


def test_what_was_found_stands_in_the_manifest(made: Path, tmp_path: Path) -> None:
    manifest = build(BuildRequest(dataset=PIPELINE, source=made, out=tmp_path, format="zarr")).manifest
    assert manifest.discovered[1] == "2 packages"


def test_calibrated_pictures_with_negative_values_are_decibels(tmp_path: Path) -> None:
    for pol in ("vv", "vh"):
        tif(tmp_path / "Calib" / f"airport_x1_y2_Polygon3_{pol}.tif", np.full((1, 100, 100), -9.5, np.float32))
    pipeline, _ = fitted(tmp_path, "calibrated")
    assert set(pipeline.spec.units) == {"dB"}


def test_both_spellings_of_a_class_are_one_class(made: Path) -> None:
    spelt = {(record.attrs["spelling"], record.labels["landuse"]) for record in scanned(made)}
    assert {("highbuildings", (0,)), ("highbuilding", (0,)), ("vegetation", (6,)), ("Vegetation", (6,))} <= spelt
    assert len({label for _, label in spelt}) == 10


def test_numbered_packages_are_the_groups_and_without_them_the_polygons_are(made: Path, tmp_path: Path) -> None:
    assert {record.group for record in scanned(made)} == {"OpenSARUrban4", "OpenSARUrban18"}
    shutil.copytree(made / "OpenSARUrban4" / "Image", tmp_path / "Image")
    alone = scanned(tmp_path)
    assert {record.group for record in alone} == {f"{name}_Polygon{n}" for name in CLASSES for n in (1, 2)}
    assert {record.key for record in alone} == {record.attrs["list_name"] for record in alone}


def test_class_folders_below_a_format_are_no_packages(made: Path, tmp_path: Path) -> None:
    for path in (made / "OpenSARUrban4" / "Image").iterdir():
        target = tmp_path / "top" / "Image" / path.name.split("_")[0] / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    assert len(scanned(tmp_path)) == 20
    assert {record.group for record in scanned(tmp_path)} == {f"{c}_Polygon{n}" for c in CLASSES for n in (1, 2)}


def test_one_place_named_alike_in_two_cities_is_two_samples(made: Path, tmp_path: Path) -> None:
    for package in ("1", "2"):
        shutil.copytree(made / "OpenSARUrban4" / "Image", tmp_path / package / "Image")
        for path in list((tmp_path / package / "Image").iterdir()):
            if (
                not path.name.startswith("airport")
                and int(re.findall(r"_y(\d+)", path.name)[0]) % 200 == int(package) * 100 % 200
            ):
                path.unlink()
    keys = [record.key for record in scanned(tmp_path)]
    assert len(keys) == len(set(keys))
    assert {f"{n}_{stem}" for n in "12" for stem in ("airport_x4000_y9800_Polygon1",)} <= set(keys)


def test_two_folders_of_the_same_names_may_be_two_formats_and_stop_the_build(made: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        shutil.copytree(made / "OpenSARUrban4" / "Image", tmp_path / name)
    with pytest.raises(SourceError, match=r"packages of different places, found 40 names in both.*`source=…`"):
        fitted(tmp_path)


def test_pictures_of_two_dtypes_stop_the_build(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "raw")
    for path in (tmp_path / "raw" / "OpenSARUrban18" / "Image").iterdir():
        tif(path, np.ones((1, 100, 100), np.float32))
    with pytest.raises(SourceError, match=r"one dtype, size and sign.*float32.*uint16"):
        fitted(tmp_path / "raw")


def test_a_source_of_another_form_is_named_with_the_variant_to_take(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "OpenSARUrban4" / "Calib", tmp_path / "Calib")
    with pytest.raises(SourceError, match=r"expected original pictures.*found only calibrated: take that `variant=…`"):
        fitted(tmp_path)
    with pytest.raises(SourceError, match="no form of them"):
        fitted(made / "lists")


def test_the_list_names_carry_no_city_and_place_every_pair(made: Path) -> None:
    records = scanned(made)
    placed = PIPELINE.splits["sarhub"].assign(records, seed=0, lists=ListsIn(made / "lists"))
    assert Counter(placed.split) == {"train": 28, "val": 8, "test": 4}
    assert placed.notes["names_absent"] == 0


def test_lists_that_are_missing_or_of_another_dataset_stop_the_split(made: Path, tmp_path: Path) -> None:
    policy = PIPELINE.splits["sarhub"]
    with pytest.raises(MissingList, match=r"osu_train\.txt.*`lists=…`"):
        policy.assign(scanned(made), seed=0, lists=ListsIn(tmp_path))
    for name in LISTS:
        (tmp_path / name).write_text("airport_x0_y0_Polygon0_vv.npy 8\n" if name == LISTS[0] else "")
    with pytest.raises(SplitError, match="found only others"):
        policy.assign(scanned(made), seed=0, lists=ListsIn(tmp_path))
    (tmp_path / LISTS[1]).write_text("\nnothing of the kind 3")
    with pytest.raises(SplitError, match=r"osu_val\.txt, line 2"):
        policy.assign(scanned(made), seed=0, lists=ListsIn(tmp_path))
    (tmp_path / LISTS[1]).write_text("airport_x0_y0_Polygon0_vv.npy 8")
    with pytest.raises(SplitError, match="in one list, found it in that of train too"):
        policy.assign(scanned(made), seed=0, lists=ListsIn(tmp_path))


def test_the_published_names_give_the_published_classes_and_split(tmp_path: Path) -> None:
    if not NAMES.is_file():
        pytest.skip(f"no {NAMES}: set SAR_DATA_SAMPLES")
    rows = [line.split() for line in NAMES.read_text().splitlines() if line.strip()]
    for file, split in zip(LISTS, ("train", "val", "test"), strict=True):
        (tmp_path / file).write_text("\n".join(f"{name} {label}" for which, name, label in rows if which == split))
    records = []
    for _, name, label in rows:
        path = f"Image/{name.replace('.npy', '.tif')}"
        (record,) = PIPELINE.scan(Names(), path)
        assert record.labels == {"landuse": (int(label),)}
        records.append(record)
    assert len({record.key for record in records}) == len(records) == 16_434
    assert [Counter(r.labels["landuse"][0] for r in records)[i] for i in range(10)] == [
        4487,
        3787,
        3153,
        1617,
        647,
        920,
        1485,
        201,
        97,
        40,
    ]
    spelt = Counter(record.attrs["spelling"] for record in records)
    assert [spelt[n] for n in ("highbuildings", "highbuilding", "vegetation", "Vegetation")] == [3816, 671, 1160, 325]
    placed = PIPELINE.splits["sarhub"].assign(records, seed=0, lists=ListsIn(tmp_path))
    assert Counter(placed.split) == {"train": 11_503, "val": 3_287, "test": 1_644}
    for split, expected in (
        ("train", [3152, 2660, 2161, 1138, 447, 652, 1061, 135, 64, 33]),
        ("val", [878, 748, 653, 335, 140, 181, 282, 41, 25, 4]),
        ("test", [457, 379, 339, 144, 60, 87, 142, 25, 8, 3]),
    ):
        found = Counter(r.labels["landuse"][0] for r, s in zip(records, placed.split, strict=True) if s == split)
        assert [found[i] for i in range(10)] == expected


class Names(Folder):
    """A tree in which every file is there and empty."""

    def __init__(self) -> None:
        super().__init__("")

    def size(self, path: str) -> int:
        return 0


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _another_size(path: Path) -> None:
    tif(path, np.ones((1, 64, 64), np.uint16))


def _two_bands(path: Path) -> None:
    tif(path, np.ones((2, 100, 100), np.uint16))


def _another_dtype(path: Path) -> None:
    tif(path, np.ones((1, 100, 100), np.float32))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_truncated, "truncated"),
        (lambda path: path.write_bytes(b""), "empty file"),
        (lambda path: path.write_bytes(b"<html>please log in</html>"), "expected a TIFF, found b'<html>"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99)), "expected a TIFF, found b'.x89PNG"),
        (_another_size, "expected 1 band of 100x100 pixels, found 1 band of 64x64"),
        (_two_bands, "expected 1 band of 100x100 pixels, found 2 bands"),
        (_another_dtype, "expected uint16 pixels, found float32"),
    ],
)
def test_a_damaged_picture_is_named_with_the_reason(
    made: Path, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    shutil.copytree(made / "OpenSARUrban4", tmp_path / "raw")
    pipeline, _ = fitted(tmp_path / "raw")
    broken = tmp_path / "raw" / "Image" / "railway_x4000_y9900_Polygon1_vh.tif"
    damage(broken)
    tree = Folder.at(tmp_path / "raw")
    records = [record for unit in pipeline.units(tree) for record in pipeline.scan(tree, unit)]
    with pytest.raises(BadRecord, match=reason) as raised:
        deque((pipeline.read(tree, record) for record in records), 0)
    assert raised.value.path.endswith(broken.name)


@pytest.mark.parametrize("missing", ["vv", "vh"])
def test_a_missing_polarization_is_a_bad_record_that_names_it(made: Path, tmp_path: Path, missing: str) -> None:
    shutil.copytree(made / "OpenSARUrban4", tmp_path / "raw")
    (tmp_path / "raw" / "Image" / f"highway_x4000_y9700_Polygon1_{missing}.tif").unlink()
    with pytest.raises(BadRecord, match=f"_{missing}.tif: expected a file, found none"):
        scanned(tmp_path / "raw")


def test_a_class_that_nobody_knows_is_a_bad_record() -> None:
    assert len(LABELS) == 10
    with pytest.raises(BadRecord, match=r"one of the classes highbuildings.*found harbour_x1"):
        list(PIPELINE.scan(Names(), "Image/harbour_x1_y2_Polygon3_vv.tif"))


def test_a_png_is_read_as_one_channel_or_refused(tmp_path: Path) -> None:
    record = Record(key="a", files=(SourceFile("a_vv.png", 1),))
    (tmp_path / "a_vv.png").write_bytes(b"II*\0 a TIFF named .png")
    with pytest.raises(BadRecord, match="expected a JPEG or PNG"):
        PIPELINE.read(Folder.at(tmp_path), record)
