"""What is done to stored values is what numpy says it is, in every stored type, on the CPU and by torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sar_data.builder.itinerary import convert
from sar_data.builder.request import ConvertRequest
from sar_data.errors import BuildError, UsageError
from sar_data.normalization.presets import presets
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.stream.collection import open_collection
from sar_data.stream.kernels.gather import Channels, gather
from sar_data.stream.kernels.memory import inside
from sar_data.stream.normalize import FGMAE, PRESETS, figures_of, normalizer, of_channels
from tests.mini import invented
from tests.places import ROOT

Array = npt.NDArray[Any]


@pytest.fixture(scope="module")
def plain(sealed: dict[str, Build]) -> Build:
    return sealed["zarr"]


def stored(build: Build, split: str = "train") -> Array:
    with build.reader() as reader:
        return np.stack([reader.read(place) for place in places(build.index()) if place.split == split])


def batch(build: Build | Path, **options: Any) -> Array:
    samples = open_collection(build.path if isinstance(build, Build) else build, **options)
    found: Array = samples.batch(np.arange(len(samples)))["image"]
    samples.close()
    return found


def test_a_z_score_has_the_train_split_s_own_mean_and_deviation(plain: Build) -> None:
    images, train = stored(plain), plain.manifest.normalization
    assert train is not None
    expected = np.stack([(images[:, i] - train.mean[b]) / train.std[b] for i, b in enumerate(("VV", "VH"))], axis=1)
    found = batch(plain)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.mean(axis=(0, 2, 3), dtype=np.float64), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=(0, 2, 3), dtype=np.float64), 1, rtol=1e-5)


def test_minmax_spreads_the_train_split_over_zero_to_one(plain: Build) -> None:
    found = batch(plain, normalize="minmax")
    np.testing.assert_allclose((found.min(axis=(0, 2, 3)), found.max(axis=(0, 2, 3))), ([0, 0], [1, 1]), atol=1e-6)


def test_bands_come_by_name_in_the_order_asked_for(plain: Build) -> None:
    images = stored(plain)
    for bands in (("VH", "VV"), ("VH",), "VH", ("VV", "VV")):
        names = [bands] if isinstance(bands, str) else bands
        expected = images[:, [("VV", "VH").index(name) for name in names]]
        assert batch(plain, bands=bands, normalize=None).tobytes() == expected.tobytes()


def test_a_derived_band_has_a_mean_and_deviation_of_its_own(plain: Build) -> None:
    found = batch(plain, bands=("VV-VH", "VH"))
    difference = stored(plain)[:, 0].astype(np.float64) - stored(plain)[:, 1]
    expected = (difference - difference.mean()) / difference.std()
    np.testing.assert_allclose(found[:, 0], expected, atol=2e-5)
    np.testing.assert_allclose(batch(plain, bands=["VH-VV"])[:, 0], -expected, atol=2e-5)


def oracle_fgmae(images: Array) -> Array:
    """Return what FG-MAE's own lines do to dB images [sample, (VV, VH), y, x]."""
    out = np.empty_like(images)
    for image, done in zip(images, out, strict=True):
        for c, (mean, std) in enumerate(FGMAE.values()):
            low, high = np.quantile(image[c], (0.01, 0.99)).astype(np.float32)
            clipped = np.clip(image[c], low, high)
            floor, top = np.float32(mean - 2 * std), np.float32(mean + 2 * std)
            done[c] = np.clip((clipped - floor) / (top - floor) * 255.0, 0, 255).astype(np.uint8) / np.float32(255)
    return out


def test_fgmae_s_grey_levels_are_the_authors_within_one_level_on_a_ten_thousandth(plain: Build) -> None:
    found, expected = batch(plain, normalize="fgmae-uint8"), oracle_fgmae(stored(plain))
    levels = np.abs(np.rint(found * 255) - np.rint(expected * 255))
    assert levels.max() <= 1
    assert (levels > 0).mean() <= 1e-4
    np.testing.assert_array_equal(np.rint(found * 255) / np.float32(255), found)  # whole levels


def test_sarhub_stretches_each_patch_between_its_own_quantiles(plain: Build) -> None:
    images = stored(plain)
    low, high = (
        q.astype(np.float32)[..., None, None]
        for q in np.quantile(images.reshape(*images.shape[:2], -1), (0.01, 0.99), axis=-1)
    )
    np.testing.assert_allclose(
        batch(plain, normalize="sarhub"), (np.clip(images, low, high) - low) / (high - low), atol=1e-6
    )


def test_percentiles_and_quartiles_are_those_of_the_train_split(plain: Build) -> None:
    images = stored(plain).astype(np.float64)
    recorded = (plain.manifest.statistics or {})["train"].bands
    for c, figures in enumerate(recorded.values()):
        p1, p25, p50, p75, p99 = (
            figures.stored.percentiles[name] or 0.0 for name in ("p1", "p25", "p50", "p75", "p99")
        )
        np.testing.assert_allclose(
            batch(plain, normalize="percentile")[:, c], np.clip((images[:, c] - p1) / (p99 - p1), 0, 1), atol=1e-5
        )
        np.testing.assert_allclose(
            batch(plain, normalize="robust")[:, c], 1.349 * (images[:, c] - p50) / (p75 - p25), atol=1e-4
        )


