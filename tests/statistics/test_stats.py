"""Statistics are those of numpy in float64, whatever the values, the masks, and the cut into shards."""

from __future__ import annotations

import json
import math
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma

from sar_data import synth
from sar_data.errors import BuildError
from sar_data.sealed.summary import normalization, summarise
from sar_data.statistics.stats import BandStats, merge
from sar_data.statistics.tally import Tally, survey
from sar_data.statistics.units import HISTOGRAMS, axis, off_axis

Images = npt.NDArray[np.float32]
BANDS = ("VV", "VH", "HH")


def tally(images: Images, unit: str = "dB") -> BandStats:
    """Return the statistics of [sample, band, y, x] as one shard."""
    made = Tally((unit,) * images.shape[1])
    for image in images:
        made.add(survey(image))
    return made.finish()


def sharded(images: Images, cuts: list[int]) -> BandStats:
    """Return the statistics of shards that end before each of `cuts`, merged in order."""
    parts = [tally(part) for part in np.split(images, sorted(cuts)) if len(part)]
    return merge(parts, ("dB",) * images.shape[1])


def scenes(seed: int, bands: int, samples: int, side: int, spread: float, masked: float) -> Images:
    """Return correlated images of different levels, in [-60, 20] dB, `masked` of their pixels NaN or infinite."""
    random = np.random.default_rng(seed)
    level = random.uniform(-40, 0, (samples, bands, 1, 1))
    common = random.standard_normal((samples, 1, side, side))
    images = level + spread * (common + random.standard_normal((samples, bands, side, side)))
    out = np.clip(images, -60, 20).astype(np.float32)
    holes = random.random(out.shape) < masked
    holes[0, :, 0, 0] = False  # a band that is masked all over makes a bad record
    out[holes] = random.choice(np.array([np.nan, np.inf, -np.inf], np.float32), holes.sum())
    return out


def check(found: BandStats, images: Images, relative: float = 1e-9) -> None:
    """Compare with numpy in float64 over all pixels at once."""
    values = images.astype(np.float64).transpose(1, 0, 2, 3).reshape(images.shape[1], -1)
    valid = np.isfinite(values)
    bands = BANDS[: len(values)]
    summary = summarise(found, bands)
    for i, name in enumerate(bands):
        own = values[i, valid[i]]
        figures = summary.bands[name]
        assert figures.count == len(own)
        assert figures.zeros == np.count_nonzero(own == 0)
        assert figures.masked == {
            "nodata": 0,
            "nan": int(np.isnan(values[i]).sum()),
            "inf": int(np.isinf(values[i]).sum()),
        }
        if not len(own):
            assert figures.stored.mean is figures.stored.min is None
            continue
        power = 10 ** (own / 10)
        assert figures.power is not None
        for domain, expected in ((figures.stored, own), (figures.power, power)):
            assert domain.mean == pytest.approx(expected.mean(), rel=relative)
            # Where all pixels are equal, numpy's own deviation is rounding.
            assert domain.std == pytest.approx(expected.std(), rel=relative, abs=1e-12 * abs(expected).max())
            assert domain.min == pytest.approx(expected.min(), rel=1e-14)
            assert domain.max == pytest.approx(expected.max(), rel=1e-14)
    for pair in summary.co_moments:
        i, j = (bands.index(band) for band in pair.bands)
        both = valid[i] & valid[j]
        assert pair.count == both.sum()
        if not both.any():
            continue
        a, b = values[i, both], values[j, both]
        assert pair.means == pytest.approx((a.mean(), b.mean()), rel=relative)
        covariance = ((a - a.mean()) * (b - b.mean())).mean()
        assert pair.variances == pytest.approx((a.var(), b.var()), rel=relative, abs=relative)
        assert pair.covariance == pytest.approx(covariance, rel=relative, abs=relative * a.std() * b.std())


shapes = {
    "seed": st.integers(0, 2**32 - 1),
    "bands": st.integers(1, 3),
    "samples": st.integers(1, 9),
    "side": st.integers(1, 17),
    "spread": st.sampled_from([0.0, 1.0, 5.0]),
    "masked": st.sampled_from([0.0, 0.0, 0.01, 0.5, 0.99]),
}


