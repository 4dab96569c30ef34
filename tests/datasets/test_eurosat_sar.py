"""EuroSAT-SAR is read in its documented layout, and what deviates from it is named."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio

from pipelines.eurosat_sar import CLASSES
from pipelines.eurosat_sar import PIPELINE as EUROSAT
from pipelines.synth import eurosat_sar
from sar_data import catalog, synth
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord
from sar_data.record import Record
from sar_data.sources.tree import Folder
from sar_data.split.ground.neighbours import boxes_of, find_near
from sar_data.testing.pipelines import ListsIn
from tests.contract.pipelines import PipelineContract


def scan(root: Path) -> list[Record]:
    tree = Folder.at(root)
    return [record for unit in sorted(EUROSAT.units(tree)) for record in EUROSAT.scan(tree, unit)]


@pytest.fixture(scope="module")
def eurosat_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("eurosat")
    eurosat_sar.synthesise(out, count=200, seed=0)
    return out


class TestEuroSat(PipelineContract):
    pipeline = EUROSAT

    @pytest.fixture
    def archive(self, eurosat_archive: Path) -> Path:
        return eurosat_archive


def eurosat(root: Path) -> Path:
    eurosat_sar.synthesise(root, count=20, seed=0)
    return root / "EuroSAT-SAR"


def test_eurosat_is_found_whatever_its_top_folder_is_called(tmp_path: Path) -> None:
    top = eurosat(tmp_path)
    keys = {record.key for record in scan(top)}
    assert keys == {f"{name}_{n}" for name in CLASSES for n in (1, 2)}
    for other in ("renamed", "a/b"):
        target = tmp_path / "at" / other.replace("/", "_") / other
        shutil.copytree(top, target)
        assert {record.key for record in scan(tmp_path / "at" / other.replace("/", "_"))} == keys


def test_a_class_folder_that_nobody_knows_is_a_bad_record_and_junk_is_not(tmp_path: Path) -> None:
    top = eurosat(tmp_path)
    (top / "__MACOSX").mkdir()
    (top / "__MACOSX" / "._Forest_1.tif").write_bytes(b"junk")
    (top / "Forest" / "._Forest_1.tif").write_bytes(b"junk")
    (top / "Forest" / "Thumbs.db").write_bytes(b"junk")
    assert len(scan(tmp_path)) == 20
    shutil.copytree(top / "Forest", top / "Woods", ignore=lambda *_: ["._Forest_1.tif", "Forest_2.tif", "Thumbs.db"])
    (top / "Woods" / "Forest_1.tif").rename(top / "Woods" / "Woods_1.tif")
    with pytest.raises(BadRecord, match=r"Woods_1.tif: expected one of the classes AnnualCrop.*found Woods"):
        scan(tmp_path)


def test_a_file_of_another_class_in_a_class_folder_is_a_bad_record(tmp_path: Path) -> None:
    top = eurosat(tmp_path)
    (top / "Forest" / "Forest_1.tif").rename(top / "River" / "Forest_1.tif")
    with pytest.raises(BadRecord, match=r"name like River_1.tif in the folder River, found Forest_1.tif"):
        scan(tmp_path)


def test_a_eurosat_file_may_lack_its_georeference_but_not_its_form(tmp_path: Path) -> None:
    path = eurosat(tmp_path) / "Forest" / "Forest_1.tif"
    image = np.random.default_rng(0).standard_normal((2, 64, 64)).astype(np.float32)
    for pixels, reason in (
        (image, None),
        (image[:1], "expected 2 bands of 64x64 pixels, found 1 band"),
        (image.astype(np.int16), "found int16"),
        (image[:, :32], "32x64"),
    ):
        path.write_bytes(synth.geotiff(pixels, epsg=None, transform=None, rows_per_strip=16))
        (record,) = (record for record in scan(tmp_path) if record.key == "Forest_1")
        assert (record.crs, record.transform, record.footprint) == (None, None, None)
        if reason is None:
            assert EUROSAT.read(Folder.at(tmp_path), record).image.tobytes() == image.tobytes()
        else:
            with pytest.raises(BadRecord, match=reason):
                EUROSAT.read(Folder.at(tmp_path), record)


def test_fgmae_val_is_the_published_draw_with_blocks_of_its_train_as_val(eurosat_archive: Path) -> None:
    found = scan(eurosat_archive)
    lists = ListsIn(eurosat_archive)
    drawn = EUROSAT.splits["fgmae"].assign(found, seed=42, lists=lists)
    carved = EUROSAT.splits["fgmae-val"].assign(found, seed=42, lists=lists)
    moved = Counter(zip(drawn.split, carved.split, strict=True))
    assert moved.keys() == {("train", "train"), ("train", "val"), ("train", "unused"), ("test", "test")}
    assert moved["test", "test"] == Counter(drawn.split)["test"] == 40
    assert moved["train", "val"] == pytest.approx(16, abs=8)  # a tenth of train, in whole blocks
    assert {why for why in carved.reason if why} == {"buffer: within 1 patch of val"}
    train, val = ([r for r, name in zip(found, carved.split, strict=True) if name == part] for part in ("train", "val"))
    for crs in {record.crs for record in val}:
        one, other = (boxes_of([r for r in part if r.crs == crs]) for part in (train, val))
        assert not find_near(one, other, np.zeros(2)).any()


def test_wider_floats_are_narrowed_and_counted(tmp_path: Path) -> None:
    source = tmp_path / "raw"
    catalog.synthesise("eurosat-sar")(source, count=100, seed=0)
    plain = build(BuildRequest(dataset=EUROSAT, source=source, out=tmp_path / "plain"))
    path = source / "EuroSAT-SAR" / "Forest" / "Forest_1.tif"
    with rasterio.open(path) as raster:
        wide = raster.read().astype(np.float64)
        # As GDAL writes float64: the same values, in another file.
        profile = {**raster.profile, "dtype": "float64"}
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(wide)
    narrowed = build(BuildRequest(dataset=EUROSAT, source=source, out=tmp_path / "narrowed"))
    assert (plain.manifest.narrowed_records, narrowed.manifest.narrowed_records) == (0, 1)
    assert narrowed.manifest.content_digest == plain.manifest.content_digest
