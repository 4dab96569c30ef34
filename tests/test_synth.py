"""Miniature archives have the published structure, true speckle, and do not change when they grow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from pipelines.bigearthnet_s1 import PIPELINE as BIGEARTHNET
from pipelines.synth import bigearthnet_s1, eurosat_sar
from sar_data import synth
from sar_data.labels import corine
from sar_data.raster import tiff
from sar_data.sources.tree import Folder
from tests.places import SAMPLES

UTM = (10.0, 0.0, 404400.0, 0.0, -10.0, 5342400.0)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bigearthnet")
    bigearthnet_s1.synthesise(out, count=240, seed=7)
    return out


def test_a_patch_has_the_size_and_the_tags_of_the_published_files() -> None:
    data = synth.geotiff(np.zeros((1, 120, 120), np.float32), epsg=32633, transform=UTM, rows_per_strip=17)
    tags = [int.from_bytes(data[at : at + 2], "little") for at in range(10, 10 + 15 * 12, 12)]
    assert len(data) == 58_024
    assert data[:10] == b"II*\0\x08\0\0\0\x0f\0"
    assert tags == [256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 339, 33550, 33922, 34735, 34737]


def test_writing_a_real_file_anew_gives_identical_bytes() -> None:
    files = sorted(SAMPLES.glob("bigearthnet-s1-v1.0/*/*/*.tif"))
    if not files:
        pytest.skip(f"no real BigEarthNet patches in {SAMPLES}: set SAR_DATA_SAMPLES")
    for file in files:
        data = file.read_bytes()
        crs, transform = tiff.georeference_of(data)
        pixels = tiff.read(data, file.name, shape=(120, 120), dtypes=("float32",), bands=1).pixels
        assert crs is not None
        assert synth.geotiff(pixels, epsg=int(crs[5:]), transform=transform, rows_per_strip=17) == data


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("epsg", [32633, 32760, 4326])
def test_gdal_reads_what_is_written(planar: bool, epsg: int) -> None:
    image = np.random.default_rng(0).standard_normal((2, 64, 64)).astype(np.float32)
    data = synth.geotiff(image, epsg=epsg, transform=UTM, rows_per_strip=16, planar=planar)
    with rasterio.MemoryFile(data) as memory, memory.open() as source:
        assert source.read().tobytes() == image.tobytes()
        assert source.crs.to_epsg() == epsg
        assert tuple(source.transform)[:6] == UTM


def test_what_the_writer_cannot_say_is_refused() -> None:
    image = np.zeros((1, 4, 4), np.float32)
    with pytest.raises(ValueError, match="found EPSG:3035"):
        synth.geotiff(image, epsg=3035, transform=UTM, rows_per_strip=4)
    with pytest.raises(ValueError, match="without rotation"):
        synth.geotiff(image, epsg=32633, transform=(10.0, 1.0, 0.0, 0.0, -10.0, 0.0), rows_per_strip=4)


@pytest.mark.parametrize(("looks", "bias_db"), [(1.0, -2.507), (4.4, -0.512)])
def test_speckle_keeps_the_mean_power_and_has_its_looks(looks: float, bias_db: float) -> None:
    power = np.full((2000, 1000), synth.from_db(-12.0), np.float32)
    decibel = synth.speckle(power, looks, synth.generator(1)).astype(np.float64)
    linear = 10 ** (decibel / 10)
    assert 10 * np.log10(linear.mean()) == pytest.approx(-12.0, abs=0.01)
    assert linear.mean() ** 2 / linear.var() == pytest.approx(looks, rel=0.01)
    assert decibel.mean() == pytest.approx(-12.0 + bias_db, abs=0.02)


def test_every_class_of_a_mosaic_covers_its_share_and_they_are_few() -> None:
    for seed in range(50):
        nodes = synth.generator(seed).standard_normal((12, 4, 4), np.float32)
        winners, present = synth.mosaic(nodes, 120, most=5, least=0.04)
        share = np.bincount(winners.ravel(), minlength=12) / winners.size
        assert np.flatnonzero(share).tolist() == present
        assert 1 <= len(present) <= 5
        assert share[present].min() >= 0.04


@pytest.mark.parametrize("module", [bigearthnet_s1, eurosat_sar])
def test_a_larger_archive_contains_the_smaller_one_and_another_seed_is_another(module: object, tmp_path: Path) -> None:
    for name, count, seed in (("few", 30, 3), ("many", 60, 3), ("other", 30, 4)):
        module.synthesise(tmp_path / name, count=count, seed=seed)  # type: ignore[attr-defined]
    few, many, other = (contents(tmp_path / name) for name in ("few", "many", "other"))
    pixels = {path for path in few if path.endswith((".tif", ".json"))}
    assert all(many[path] == few[path] for path in pixels)
    assert not {few[path] for path in pixels if path.endswith(".tif")} & set(other.values())


def test_the_lists_name_every_patch_once_or_exclude_it(archive: Path) -> None:
    lists = {path.name: path.read_bytes().decode().split("\r\n")[:-1] for path in (archive / "lists").iterdir()}
    assert set(lists) == set(BIGEARTHNET.spec.lists)
    partners = dict(line.split(",") for line in lists.pop("s1s2_mapping.csv"))
    splits = [name for split in ("train.csv", "val.csv", "test.csv") for name in lists[split]]
    excluded = {name for file, names in lists.items() if file.startswith("patches") for name in names}
    assert len(splits) == len(set(splits))
    assert not excluded & set(splits)
    assert excluded | set(splits) == set(partners)
    assert set(partners.values()) == {path.name for path in (archive / "BigEarthNet-S1-v1.0").iterdir()}
    for split, share in (("train.csv", 0.45), ("val.csv", 0.2), ("test.csv", 0.2)):
        assert len(lists[split]) / 240 == pytest.approx(share, abs=0.03)
    tree = Folder.at(archive)
    records = [record for unit in BIGEARTHNET.units(tree) for record in BIGEARTHNET.scan(tree, unit)]
    without = {record.attrs["s2_name"] for record in records if record.unused}
    assert without == set(lists["patches_with_no_19_class_targets.csv"])
    assert 0 < len(without) < 24


def test_places_form_squares_and_scenes_tiles_and_satellites_are_several(archive: Path) -> None:
    names = [path.name.rsplit("_", 3) for path in (archive / "BigEarthNet-S1-v1.0").iterdir()]
    tiles = {tile for _, tile, _, _ in names}
    assert len(tiles) == 8
    for tile in tiles:
        places = {(int(column), int(row)) for _, found, column, row in names if found == tile}
        assert {(x, y) for x in range(5) for y in range(5)} <= places
    assert {scene[:3] for scene, *_ in names} == {"S1A", "S1B"}
    assert len({scene for scene, *_ in names}) > len(tiles)


def test_brightness_tells_water_from_forest_and_forest_from_town(archive: Path) -> None:
    tree = Folder.at(archive)
    pure: dict[int, list[float]] = {}
    for unit in BIGEARTHNET.units(tree):
        for record in BIGEARTHNET.scan(tree, unit):
            if len(record.labels["clc43"]) == 1:
                mean = float(BIGEARTHNET.read(tree, record).image.mean())
                pure.setdefault(record.labels["clc43"][0], []).append(mean)
    water, forest = (corine.CLASSES_43.index(name) for name in ("Water bodies", "Coniferous forest"))
    assert max(pure[water]) < min(pure[forest]) - 5