@settings(max_examples=150, deadline=None)
@given(**shapes, cuts=st.lists(st.integers(1, 8), max_size=4))
def test_moments_extremes_and_masks_are_numpys_for_any_values_and_any_cut(cuts: list[int], **shape: Any) -> None:
    images = scenes(**shape)
    check(sharded(images, cuts), images)


@settings(max_examples=30, deadline=None)
@given(level=st.floats(-99, 59, width=32), samples=st.integers(1, 5))
def test_constant_images_have_no_deviation(level: float, samples: int) -> None:
    images = np.full((samples, 2, 8, 8), level, np.float32)
    figures = summarise(tally(images), ("VV", "VH")).bands["VV"]
    assert figures.stored.mean == pytest.approx(images[0, 0, 0, 0], rel=1e-12)
    assert figures.stored.std == pytest.approx(0, abs=1e-6)
    assert figures.stored.min == figures.stored.max == images[0, 0, 0, 0]


def test_a_first_image_that_is_almost_all_masked_costs_no_precision() -> None:
    images = scenes(5, 2, 20, 32, 1.0, 0.0) * np.float32(0.1) - np.float32(40)
    images[0, :, 1:] = np.nan
    check(tally(images), images)


def test_a_bright_first_image_costs_no_precision() -> None:
    images = scenes(6, 2, 50, 32, 1.0, 0.0) - np.float32(15)
    images[0] += 40
    check(tally(images), images)


def test_a_first_image_without_a_valid_pixel_costs_no_precision() -> None:
    images = scenes(4109638, 2, 7, 7, 1.0, 0.0) - np.float32(20)
    images[0] = np.nan
    check(tally(images), images)
    sparse = scenes(4109638, 2, 7, 7, 1.0, 0.99)
    check(sharded(sparse, [1]), sparse)


