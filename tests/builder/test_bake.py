"""Baking against independent float64 arithmetic: resampling, normalization, narrow types."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sar_data.builder.bake import Bake, resize
from sar_data.formats.storage import MISSING, SCALE, narrow, physical
from sar_data.normalization.presets import presets
from sar_data.stream.normalize import of_channels

Array = npt.NDArray[Any]


def keys_kernel(x: float) -> float:
    """Return Keys' cubic convolution kernel, a = -1/2 (Keys 1981, equation 15)."""
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def weights(size: int, wanted: int) -> Array:
    """Return [wanted, size] weights in float64, each row's sum 1: the kernel at pixel centres, widened to shrink."""
    ratio = size / wanted
    wide = max(ratio, 1.0)
    made = np.array([[keys_kernel(((i + 0.5) * ratio - 0.5 - j) / wide) for j in range(size)] for i in range(wanted)])
    return made / made.sum(axis=1, keepdims=True)


def resampled(band: Array, height: int, width: int) -> Array:
    """Return the band resampled in float64 by a full matrix product, masked pixels without weight."""
    rows, columns = weights(band.shape[0], height), weights(band.shape[1], width)
    valid = np.isfinite(band)
    total = rows @ np.where(valid, band, 0.0).astype(np.float64) @ columns.T
    share = rows @ valid.astype(np.float64) @ columns.T
    source = [
        [int(Fraction(2 * i + 1, 2 * new) * old) for i in range(new)]
        for new, old in zip((height, width), band.shape, strict=True)
    ]
    nearest = band[np.ix_(*source)]
    with np.errstate(divide="ignore", invalid="ignore"):
        averaged = np.where(share > 0.05, total / share, nearest)
    return np.where(np.isfinite(nearest), averaged, np.nan)


def band(seed: int, height: int, width: int, masked: float = 0.0) -> Array:
    random = np.random.default_rng(seed)
    made = random.uniform(-30, 0, (height, width)).astype(np.float32)
    made[random.random(made.shape) < masked] = np.nan
    return made


@pytest.mark.parametrize("size", [128, 64, 120, 224, 1])
def test_resize_is_cubic_convolution(size: int) -> None:
    source = band(1, 120, 120)
    np.testing.assert_allclose(resize(source, size, size), resampled(source, size, size), rtol=0, atol=2e-5)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    shape=st.tuples(st.integers(4, 40), st.integers(4, 40)),
    wanted=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    masked=st.sampled_from([0.0, 0.05, 0.4, 0.95]),
)
def test_masked_pixels_get_no_weight_and_stay_masked(
    seed: int, shape: tuple[int, int], wanted: tuple[int, int], masked: float
) -> None:
    source = band(seed, *shape, masked=masked)
    found, expected = resize(source, *wanted), resampled(source, *wanted)
    assert found.dtype == np.float32
    assert (np.isnan(found) == np.isnan(expected)).all()
    # A little above the least weight, rounding of the weight is magnified twentyfold.
    close = np.isclose(found, expected, rtol=0, atol=1e-3, equal_nan=True)
    assert close.all() or (masked and close.mean() > 0.99)


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("masked", [0.0, 0.3])
def test_a_constant_stays_constant_since_weights_are_renormalized(size: int, masked: float) -> None:
    source = np.where(np.isnan(band(2, 120, 120, masked)), np.nan, -17.5).astype(np.float32)
    found = resize(source, size, size)
    assert np.isnan(found).any() == bool(masked)
    np.testing.assert_allclose(found[~np.isnan(found)], -17.5, atol=2e-4)


def test_the_same_size_changes_nothing() -> None:
    source = band(3, 120, 120, 0.2)
    assert resize(source, 120, 120).tobytes() == source.tobytes()


def test_an_infinite_pixel_is_masked_like_nan_when_resized() -> None:
    one, other = band(4, 40, 40), band(4, 40, 40)
    one[10:14, 10:14], other[10:14, 10:14] = np.nan, -np.inf
    assert resize(one, 20, 20).tobytes() == resize(other, 20, 20).tobytes()


DB = st.floats(-65.5, 65.5, width=32)


@settings(max_examples=200)
@given(values=st.lists(DB, min_size=1, max_size=50))
def test_int16_errs_by_a_thousandth_of_a_db(values: list[float]) -> None:
    image = np.array(values, np.float32).reshape(1, 1, -1)
    stored, clipped = narrow(image)
    assert stored.dtype == np.int16
    assert clipped == (0,)
    # Half a step; the product is rounded to float32 before it is rounded to a step.
    assert (abs(stored / 500 - image.astype(np.float64)) <= 0.001 + 4e-6).all()
    np.testing.assert_allclose(physical(stored, SCALE), image, rtol=0, atol=0.001 + 8e-6)