def test_published_figures_are_used_as_they_stand(plain: Build) -> None:
    images = stored(plain).astype(np.float64)
    found = batch(plain, normalize="ssl4eo", bands=("VH", "VV"))
    np.testing.assert_allclose(found[:, 0], (images[:, 1] + 20.19237134) / 5.91150917, atol=1e-5)
    np.testing.assert_allclose(found[:, 1], (images[:, 0] + 12.54847273) / 5.25697717, atol=1e-5)
    bench = batch(plain, normalize="copernicus-bench")
    np.testing.assert_allclose(bench[:, 1], (images[:, 1] + 20.192) / 5.912, atol=1e-5)
    np.testing.assert_allclose(batch(plain, normalize="dfc2020-clip"), np.clip(images, -25, 0) / 25 + 1, atol=1e-6)
    assert figures_of(plain.manifest, ("VH",), "ssl4eo") == {"VH": (-20.19237134, 5.91150917)}


def test_published_figures_are_refused_for_what_they_are_not_of(plain: Build) -> None:
    for bands, unit, told in ((("VV-VH",), None, "found VV-VH in no unit"), (("VV",), "power", "found VV in power")):
        with pytest.raises(UsageError, match=f"`normalize=ssl4eo`: expected VV and VH in dB, {told}"):
            batch(plain, normalize="ssl4eo", bands=bands, unit=unit)
    with pytest.raises(UsageError, match="no figures are recorded for VV-VH"):
        batch(plain, normalize="robust", bands=["VV-VH"])


def test_every_preset_says_what_it_is_whose_and_what_it_loses() -> None:
    page = (ROOT / "docs" / "normalization.md").read_text()
    for name, preset in presets().items():
        assert min(map(len, (preset.about, preset.source, preset.warning))) > 10
        assert f"`{name}`" in page
        assert preset.about in page
        assert preset.warning in page


def test_masked_pixels_become_the_fill_and_count_for_no_quantile(tmp_path: Path) -> None:
    made = invented.pipeline()
    build = invented.sealed(made, invented.archive(tmp_path / "raw", 30), tmp_path / "out")
    hidden = np.isnan(stored(build))
    assert hidden.any()
    for how in (*PRESETS, None):
        assert (batch(build, normalize=how, fill=-7.0)[hidden] == -7).all()
        assert np.isnan(batch(build, normalize=how, fill=None)[hidden]).all()
        assert np.isfinite(batch(build, normalize=how)).all()
    images = stored(build)
    quantiles = np.nanquantile(images.reshape(*images.shape[:2], -1), (0.01, 0.99), axis=-1).astype(np.float32)
    low, high = quantiles[..., None, None]
    expected = np.where(hidden, 0, (np.clip(images, low, high) - low) / (high - low))
    np.testing.assert_allclose(batch(build, normalize="sarhub"), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "int16"])
def test_narrow_builds_give_their_own_values_in_the_declared_unit(plain: Build, tmp_path: Path, dtype: Any) -> None:
    narrow = convert(ConvertRequest(parent=plain.path, out=tmp_path, dtype=dtype))
    raw = stored(narrow)
    expected = raw.astype(np.float32) / np.float32(500) if dtype == "int16" else raw.astype(np.float32)
    np.testing.assert_allclose(batch(narrow, normalize=None), expected, rtol=1e-6)
    train = narrow.manifest.normalization
    assert train is not None
    np.testing.assert_allclose(
        batch(narrow, bands=("VH",))[:, 0], (expected[:, 1] - train.mean["VH"]) / train.std["VH"], atol=2e-5
    )


@pytest.mark.parametrize("dtype", ["float32", "float16", "int16", "uint16", "uint8"])
def test_the_compiled_loop_does_what_numpy_does_to_every_bit_pattern(dtype: str) -> None:
    random = np.random.default_rng(0)
    images = np.frombuffer(random.bytes(4 * 2 * (1 << 15) * np.dtype(dtype).itemsize), dtype).reshape(4, 2, -1).copy()
    if dtype == "float16":
        images.view(np.uint16).reshape(-1)[: 1 << 16] = np.arange(1 << 16)  # all of them
    missing = np.float32(3 if dtype.startswith(("u", "i")) else np.nan)
    terms = np.array([[-12.5, 0.2], [3.25, 0.125], [0, 1]], np.float32)
    first, second = np.array([1, 0, 0]), np.array([-1, 1, -1])
    out = np.empty((4, 3, images.shape[-1]), np.float32)
    memory, places = inside(images, np.arange(4) * images[0].nbytes), np.array([2, 0, 3, 1])
    gather(memory, dtype, 2, places, Channels(first, second, terms, np.float32(9), missing), out)
    with np.errstate(all="ignore"):
        values = np.where(images == missing, np.float32(np.nan), images.astype(np.float32))
        channels = np.stack([values[:, 1], values[:, 0] - values[:, 1], values[:, 0]], axis=1)
        expected = (channels - terms[:, 0, None]) * terms[:, 1, None]
        expected = np.where(np.isfinite(expected), expected, np.float32(9))[np.argsort(places)]
    np.testing.assert_array_equal(out, expected)