def test_float32_would_not_do() -> None:
    images = scenes(7, 1, 40, 120, 5.0, 0.0)
    exact = float(images.astype(np.float64).mean())
    naive = float(reduce(lambda a, b: a + b, images.ravel()[:200_000].astype(np.float32)) / 200_000)
    assert naive != pytest.approx(float(images.ravel()[:200_000].mean(dtype=np.float64)), rel=1e-9)
    assert tally(images).moments.mean[0, 0] == pytest.approx(exact, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(**shapes)
def test_merging_is_associative_within_rounding(**shape: Any) -> None:
    images = scenes(**{**shape, "samples": shape["samples"] + 2})
    a, b, c = (tally(part) for part in np.array_split(images, 3))
    left, right = (a + b) + c, a + (b + c)
    for one, other in zip(_figures(left), _figures(right), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(**shapes, cuts=st.lists(st.integers(1, 8), max_size=4))
def test_shards_tallied_in_any_order_and_merged_in_theirs_have_the_same_bits(cuts: list[int], **shape: Any) -> None:
    images = scenes(**shape)
    parts = [part for part in np.split(images, sorted(cuts)) if len(part)]
    forward = merge([tally(part) for part in parts], ("dB",) * images.shape[1])
    backward = merge([tally(part) for part in reversed(parts)][::-1], ("dB",) * images.shape[1])
    assert _exact(forward) == _exact(backward)


@settings(max_examples=60, deadline=None)
@given(**shapes)
def test_an_empty_shard_is_neutral_to_the_last_bit(**shape: Any) -> None:
    images = scenes(**shape)
    one, empty = tally(images), Tally(("dB",) * images.shape[1]).finish()
    assert _exact(one + empty) == _exact(empty + one) == _exact(one)
    assert _exact(merge([one], ("dB",) * images.shape[1])) == _exact(one)


@settings(max_examples=80, deadline=None)
@given(**{**shapes, "masked": st.just(0.0)})
def test_the_compiled_path_equals_the_masked_path(**shape: Any) -> None:
    images = scenes(**shape)
    made = [Tally(("dB",) * images.shape[1]) for _ in range(2)]
    for image in images:
        seen = survey(image)
        made[0].add(seen)
        made[1]._range = (math.inf, -math.inf)  # nothing is compiled
        made[1].add(seen)
    compiled, masked = (one.finish() for one in made)
    assert (compiled.histogram == masked.histogram).all()
    assert set(compiled.domains) == {"power"}
    np.testing.assert_allclose(compiled.moments.mean, masked.moments.mean, rtol=1e-12)
    np.testing.assert_allclose(compiled.domains["power"].mean, masked.domains["power"].mean, rtol=1e-12)
    for one, other in ((compiled.moments, masked.moments), (compiled.domains["power"], masked.domains["power"])):
        # A co-moment near zero is measured against the bands' own.
        scale = np.sqrt(np.outer(np.diag(other.comoment), np.diag(other.comoment))) + 1e-30
        assert (abs(one.comoment - other.comoment) <= 1e-12 * np.maximum(scale, other.mean**2 * other.count)).all()


@settings(max_examples=60, deadline=None)
@given(**shapes)
def test_percentiles_are_within_a_bin_of_numpys(**shape: Any) -> None:
    images = scenes(**shape)
    summary = summarise(tally(images), BANDS[: images.shape[1]])
    for i, figures in enumerate(summary.bands.values()):
        own = images[:, i][np.isfinite(images[:, i])].astype(np.float64)
        if not len(own):
            assert figures.stored.percentiles == {}
            continue
        assert figures.power is not None
        for name, value in figures.stored.percentiles.items():
            # With few pixels numpy's kinds of percentile differ by a pixel, with many by less than a bin.
            share = float(name[1:])
            below = np.percentile(own, max(share - 100 / len(own), 0), method="lower")
            above = np.percentile(own, min(share + 100 / len(own), 100), method="higher")
            assert below - 0.0101 <= value <= above + 0.0101
            assert figures.power.percentiles[name] == pytest.approx(10 ** (value / 10), rel=1e-12)


def test_percentiles_of_many_pixels_are_numpys_to_a_bin() -> None:
    images = scenes(11, 2, 40, 120, 5.0, 0.01)
    for i, figures in enumerate(summarise(tally(images), ("VV", "VH")).bands.values()):
        own = images[:, i][np.isfinite(images[:, i])]
        for name, value in figures.stored.percentiles.items():
            assert value == pytest.approx(np.percentile(own, float(name[1:])), abs=0.01)


@pytest.mark.parametrize("looks", [1.0, 2.0, 4.4, 10.0])
def test_the_gap_between_mean_of_db_and_db_of_mean_is_that_of_gamma_speckle(looks: float) -> None:
    random = np.random.default_rng(0)
    made = Tally(("dB",))
    for _ in range(64):  # 4.2 million pixels
        power = random.gamma(looks, 0.1 / looks, (1, 256, 256))
        made.add(survey((10 * np.log10(power)).astype(np.float32)))
    figures = summarise(made.finish(), ("VV",)).bands["VV"]
    assert figures.count == 64 * 256 * 256
    assert figures.power is not None
    assert figures.stored.mean is not None
    assert figures.power.mean is not None
    gap = figures.stored.mean - 10 * math.log10(figures.power.mean)
    expected = 10 / math.log(10) * (float(digamma(looks)) - math.log(looks))
    assert gap == pytest.approx(expected, abs=0.01)
    assert figures.power.std == pytest.approx(0.1 / math.sqrt(looks), rel=0.01)


def test_half_water_and_half_city_have_the_published_means() -> None:
    random = synth.generator(0, 1)
    power = synth.from_db(np.where(np.arange(512) < 256, -22.0, -5.0)) * np.ones((1, 512, 512), np.float32)
    figures = summarise(tally(np.stack([synth.speckle(power, 4.4, random) for _ in range(16)])), ("VV",)).bands["VV"]
    assert figures.power is not None
    assert figures.power.mean is not None
    assert figures.stored.mean == pytest.approx(-14.01, abs=0.01)
    assert 10 * math.log10(figures.power.mean) == pytest.approx(-7.93, abs=0.01)


@settings(max_examples=60, deadline=None)
@given(**shapes)
def test_json_keeps_every_bit(**shape: Any) -> None:
    made = tally(scenes(**shape))
    text = json.dumps(made.to_json(), allow_nan=False)
    assert _exact(BandStats.from_json(json.loads(text))) == _exact(made)


def test_statistics_of_no_pixel_at_all_survive_json_too() -> None:
    for made in (Tally(("dB", "dB")).finish(), tally(np.full((1, 2, 3, 3), np.nan, np.float32))):
        text = json.dumps(made.to_json(), allow_nan=False)
        assert _exact(BandStats.from_json(json.loads(text))) == _exact(made)
        assert summarise(made, ("VV", "VH")).bands["VV"].stored.mean is None
        assert normalization(made, ("VV", "VH")) is None


@pytest.mark.parametrize("value", [-100.5, -100.0, 59.99, 60.0, 75.0, -380.0])
def test_values_beyond_the_histogram_are_counted_at_its_ends_and_in_the_moments(value: float) -> None:
    images = scenes(3, 1, 3, 8, 1.0, 0.0)
    images[1, 0, 0, 0] = value
    made = tally(images)
    first, width, bins = HISTOGRAMS["dB"]
    assert made.histogram.sum() == images.size
    assert made.histogram[0, 0] == (value < first)
    assert made.histogram[0, -1] == (value >= first + width * bins)
    check(made, images)


@pytest.mark.parametrize("unit", ["1", "minmax"])
def test_a_normalized_unit_has_no_power(unit: str) -> None:
    made = tally(scenes(3, 2, 3, 8, 1.0, 0.1) / np.float32(60), unit)
    assert made.domains == {}
    assert summarise(made, ("VV", "VH")).bands["VV"].power is None
    assert _exact(BandStats.from_json(json.loads(json.dumps(made.to_json())))) == _exact(made)


LEVELS = {
    "power": (1e-6, 1e2),
    "amplitude": (0.5, 6e4),
    "DN": (-3e4, 3e4),
    "8-bit": (0, 255),
    "phase": (-math.pi, math.pi),
}


@settings(max_examples=60, deadline=None)
@given(
    units=st.lists(st.sampled_from([*LEVELS, "dB"]), min_size=1, max_size=3),
    seed=st.integers(0, 2**32 - 1),
    samples=st.integers(1, 5),
    masked=st.sampled_from([0.0, 0.2]),
    cut=st.integers(1, 4),
)
def test_every_unit_is_told_in_its_domains_as_numpy_tells_it(
    units: list[str], seed: int, samples: int, masked: float, cut: int
) -> None:
    random = np.random.default_rng(seed)
    ranges = np.array([LEVELS.get(unit, (-40, 10)) for unit in units])[:, :, None, None]
    images = random.uniform(ranges[:, 0], ranges[:, 1], (samples, len(units), 9, 7)).astype(np.float32)
    images[0, :, 0, :2] = [[1.0, 0.0]]  # no dB, where the unit is one of power
    images[random.random(images.shape) < masked] = np.nan
    images[0, :, 0, 0] = 1.0
    parts = []
    for part in np.split(images, [cut]):
        made = Tally(units)
        for image in part:
            made.add(survey(image))
        parts.append(made.finish())
    names = tuple(f"band {i}" for i in range(len(units)))
    merged = merge(parts, units)
    assert _exact(BandStats.from_json(json.loads(json.dumps(merged.to_json(), allow_nan=False)))) == _exact(merged)
    for unit, values, figures in zip(
        units, images.swapaxes(0, 1).astype(np.float64), summarise(merged, names).bands.values(), strict=True
    ):
        own = values[np.isfinite(values)]
        told = {"stored": own}
        if unit in ("power", "amplitude"):
            told["db"] = (10 if unit == "power" else 20) * np.log10(own[own > 0])
        if unit in ("dB", "amplitude"):
            told["power"] = own**2 if unit == "amplitude" else 10 ** (own / 10)
        for name in ("stored", "db", "power"):
            domain = getattr(figures, name)
            assert (domain is None) == (name not in told)
            if domain is not None:
                assert domain.count == told[name].size
                assert domain.mean == pytest.approx(told[name].mean(), rel=1e-9, abs=1e-9)
                assert domain.std == pytest.approx(told[name].std(), rel=1e-8, abs=1e-9 * abs(told[name]).max())
        assert (figures.circular is None) == (unit != "phase")
        if figures.circular is not None:
            mean = np.exp(1j * own).mean()
            assert figures.circular.resultant_length == pytest.approx(abs(mean), rel=1e-6, abs=1e-9)
            assert math.cos(figures.circular.mean_direction) == pytest.approx(mean.real / abs(mean), abs=1e-6)


@pytest.mark.parametrize("unit", list(HISTOGRAMS))
def test_an_axis_leads_back_to_its_unit_and_its_bins_are_fine_enough_for_percentiles(unit: str) -> None:
    low, high = LEVELS.get(unit, (-40.0, 10.0)) if unit not in ("1", "minmax") else (-0.9, 1.9)
    values = np.random.default_rng(1).uniform(low, high, 5000).astype(np.float32)
    for value in values[:50].tolist():
        assert off_axis(float(axis(np.array([value], np.float64), unit)[0]), unit) == pytest.approx(
            value, rel=1e-6, abs=1e-6
        )
    made = Tally((unit,))
    made.add(survey(values.reshape(1, 50, 100)))
    found = summarise(made.finish(), ("band",)).bands["band"].stored.percentiles["p50"]
    assert found == pytest.approx(np.median(values), rel=5e-3, abs=1.0 if unit == "8-bit" else 5e-3 * high)


def test_what_the_source_marks_as_no_data_is_told_apart_from_nan() -> None:
    image = np.zeros((2, 4, 4), np.float32)
    image[0, 0, :3] = np.nan
    made = Tally(("dB", "dB"))
    made.add(survey(image, (2, 0)))
    figures = summarise(made.finish(), ("VV", "VH")).bands
    assert figures["VV"].masked == {"nodata": 2, "nan": 1, "inf": 0}
    assert figures["VH"].masked == {"nodata": 0, "nan": 0, "inf": 0}


def test_frames_are_counted_as_pixels_of_their_bands() -> None:
    frames = np.random.default_rng(0).normal(-12, 3, (4, 2, 5, 5)).astype(np.float32)
    made = Tally(("dB", "dB"))
    made.add(survey(frames))
    found = summarise(made.finish(), ("VV", "VH")).bands["VH"].stored
    assert found.count == 100
    assert found.mean == pytest.approx(frames[:, 1].astype(np.float64).mean(), rel=1e-12)


def test_units_are_never_merged() -> None:
    with pytest.raises(BuildError, match="cannot merge statistics in dB and 1"):
        Tally(("dB",)).finish() + Tally(("1",)).finish()


def _figures(stats: BandStats) -> list[Any]:
    parts = [stats.moments, *stats.domains.values()]
    figures = [array for part in parts for array in (part.count, part.mean, part.comoment)]
    return [*figures, stats.low, stats.high, stats.histogram, *stats.masked.values()]


def _exact(stats: BandStats) -> tuple[object, ...]:
    """Return every bit but the sign of zero, which sums of nothing may have either way."""
    parts = [stats.moments, *stats.domains.values()]
    figures = [array for part in parts for array in (part.count, part.mean, part.comoment)]
    arrays = [*figures, stats.low, stats.high, stats.histogram, *stats.masked.values()]
    return (stats.units, stats.samples, *((array + 0).tobytes() for array in arrays))


def test_percentiles_of_a_stretched_picture_are_values_that_it_has() -> None:
    values = np.random.default_rng(3).integers(0, 256, (1, 7, 11)).astype(np.uint8)
    made = Tally(("8-bit",))
    made.add(survey(values))
    found = summarise(made.finish(), ("band",)).bands["band"].stored.percentiles
    expected = np.percentile(values, [float(name[1:]) for name in found], method="inverted_cdf")
    assert list(found.values()) == expected.tolist()


@pytest.mark.parametrize(("unit", "factor"), [("power", 10), ("amplitude", 20)])
def test_zeros_and_values_below_are_in_no_figure_of_the_db_domain(unit: str, factor: int) -> None:
    random = np.random.default_rng(5)
    values = random.gamma(4, 0.01, (1, 200, 200)).astype(np.float32)
    values[0, :60] = 0
    values[0, 60, :7] = -0.5
    made = Tally((unit,))
    made.add(survey(values))
    band = summarise(made.finish(), ("VV",)).bands["VV"]
    positive = factor * np.log10(values[values > 0].astype(np.float64))
    assert band.db is not None
    assert (band.count, band.zeros, band.db.count) == (40_000, 12_000, 27_993)
    assert band.db.min == pytest.approx(positive.min(), abs=1e-9)
    for name, value in band.db.percentiles.items():
        assert value == pytest.approx(np.percentile(positive, float(name[1:])), abs=0.01)
    assert band.stored.min == -0.5