def test_int16_marks_masked_pixels_and_counts_those_it_clips() -> None:
    image = np.array(
        [[[np.nan, 65.534, 65.536, 80, -65.536, -65.534, 0, -0.0]], [[-90, 1, 2, 3, 4, 5, 6, 7]]], np.float32
    )
    stored, clipped = narrow(image)
    assert stored[0, 0].tolist() == [-32768, 32767, 32767, 32767, -32767, -32767, 0, 0]
    assert clipped == (3, 1)
    assert np.isnan(physical(stored, SCALE)[0, 0]).tolist() == [True] + [False] * 7


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_pixel_stays_masked_in_int16(value: float) -> None:
    stored, clipped = narrow(np.array([[[value, 1.0]]], np.float32))
    assert stored.tolist() == [[[MISSING, 500]]]
    assert clipped == (0,)


def test_float16_is_the_nearest_half() -> None:
    image = np.stack([band(5, 8, 8, 0.2), band(6, 8, 8)])
    baked, _, clipped, _ = Bake(dtype="float16").apply(image)
    assert clipped == (0, 0)
    assert baked.tobytes() == image.astype(np.float16).tobytes()
    assert np.nanmax(abs(baked.astype(np.float64) - image)) <= 0.01


def test_z_scores_are_computed_band_by_band() -> None:
    image = np.stack([band(7, 8, 8), band(8, 8, 8, 0.2)])
    baked, *_ = Bake(normalize="zscore", offset=(-12.0, -19.0), divisor=(5.0, 4.0)).apply(image)
    expected = (image.astype(np.float64) - np.array([-12, -19])[:, None, None]) / np.array([5, 4])[:, None, None]
    assert baked.dtype == np.float32
    np.testing.assert_allclose(baked, expected, rtol=1e-5, atol=1e-6)


def test_baking_nothing_gives_the_very_image() -> None:
    for dtype, scale in (("float32", None), ("int16", SCALE), ("float16", None)):
        image = np.arange(32).reshape(2, 4, 4).astype(dtype)
        baked, _, clipped, _ = Bake(scale=scale).apply(image)
        assert baked is image
        assert clipped == (0, 0)


def test_stored_integers_are_physical_again_before_they_are_resized() -> None:
    image = np.stack([band(9, 12, 12, 0.1), band(10, 12, 12)])
    stored, _ = narrow(image)
    baked, *_ = Bake(resize=6, scale=SCALE).apply(stored)
    assert baked.dtype == np.float32
    for found, source in zip(baked, image, strict=True):
        expected = resampled(source, 6, 6)
        assert (np.isnan(found) == np.isnan(expected)).all()
        assert np.nanmax(abs(found - expected)) < 0.02


PIXELS = st.one_of(st.floats(-60, 30, width=32), st.sampled_from([np.nan, np.inf, -np.inf, -25.0, 0.0]).map(np.float32))


@settings(max_examples=60, deadline=None)
@given(
    how=st.sampled_from([*presets()]),
    figures=st.tuples(*[st.tuples(st.floats(-30, 0), st.floats(0.5, 30))] * 2),
    image=arrays(
        np.float32, st.tuples(st.integers(1, 2), st.just(2), st.integers(1, 9), st.integers(1, 9)), elements=PIXELS
    ),
)
def test_what_is_baked_is_what_a_loader_makes_of_the_physical_image(how: Any, figures: Any, image: Array) -> None:
    torch = pytest.importorskip("torch")
    from sar_data.torch.normalize import Normalizing

    preset, units = presets()[how], {"VV": "dB", "VH": "dB"}
    if preset.bands:
        figures = [preset.grey(b, "dB") if preset.kind == "grey" else preset.published_figures(b, "dB") for b in units]
    told = dict(zip(units, figures, strict=True))
    loader = Normalizing(
        of_channels(units, how, figures=told), np.arange(2 * len(image)).reshape(-1, 2), torch.device("cpu")
    )
    expected = loader(torch.from_numpy(image.reshape(1, -1, *image.shape[2:]))).numpy().reshape(image.shape)
    baked = Bake(normalize=how, offset=tuple(a for a, _ in figures), divisor=tuple(b for _, b in figures)).apply(image)
    assert baked.image.dtype == np.float32
    hidden = ~np.isfinite(image)
    assert (np.isfinite(baked.image) == ~hidden).all()
    if preset.affine:
        np.testing.assert_allclose(baked.image[~hidden], expected[~hidden], rtol=4e-7, atol=1e-37)
    else:  # the same loop, bit for bit
        np.testing.assert_array_equal(baked.image, np.where(hidden, np.nan, expected))
    if preset.unit_after == "minmax" and preset.stretch:
        assert ((baked.image[~hidden] >= 0) & (baked.image[~hidden] <= 1)).all()
    if preset.kind == "grey":
        levels = baked.image[~hidden].astype(np.float64) * 255
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