def test_what_is_normalized_already_is_left_alone_and_nothing_is_done_twice(plain: Build, tmp_path: Path) -> None:
    baked = convert(ConvertRequest(parent=plain.path, out=tmp_path, normalize="zscore"))
    np.testing.assert_array_equal(batch(baked), stored(baked))
    np.testing.assert_array_equal(batch(baked, normalize=None), stored(baked))
    with pytest.raises(UsageError, match="normalized by zscore already"):
        batch(baked, normalize="minmax")
    with pytest.raises(UsageError, match="bands='VV-VH': expected a build in its physical unit"):
        batch(baked, bands=("VV-VH",))


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A build with masked pixels."""
    out = tmp_path_factory.mktemp("holed")
    return invented.sealed(invented.pipeline(), invented.archive(out / "raw", 12), out / "out")


@pytest.mark.parametrize("how", PRESETS)
def test_what_is_baked_by_a_name_is_what_is_streamed_by_it(holed: Build, tmp_path: Path, how: Any) -> None:
    baked = convert(ConvertRequest(parent=holed.path, out=tmp_path, normalize=how))
    np.testing.assert_allclose(
        batch(baked, normalize=how, fill=-7.0), batch(holed, normalize=how, fill=-7.0), rtol=4e-7, atol=1e-7
    )
    (step,) = baked.manifest.applied
    assert step.parameters["method"] == how
    assert step.parameters["warning"] == presets()[how].warning
    assert {band.unit for band in baked.manifest.bands} == {presets()[how].unit_after}
    assert baked.manifest.suspect_pixels == {}
    if presets()[how].affine:
        figures = zip(step.parameters["offset"], step.parameters["divisor"], strict=True)
        assert figures_of(holed.manifest, ("VV", "VH"), how) == dict(zip(("VV", "VH"), figures, strict=True))
    else:
        assert step.parameters["quantiles"] == [0.01, 0.99]


def test_what_was_cut_is_not_normalized_by_other_figures(plain: Build, tmp_path: Path) -> None:
    baked = convert(ConvertRequest(parent=plain.path, out=tmp_path, normalize="dfc2020-clip"))
    own = figures_of(baked.manifest, ("VV", "VH"), "dfc2020-clip")
    assert own == {"VV": (-25.0, 25.0), "VH": (-25.0, 25.0)}
    same = batch(baked, normalize="dfc2020-clip", figures=own)
    np.testing.assert_array_equal(same, stored(baked))
    other = {"VV": (-20.0, 25.0), "VH": (-25.0, 25.0)}
    with pytest.raises(UsageError, match="expected -25 and 25 for VV, to which this build was cut by dfc2020-clip"):
        batch(baked, normalize="dfc2020-clip", figures=other)


def test_channels_of_a_model_whose_build_was_normalized_before_are_of_the_unit_that_fits() -> None:
    for unit in ("", "dB"):
        grey = of_channels({"VH": unit}, "fgmae-uint8").grey
        np.testing.assert_allclose(grey, [[-20.26 - 2 * 5.91, 4 * 5.91]], rtol=1e-6)
    with pytest.raises(UsageError, match="expected VV and VH in dB, found VH in power"):
        of_channels({"VH": "power"}, "fgmae-uint8")


def test_wrong_names_are_answered_with_the_right_ones(plain: Build, tmp_path: Path) -> None:
    for options, words in (
        ({"bands": ["VB"]}, "unknown band 'VB'.* There are 10, such as VH, VH.VV, VH-VV, VH/VV, VV"),
        ({"bands": ["VV-HH"]}, "unknown band 'VV-HH'"),
        ({"normalize": "z-score"}, "unknown normalization 'z-score'. Did you mean 'zscore'"),
        ({"normalize": "minmax", "bands": ["VV-VH"]}, "no figures are recorded for VV-VH; `normalize=zscore` has them"),
        ({"normalize": "fgmae-uint8", "bands": ["VV-VH"]}, "expected VV and VH in dB, found VV-VH"),
        ({"split": "training"}, "unknown split 'training'. Did you mean 'train'"),
        ({"task": "labels"}, "unknown task 'labels'"),
        ({"io": "mmapped"}, "unknown io 'mmapped'. Did you mean 'mmap'"),
    ):
        with pytest.raises(UsageError, match=words):
            batch(plain, **options)
    source = invented.archive(tmp_path / "raw", 20)
    bare = invented.sealed(invented.pipeline(), source, tmp_path / "out", statistics=False)
    with pytest.raises(BuildError, match="no train statistics"):
        normalizer(bare.manifest, None, "zscore")
    normalizer(bare.manifest, None, None)
