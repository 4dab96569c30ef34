"""A repack changes what it was asked to change, records it, and leaves its parent alone."""

from __future__ import annotations

import shutil
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import xarray

from sar_data import synth
from sar_data.builder.itinerary import convert
from sar_data.builder.request import ConvertRequest
from sar_data.errors import BuildError, SarDataError, UsageError
from sar_data.runners import Processes
from sar_data.sealed.opened import Build
from sar_data.spec import Pipeline
from tests.builder.test_bake import resampled
from tests.mini.builds import CONTAINERS, contents, make, snapshot, visible
from tests.mini.readers import flat, lmdb_items, read_build, read_xarray
from tests.mini.resealed import edit
from tests.mini.sources import copied, patches, rewrite


def changed(parent: Build, out: Path, **changes: Any) -> Build:
    return convert(ConvertRequest(parent=parent.path, out=out, **changes))


def container(name: str) -> dict[str, Any]:
    return {"format": name.partition("+")[0], "compression": name.partition("+")[2] or "none"}


def normal(build: Build) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and std of train as [band, 1, 1]."""
    train = build.manifest.normalization
    assert train is not None
    names = [band.name for band in build.manifest.bands]
    return tuple(np.array([figures[name] for name in names])[:, None, None] for figures in (train.mean, train.std))  # type: ignore[return-value]


@pytest.mark.parametrize(("source", "target"), list(permutations(CONTAINERS, 2)))
def test_another_container_keeps_every_bit_and_the_content_digest(
    sealed: dict[str, Build], tmp_path: Path, source: str, target: str
) -> None:
    parent = sealed[source]
    child = changed(parent, tmp_path, **container(target))
    assert child.manifest.content_digest == parent.manifest.content_digest
    before, after = read_build(parent.path), read_build(child.path)
    assert {split: {key: image.tobytes() for key, image in images.items()} for split, images in after.items()} == {
        split: {key: image.tobytes() for key, image in images.items()} for split, images in before.items()
    }
    if "zarr+zstd" not in (source, target):  # else shards are of other lengths
        assert child.manifest.normalization == parent.manifest.normalization
        assert child.manifest.statistics == parent.manifest.statistics
    for one, other in zip(normal(child), normal(parent), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert child.manifest.applied == []
    assert child.manifest.parent is not None
    assert child.manifest.parent.model_dump() == {
        "path": parent.path.name,
        "recipe_digest": parent.manifest.recipe_digest,
        "content_digest": parent.manifest.content_digest,
    }
    kept = [
        "key",
        "split",
        "labels",
        "label_indices",
        "xxh3",
        "masked",
        "files",
        "targets",
        "attrs",
        "reason",
        "transform",
    ]
    one, two = (build.index().select(kept).sort_by("key") for build in (parent, child))
    assert one.equals(two)


def test_the_same_repack_is_found_and_nothing_is_written(sealed: dict[str, Build], tmp_path: Path) -> None:
    one = changed(sealed["zarr"], tmp_path, format="lmdb")
    before = snapshot(tmp_path)
    assert changed(sealed["zarr"], tmp_path, format="lmdb") == one
    assert snapshot(tmp_path) == before


def test_a_repack_lies_beside_its_parent_and_the_parent_stays(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path
) -> None:
    parent = make(bigearthnet, small_source, tmp_path)
    before = contents(parent.path)
    child = convert(ConvertRequest(parent=parent.path, dtype="int16"))
    assert child.path.parent == parent.path.parent
    assert contents(parent.path) == before
    assert visible(tmp_path) == sorted([parent.path.name, child.path.name])


def test_every_change_makes_another_recipe(sealed: dict[str, Build], tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = [
        {"format": "lmdb"},
        {"resize": 64},
        {"resize": 60},
        {"normalize": "zscore"},
        {"normalize": "minmax"},
        {"dtype": "int16"},
        {"dtype": "float16"},
        {"compression": "zstd"},
    ]
    made = [changed(sealed["zarr"], tmp_path, **changes) for changes in asked]
    assert len({build.manifest.recipe_digest for build in made}) == len(made)
    assert visible(tmp_path) == sorted(build.path.name for build in made)


@pytest.mark.parametrize("name", CONTAINERS)
def test_int16_is_within_a_thousandth_of_a_db(sealed: dict[str, Build], tmp_path: Path, name: str) -> None:
    parent = sealed["zarr"]
    child = changed(parent, tmp_path, dtype="int16", **container(name))
    assert child.manifest.storage.model_dump() == {"dtype": "int16", "scale": 500.0, "missing": -32768.0}
    assert [step.step for step in child.manifest.applied] == ["dtype"]
    assert child.manifest.applied[0].parameters == {"dtype": "int16", "scale": 500.0, "missing": -32768}
    assert child.manifest.clipped == {"VV": 0, "VH": 0}
    before, after = flat(parent.path), flat(child.path)
    assert before.keys() == after.keys()
    for key, image in after.items():
        assert image.dtype == np.int16
        assert (abs(image / 500 - before[key].astype(np.float64)) <= 0.001 + 2e-6).all()


def test_xarray_decodes_an_int16_build_to_physical_values(sealed: dict[str, Build], tmp_path: Path) -> None:
    child = changed(sealed["lmdb"], tmp_path, format="zarr", dtype="int16")
    before = read_build(sealed["lmdb"].path)
    for split, images in before.items():
        found = read_xarray(child.path / split)
        assert found.keys() == images.keys()
        for key, image in images.items():
            np.testing.assert_allclose(found[key], image, rtol=0, atol=0.001 + 8e-6)


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory, bigearthnet: Pipeline, small_source: Path) -> Build:
    """A build of a source with masked pixels and with values that int16 cannot hold, in its first patch."""
    out = tmp_path_factory.mktemp("holed")
    source = copied(small_source, out / "source")
    images = dict(zip(patches(source), range(16), strict=True))
    for patch, i in images.items():
        image = rewrite.read(patch, "VH")
        image[i : i + 20, 3:9] = np.nan
        image[50, 50] = (np.inf, -np.inf)[i % 2]
        rewrite.write(patch, "VH", image)
    first = patches(source)[0]
    image = rewrite.read(first, "VV")
    image[0, :3] = (66, -70, -65.534)
    rewrite.write(first, "VV", image)
    return make(bigearthnet, source, out / "out")


def test_masked_pixels_are_minus_32768_and_clipped_pixels_are_counted(holed: Build, tmp_path: Path) -> None:
    child = changed(holed, tmp_path, dtype="int16")
    assert child.manifest.clipped == {"VV": 2, "VH": 0}
    assert changed(child, tmp_path, format="lmdb").manifest.clipped == child.manifest.clipped
    before, after = flat(holed.path), flat(child.path)
    for key, image in after.items():
        assert ((image == -32768) == ~np.isfinite(before[key])).all()
    assert child.manifest.statistics is not None
    assert holed.manifest.statistics is not None
    for split, figures in child.manifest.statistics.items():
        own = holed.manifest.statistics[split].bands["VH"]
        assert figures.bands["VH"].count == own.count
        assert figures.bands["VH"].masked == {"nodata": 0, "nan": sum(own.masked.values()), "inf": 0}


def test_float16_is_the_nearest_half(holed: Build, tmp_path: Path) -> None:
    child = changed(holed, tmp_path, dtype="float16", format="webdataset")
    before, after = flat(holed.path), flat(child.path)
    assert {key: image.tobytes() for key, image in after.items()} == {
        key: image.astype(np.float16).tobytes() for key, image in before.items()
    }


@pytest.mark.parametrize("size", [128, 64])
def test_resize_agrees_with_independent_arithmetic_and_masks_stay_masks(
    holed: Build, tmp_path: Path, size: int
) -> None:
    child = changed(holed, tmp_path, resize=size)
    manifest = child.manifest
    assert manifest.shape == (size, size)
    assert manifest.pixel_size_m == pytest.approx(1200 / size)
    assert [step.step for step in manifest.applied] == ["resize"]
    before, after = flat(holed.path), flat(child.path)
    for key, image in after.items():
        for band, source in zip(image, before[key], strict=True):
            expected = resampled(source, size, size)
            assert (np.isnan(band) == np.isnan(expected)).all()
            close = np.isclose(band, expected, rtol=0, atol=1e-3, equal_nan=True)
            assert close.mean() > 0.9999
    for one, other in zip(*(b.index().sort_by("key").to_pylist() for b in (holed, child)), strict=True):
        a, b, c, d, e, f = one["transform"]
        ratio = 120 / size
        assert other["transform"] == pytest.approx([a * ratio, b, c, d, e * ratio, f])
        assert other["footprint"] == one["footprint"]


def test_zscore_gives_train_mean_0_and_std_1(sealed: dict[str, Build], tmp_path: Path) -> None:
    parent = sealed["webdataset"]
    child = changed(parent, tmp_path, normalize="zscore")
    train = np.stack(list(read_build(child.path)["train"].values())).astype(np.float64)
    for band in range(2):
        assert train[:, band].mean() == pytest.approx(0, abs=1e-5)
        assert train[:, band].std() == pytest.approx(1, abs=1e-5)
    assert child.manifest.normalization is not None
    assert set(child.manifest.normalization.units.values()) == {"1"}
    for name in ("VV", "VH"):
        assert child.manifest.normalization.mean[name] == pytest.approx(0, abs=1e-5)
        assert child.manifest.normalization.std[name] == pytest.approx(1, abs=1e-5)
    assert {band.unit for band in child.manifest.bands} == {"1"}
    mean, std = normal(parent)
    before, after = flat(parent.path), flat(child.path)
    for key, image in after.items():
        np.testing.assert_allclose(image, (before[key] - mean) / std, rtol=1e-5, atol=1e-5)
    assert child.manifest.statistics is not None
    assert child.manifest.statistics["train"].bands["VV"].power is None


def test_minmax_puts_train_between_0_and_1(sealed: dict[str, Build], tmp_path: Path) -> None:
    child = changed(sealed["zarr"], tmp_path, normalize="minmax")
    train = np.stack(list(read_build(child.path)["train"].values()))
    assert (train.min(axis=(0, 2, 3)) == 0).all()
    assert (train.max(axis=(0, 2, 3)) == 1).all()


def test_masked_pixels_stay_masked_when_normalized(holed: Build, tmp_path: Path) -> None:
    child = changed(holed, tmp_path, normalize="zscore")
    before, after = flat(holed.path), flat(child.path)
    for key, image in after.items():
        assert (np.isfinite(image) == np.isfinite(before[key])).all()


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"normalize": "zscore"}, "normalized already"),
        ({"normalize": "minmax"}, "normalized already"),
        ({"dtype": "int16"}, "expected values in dB, found unit '1'"),
        ({"dtype": "float16"}, "expected values in dB"),
        ({"resize": 64}, "expected values in dB"),
    ],
)
def test_what_is_normalized_is_not_normalized_again_narrowed_or_resized(
    sealed: dict[str, Build], tmp_path: Path, second: dict[str, Any], message: str
) -> None:
    child = changed(sealed["zarr"], tmp_path, normalize="zscore")
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match=message):
        changed(child, tmp_path, **second)
    assert snapshot(tmp_path) == before
    assert changed(child, tmp_path, format="lmdb").manifest.content_digest == child.manifest.content_digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalize": "zscore", "dtype": "int16"}, "choose one"),
        ({"resize": 0}, "at least 1 pixel"),
        ({"format": "hdf5"}, "unknown format"),
        ({"format": "lmdb", "compression": "zstd"}, "expected none with `format=lmdb`"),
        ({}, "nothing to change"),
        ({"format": "zarr", "compression": "none"}, "nothing to change"),
    ],
)
def test_changes_that_cannot_be_are_refused_before_anything_is_written(
    sealed: dict[str, Build], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        changed(sealed["zarr"], tmp_path, **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_could_not_be_opened_is_refused_before_anything_is_written(
    sealed: dict[str, Build], tmp_path: Path
) -> None:
    parent = Path(shutil.copytree(sealed["zarr"].path, tmp_path / "in" / "1" / "zarr-12345678"))
    edit(parent, lambda document: document.update(pixel_size_m=9e8))
    with pytest.raises(UsageError, match=r"can be sealed, found pixel_size_m: .* less than or equal to 1000000000"):
        changed(Build.open(parent), tmp_path / "out", resize=1)
    assert not (tmp_path / "out").exists()


def test_a_band_without_spread_cannot_be_normalized(bigearthnet: Pipeline, small_source: Path, tmp_path: Path) -> None:
    source = copied(small_source, tmp_path / "source")
    for patch in patches(source):
        rewrite.write(patch, "VH", np.full((120, 120), -20, np.float32))
    parent = make(bigearthnet, source, tmp_path / "out", suspect_limit=1.0)
    with pytest.raises(UsageError, match="constant"):
        convert(ConvertRequest(parent=parent.path, normalize="zscore"))


@pytest.mark.parametrize("change", [{"resize": 30}, {"crop": 50}, {"crop": 64, "resize": 128}], ids=str)
def test_what_is_normalized_after_other_changes_is_so_by_the_stored_pixels(
    sealed: dict[str, Build], tmp_path: Path, change: dict[str, Any]
) -> None:
    baked = changed(sealed["zarr"], tmp_path, normalize="zscore", **change)
    train = np.stack(list(read_build(baked.path)["train"].values())).astype(np.float64)
    np.testing.assert_allclose(train.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(axis=(0, 2, 3)), 1, rtol=1e-5)
    steps: list[str] = []
    again = convert(
        ConvertRequest(parent=sealed["zarr"].path, out=tmp_path, normalize="zscore", **change),
        progress=lambda step, done, total: steps.append(step),
    )
    assert again.path == baked.path
    assert "count" not in steps  # the figures are taken from the build that stands


def test_percentiles_are_those_of_the_stored_pixels_and_published_figures_need_no_statistics(
    sealed: dict[str, Build], tmp_path: Path
) -> None:
    baked = changed(sealed["zarr"], tmp_path, crop=50, normalize="robust")
    train = np.stack(list(read_build(baked.path)["train"].values())).astype(np.float64)
    low, middle, high = np.quantile(train, (0.25, 0.5, 0.75), axis=(0, 2, 3))
    np.testing.assert_allclose(middle, 0, atol=2e-3)  # bins of 0.01 dB
    np.testing.assert_allclose(high - low, 1.349, rtol=2e-3)
    power = changed(sealed["zarr"], tmp_path, unit="power")
    steps: list[str] = []
    asked = ConvertRequest(parent=power.path, out=tmp_path, unit="dB", crop=50, normalize="ssl4eo")
    found = convert(asked, progress=lambda step, done, total: steps.append(step)).manifest.applied[-1]
    assert "count" not in steps  # no figure of the train split is needed
    assert found.parameters["offset"] == [-12.54847273, -20.19237134]
    with pytest.raises(UsageError, match="`normalize=ssl4eo`: expected VV and VH in dB, found VV in power"):
        changed(power, tmp_path, normalize="ssl4eo")


def test_steps_add_up_over_generations(sealed: dict[str, Build], tmp_path: Path) -> None:
    one = changed(sealed["zarr"], tmp_path, resize=64)
    two = changed(one, tmp_path, dtype="int16")
    three = changed(two, tmp_path, format="lmdb")
    four = changed(three, tmp_path, normalize="zscore")
    assert [step.step for step in four.manifest.applied] == ["resize", "dtype", "normalize"]
    assert three.manifest.content_digest == two.manifest.content_digest
    assert three.manifest.storage == two.manifest.storage
    assert four.manifest.storage.dtype == "float32"
    train = np.stack(list(read_build(four.path)["train"].values())).astype(np.float64)
    assert abs(train.mean(axis=(0, 2, 3))).max() < 1e-5


def test_workers_change_nothing(sealed: dict[str, Build], tmp_path: Path) -> None:
    made = []
    for name, runner in (("one", None), ("two", Processes(2))):
        changes: dict[str, Any] = {"format": "zarr", "dtype": "int16", "resize": 64}
        if runner is None:
            made.append(convert(ConvertRequest(parent=sealed["lmdb"].path, out=tmp_path / name, **changes)))
        else:
            with runner:
                made.append(
                    convert(ConvertRequest(parent=sealed["lmdb"].path, out=tmp_path / name, **changes), runner=runner)
                )
    assert contents(made[0].path) == contents(made[1].path)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_damaged_parent_is_never_passed_on(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path, name: str
) -> None:
    parent = make(bigearthnet, small_source, tmp_path / "out", container=name)
    row = parent.index().filter(pc.equal(pc.field("split"), "train")).to_pylist()[-1]
    if name == "lmdb":
        file, value = parent.path / "train/data.mdb", dict(lmdb_items(parent.path / "train"))[row["key"].encode()]
        at = file.read_bytes().index(value[-4096:]) + 2000
    elif name == "zarr+zstd":
        file = parent.path / "train/image/c/0/0/0/0"
        at = file.stat().st_size // 2
    else:
        file = next(iter([*parent.path.glob("train/000000.tar"), *parent.path.glob("train/image/c/0/0/0/0")]))
        at = parent.index()["offset"][0].as_py() + 2000
    with open(file, "r+b") as raw:
        raw.seek(at)
        byte = raw.read(1)
        raw.seek(at)
        raw.write(bytes([byte[0] ^ 0x10]))
    with pytest.raises((BuildError, SarDataError)):
        convert(
            ConvertRequest(
                parent=parent.path, out=tmp_path / "child", format="webdataset" if name != "webdataset" else "zarr"
            )
        )
    assert visible(tmp_path / "child") == []


def test_a_child_opens_in_xarray_with_its_new_shape(sealed: dict[str, Build], tmp_path: Path) -> None:
    child = changed(sealed["zarr"], tmp_path, resize=64, compression="zstd")
    with xarray.open_zarr(child.path / "train", chunks=None) as data:
        assert data["image"].shape[1:] == (2, 64, 64)
        assert data["image"].attrs["units"] == "dB"


def test_synthetic_values_never_clip(sealed: dict[str, Build]) -> None:
    # What the suites above rely on: the miniature archive lies within int16's range.
    images = flat(sealed["zarr"].path).values()
    assert max(float(abs(image).max()) for image in images) < 60
    assert synth.from_db(-60.0) > 0
