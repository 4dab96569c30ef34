"""Kuro Siwo keeps its dates in order where some lack, hides what is no data, and never puts a flood in two splits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.kuro_siwo import BENCH, PIPELINE, TEST, TRAIN, VAL
from pipelines.synth import kuro_siwo
from sar_data import synth
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord
from sar_data.record import Record
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.sources.tree import Folder
from sar_data.spec import Pipeline
from sar_data.testing.pipelines import ListsIn
from tests.contract.pipelines import PipelineContract

SIDE = 224


@pytest.fixture(scope="module")
def kuro_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("kuro-siwo")
    kuro_siwo.synthesise(out, count=24, seed=0)
    return out


@pytest.fixture(scope="module")
def bench_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("flood-s1")
    kuro_siwo.synthesise_bench(out, count=9, seed=0)
    return out


def records(root: Path, pipeline: Pipeline = PIPELINE) -> list[Record]:
    tree = Folder.at(root)
    return [record for unit in pipeline.units(tree) for record in pipeline.scan(tree, unit)]


def of_event(root: Path, event: str) -> Record:
    return next(record for record in records(root) if record.group == event and record.unused is None)


class Kuro(PipelineContract):
    def raw_bands(self, root: Path, record: Record) -> npt.NDArray[Any]:
        """Return the bands of the dates that are there, and NaN for the others."""
        found = super().raw_bands(root, record)[: 2 * sum(date.time is not None for date in record.dates)]
        image = np.full((len(record.dates), 2, SIDE, SIDE), np.nan, np.float32)
        image[[date.time is not None for date in record.dates]] = found.reshape(-1, 2, SIDE, SIDE)
        return image.reshape(-1, SIDE, SIDE)

    def check_build(self, archive: Path, build: Build) -> None:
        super().check_build(archive, build)
        with build.reader() as reader:
            image = reader.read(places(build.index())[0])
        assert np.isnan(image[-1][..., :20]).all()  # they are 0.0 in the files
        assert np.isfinite(image[-1][..., 20:]).all()


class TestKuroSiwo(Kuro):
    pipeline = PIPELINE

    @pytest.fixture
    def archive(self, kuro_archive: Path) -> Path:
        return kuro_archive


class TestFloodS1(Kuro):
    pipeline = BENCH

    @pytest.fixture
    def archive(self, bench_archive: Path) -> Path:
        return bench_archive


def test_dates_are_ordered_from_the_oldest_to_the_flood(kuro_archive: Path) -> None:
    record = of_event(kuro_archive, "130")
    assert [(date.role, f"{date.time:%Y-%m-%d}") for date in record.dates] == [
        ("pre2", "2018-02-19"),
        ("pre", "2018-03-03"),
        ("post", "2018-03-15"),
    ]
    assert [Path(file.path).name[:7] for file in record.files[:6:2]] == ["SL2_IVV", "SL1_IVV", "MS1_IVV"]


@pytest.mark.parametrize(("event", "lacking"), [("470", [True, True, False]), ("514", [True, False, False])])
def test_a_date_that_lacks_is_missing_as_a_whole_and_keeps_its_role(
    kuro_archive: Path, event: str, lacking: list[bool]
) -> None:
    record = of_event(kuro_archive, event)
    assert [date.role for date in record.dates] == ["pre2", "pre", "post"]
    assert [date.time is None for date in record.dates] == lacking
    sample = PIPELINE.read(Folder.at(kuro_archive), record)
    assert np.isnan(sample.image).all(axis=(1, 2, 3)).tolist() == lacking
    assert sample.nodata == (sum(lacking) * SIDE * SIDE,) * 2


def test_what_is_outside_of_the_area_or_not_valid_is_ignored(kuro_archive: Path) -> None:
    mask = PIPELINE.read(Folder.at(kuro_archive), of_event(kuro_archive, "130")).mask
    assert mask is not None
    assert (mask[-10:] == 255).all()
    assert (mask[:, :20] == 255).all()
    assert set(np.unique(mask[:-10, 20:]).tolist()) <= {0, 1, 2}


def test_chips_outside_of_all_areas_lie_one_folder_deeper_and_are_unused(kuro_archive: Path) -> None:
    found = records(kuro_archive)
    unlabelled = [record for record in found if record.attrs["area"] == "00"]
    assert {record.unused for record in unlabelled} == {"no label"}
    assert len(unlabelled) == 6
    assert all(record.files[0].path.split("/")[-2][:2] == record.files[0].path.split("/")[-3] for record in unlabelled)
    assert not [record for record in found if record.attrs["area"] != "00" and record.unused]


def test_no_flood_stands_in_two_splits_of_the_official_split(kuro_archive: Path) -> None:
    assert len({*TRAIN, *VAL, *TEST}) == len(TRAIN) + len(VAL) + len(TEST) == 44
    found = records(kuro_archive)
    made = PIPELINE.splits["official"].assign(found, seed=0, lists=ListsIn(kuro_archive))
    placed = {(record.group, split) for record, split in zip(found, made.split, strict=True) if split != "unused"}
    assert placed == {("130", "train"), ("470", "train"), ("514", "val"), ("321", "test"), ("1111013", "test")}


def test_the_lists_of_the_benchmark_give_its_splits_and_two_dates(bench_archive: Path) -> None:
    found = records(bench_archive, BENCH)
    assert {record.official for record in found} == {"train", "val", "test"}
    assert {tuple(date.role for date in record.dates) for record in found} == {("pre", "post")}
    (source,) = BENCH.spec.sources
    assert source.url.endswith("/9d252acd3aa0e3da3128e05c6f028647f0e48e5f/l3_flood_s1/flood_s1.zip")
    assert source.checksum == "md5:f4337fee5e90203c6d0c3efeb0b97b8a"
    assert BENCH.spec.licence == "CC-BY-4.0"  # the copy says MIT, which is not the publisher's


def test_no_pickle_is_opened(kuro_archive: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(kuro_archive, tmp_path / "raw"))
    (root / "pickle").mkdir()
    (root / "pickle" / "KuroV2_grid_dict.gz").write_bytes(b"not to be read")
    assert records(root) == records(kuro_archive)


def test_a_list_that_leads_out_of_the_source_is_refused(bench_archive: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(bench_archive, tmp_path / "raw"))
    (root / "flood_s1/grid_dict_val.json").write_text(json.dumps({"a": {"path": "../../etc"}}))
    with pytest.raises(BadRecord, match=r"expected the path ACTIVATION/AREA/ID of a, found '../../etc'"):
        records(root, BENCH)


CODES = np.zeros((1, SIDE, SIDE), np.uint8)
SQUARE = (10.0, 0.0, 0.0, 0.0, -10.0, 0.0)


def write(path: Path, pixels: npt.NDArray[Any], transform: tuple[float, ...] = SQUARE) -> None:
    path.write_bytes(synth.geotiff(pixels, epsg=3857, transform=transform, rows_per_strip=32))  # type: ignore[arg-type]


def path_of(root: Path, record: Record, name: str) -> Path:
    return next(root / file.path for file in record.files if name in file.path)


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("SL1_IVH", Path.unlink, "expected SL1_IVV and SL1_IVH of one day"),
        ("MS1_IVV", Path.unlink, "expected MS1_IVV and MS1_IVH of one day"),
        ("SL1_IVH", lambda path: path.rename(str(path).replace("0303", "0304")), "found 20180303, 20180304"),
        ("SL2_IVV", lambda path: shutil.copy(path, str(path).replace("0219", "0218")), "expected one file of each"),
        ("SL1_IVV", lambda path: write(path, CODES.astype(np.float32)), "expected the georeference of"),
        ("MK0_MLU", lambda path: write(path, CODES[:, :99]), "expected 1 band of 224x224"),
        ("MK0_MLU", lambda path: write(path, CODES + 4), "expected values from 0 to 3, found 4"),
        ("MK0_MNA", lambda path: write(path, CODES + 2), "expected values from 0 to 1, found 2"),
    ],
)
def test_a_chip_that_is_not_as_documented_ends_in_a_sentence(
    kuro_archive: Path, tmp_path: Path, name: str, damage: Callable[[Path], Any], reason: str
) -> None:
    root = Path(shutil.copytree(kuro_archive, tmp_path / "raw"))
    damage(path_of(root, of_event(root, "130"), name))
    with pytest.raises(BadRecord, match=reason):
        PIPELINE.read(Folder.at(root), of_event(root, "130"))


def test_the_zip_of_the_benchmark_is_built_in_place(bench_archive: Path, tmp_path: Path) -> None:
    packed = shutil.make_archive(str(tmp_path / "flood_s1"), "zip", bench_archive)
    made = build(BuildRequest(dataset=BENCH, source=Path(packed), out=tmp_path / "out"))
    assert {name: split.count for name, split in made.manifest.splits.items()} == {"train": 3, "val": 3, "test": 3}
    assert (made.manifest.variant, made.manifest.frames) == ("copernicus-bench", 2)
