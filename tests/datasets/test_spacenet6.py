"""SpaceNet 6 tiles bring their footprints as mask and objects, their wedge as no data, and their orientation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

from pipelines.spacenet6 import PIPELINE, TILE
from pipelines.synth import spacenet6
from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord
from sar_data.record import Record, SourceFile
from sar_data.sources.tree import Folder
from sar_data.testing.pipelines import ListsIn
from tests.contract.pipelines import PipelineContract
from tests.places import SAMPLES

TURNED = PIPELINE.variants["turned"]


@pytest.fixture(scope="module")
def spacenet6_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("spacenet6")
    spacenet6.synthesise(out, count=4, seed=0)
    return out


def records(archive: Path, pipeline: Any = PIPELINE) -> dict[str, Record]:
    tree = Folder.at(archive)
    return {record.key: record for unit in pipeline.units(tree) for record in pipeline.scan(tree, unit)}


class TestSpaceNet6(PipelineContract):
    pipeline = PIPELINE
    split = "random:train=0.5,val=0.25,test=0.25"

    @pytest.fixture
    def archive(self, spacenet6_archive: Path) -> Path:
        return spacenet6_archive

    def raw_bands(self, root: Path, record: Record) -> npt.NDArray[Any]:
        with rasterio.open(root / record.files[0].path) as source:
            pixels: npt.NDArray[Any] = source.read()
        return np.where(pixels.any(axis=0), pixels, np.nan)


def test_the_turned_variant_turns_image_mask_and_footprints_of_one_look_and_leaves_the_other(
    spacenet6_archive: Path,
) -> None:
    tree = Folder.at(spacenet6_archive)
    plain, turned = records(spacenet6_archive), records(spacenet6_archive, TURNED)
    looks = set()
    for key, record in plain.items():
        if record.unused:
            continue
        one, other = PIPELINE.read(tree, record), TURNED.read(tree, turned[key])
        step = -1 if record.attrs["orientation"] == "1" else 1
        looks.add(step)
        assert np.array_equal(other.image, one.image[:, ::step, ::step], equal_nan=True)
        assert one.mask is not None
        assert other.mask is not None
        assert np.array_equal(other.mask, one.mask[::step, ::step])
        for a, b in zip(record.objects, turned[key].objects, strict=True):
            flipped = (900 - a.box[2], 900 - a.box[3], 900 - a.box[0], 900 - a.box[1])
            assert b.box == pytest.approx(a.box if step == 1 else flipped)
    assert looks == {1, -1}


def test_a_strip_that_the_orientations_lack_stops_the_turned_variant_alone(
    spacenet6_archive: Path, tmp_path: Path
) -> None:
    shutil.copytree(spacenet6_archive, tmp_path / "raw")
    for path in (tmp_path / "raw").rglob("SAR_orientations.txt"):
        path.write_text("20190804111224_20190804111453 1\n")
    assert len(records(tmp_path / "raw")) == 5
    with pytest.raises(BadRecord, match="expected strip 2019"):
        records(tmp_path / "raw", TURNED)


def test_the_mask_is_burnt_from_the_footprints_without_yards_and_ignores_the_wedge(spacenet6_archive: Path) -> None:
    tree = Folder.at(spacenet6_archive)
    for record in records(spacenet6_archive).values():
        if record.unused:
            continue
        sample = PIPELINE.read(tree, record)
        assert sample.mask is not None
        wedge = np.isnan(sample.image).all(axis=0)
        assert sample.nodata == (wedge.sum(),) * 4
        assert wedge.sum() > 100
        assert (sample.mask[wedge] == 255).all()
        assert set(np.unique(sample.mask[~wedge]).tolist()) == {0, 1}
        yard = record.objects[0].box
        x, y = int(yard[0]) + 12, int(yard[1]) + 12
        others = [o for o in record.objects[1:] if o.box[0] <= x <= o.box[2] and o.box[1] <= y <= o.box[3]]
        assert others or sample.mask[y, x] in (0, 255)
        assert len(record.objects[-1].polygons) == 2


def test_tiles_without_footprints_are_unused_and_say_so(spacenet6_archive: Path, tmp_path: Path) -> None:
    made = build(BuildRequest(dataset=PIPELINE, source=spacenet6_archive, out=tmp_path, split="random"))
    assert made.manifest.unused == {"test_public has no footprints": 1}
    assert sum(split.mask_pixels["building"] for split in made.manifest.splits.values() if split.mask_pixels) > 1000
    assert made.manifest.statistics is not None
    assert made.manifest.statistics["train"].bands["HV"].masked["nodata"] > 100


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda p: p.write_text("{}"), "expected a GeoJSON collection"),
        (lambda p: p.write_text("not json"), "expected a GeoJSON collection"),
        (lambda p: p.unlink(), "expected a file, found none"),
    ],
)
def test_footprints_that_are_broken_or_missing_are_named(
    spacenet6_archive: Path, tmp_path: Path, damage: Any, reason: str
) -> None:
    shutil.copytree(spacenet6_archive, tmp_path / "raw")
    damage(path := sorted((tmp_path / "raw").rglob("*.geojson"))[0])
    with pytest.raises(BadRecord, match=reason) as raised:
        records(tmp_path / "raw")
    assert raised.value.path.endswith(path.name)


def test_the_real_lists_are_of_2380_and_1021_tiles_and_the_real_strips_look_102_times_either_way() -> None:
    folder = SAMPLES / "split_lists"
    if not folder.is_dir():
        pytest.skip(f"no real lists in {SAMPLES}: set SAR_DATA_SAMPLES")
    names = [name for part in ("train", "test") for name in (folder / f"SN6_{part}.txt").read_text().split()]
    assert len(set(names)) == len(names) == 3401
    made = [Record(key=name, files=(SourceFile(name, 1),), attrs={"name": name}) for name in names]
    assert all(TILE.fullmatch(name) for name in names)
    found = PIPELINE.splits["sarhub"].assign(made, seed=0, lists=ListsIn(folder))
    assert [list(found.split).count(split) for split in ("train", "val", "test", "unused")] == [2380, 0, 1021, 0]
    words = (folder / "SN6_SAR_orientations.txt").read_text().split()
    assert [words[1::2].count(look) for look in "01"] == [102, 102]
    assert {TILE.fullmatch(name)[1] for name in names} <= set(words[::2])  # type: ignore[index]


def test_a_tile_lies_where_rasterio_says(spacenet6_archive: Path) -> None:
    for record in records(spacenet6_archive).values():
        with rasterio.open(spacenet6_archive / record.files[0].path) as image:
            assert record.footprint == pytest.approx(tuple(image.bounds))
            assert record.footprint_frame == image.crs.to_string()


def test_a_place_is_a_cell_of_one_kilometre_that_strips_share(spacenet6_archive: Path) -> None:
    found = records(spacenet6_archive).values()
    places = {record.place for record in found}
    assert None not in places
    assert len(places) < len({(record.group, record.place) for record in found})
