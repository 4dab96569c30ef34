"""Speckle filters: each against an implementation of its own from the papers' formulas, and in a build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import sar_data
from sar_data.builder.bake import Bake
from sar_data.builder.speckle import Filter, parse
from sar_data.errors import UsageError
from sar_data.sealed.opened import Build
from sar_data.statistics.looks import looks, measure_windows, windows

Floats = npt.NDArray[np.float32]
Power = npt.NDArray[np.float64]


def speckled(seed: int, looks: float, shape: tuple[int, int] = (40, 52)) -> Floats:
    """Return two fields side by side under speckle of unit mean, with a hole of no data."""
    rng = np.random.default_rng(seed)
    field = np.where(np.arange(shape[1]) < 20 + np.arange(shape[0])[:, None] // 4, 0.02, 0.3)
    power = (field * rng.gamma(looks, 1 / looks, shape)).astype(np.float32)
    power[5:9, 30:40] = np.nan
    return power


def lee(pixels: Power, window: Power, looks: float) -> float:
    """Lee's estimate of one pixel from the pixels of its window, after equation 12 of the paper of 1980."""
    known = window[np.isfinite(window)]
    mean, variance = known.mean(), known.var()
    ideal = max(0.0, (variance + mean**2) / (1 / looks + 1) - mean**2)
    gain = ideal / (mean**2 / looks + ideal * (1 / looks + 1)) if variance else 0.0
    return float(mean + gain * (pixels - mean))


def padded(power: Floats, reach: int) -> Power:
    return np.pad(power.astype(np.float64), reach, constant_values=np.nan)


@pytest.mark.parametrize("side", [3, 7])
def test_lee_is_the_estimate_of_the_paper(side: int) -> None:
    power, reach = speckled(0, 4.4), side // 2
    found, around = Filter("lee", side, 4.4).apply(power), padded(power, reach)
    for y, x in np.argwhere(np.isfinite(power)):
        window = around[y : y + side, x : x + side]
        assert found[y, x] == pytest.approx(lee(np.float64(power[y, x]), window, 4.4), rel=1e-5)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(power))


def half(means: Power) -> npt.NDArray[np.bool_]:
    """Return which pixels of a 7 × 7 window are on the side of its middle: the paper's eight templates."""
    edges = {
        "vertical": means[:, 2].sum() - means[:, 0].sum(),
        "horizontal": means[2].sum() - means[0].sum(),
        "falling": means[1, 2] + means[2, 1] + means[2, 2] - means[0, 0] - means[0, 1] - means[1, 0],
        "rising": means[1, 0] + means[2, 0] + means[2, 1] - means[0, 1] - means[0, 2] - means[1, 2],
    }
    edge = max(edges, key=lambda name: abs(edges[name]))  # the first of equal ones
    row, column = np.mgrid[-3:4, -3:4]
    side = {"vertical": column, "horizontal": row, "falling": row + column, "rising": row - column}[edge]
    ends = {
        "vertical": (means[1, 0], means[1, 2]),
        "horizontal": (means[0, 1], means[2, 1]),
        "falling": (means[0, 0], means[2, 2]),
        "rising": (means[0, 2], means[2, 0]),
    }[edge]
    near_end = abs(ends[1] - means[1, 1]) <= abs(ends[0] - means[1, 1])
    return side >= 0 if near_end else side <= 0


def test_the_refined_filter_takes_the_half_of_the_window_on_the_pixels_side() -> None:
    power = speckled(1, 4.4)
    found, around = Filter("refined-lee", 7, 4.4).apply(power), padded(power, 3)
    for y, x in np.argwhere(np.isfinite(power)):
        window, pixel = around[y : y + 7, x : x + 7], np.float64(power[y, x])
        parts = window[:, :].copy()
        means = np.empty((3, 3))
        for i in range(3):
            for j in range(3):
                part = parts[2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
                known = part[np.isfinite(part)]
                means[i, j] = known.mean() if known.size else pixel
        expected = lee(pixel, np.where(half(means), window, np.nan), 4.4)
        assert found[y, x] == pytest.approx(expected, rel=1e-5), (y, x)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(power))


@pytest.mark.parametrize("name", ["lee", "refined-lee"])
def test_a_filter_keeps_the_mean_and_raises_the_looks(name: str) -> None:
    power = np.random.default_rng(2).gamma(4.4, 0.1 / 4.4, (200, 200)).astype(np.float32)
    found = parse(f"{name}:looks=4.4").apply(power)
    assert found.mean() == pytest.approx(power.mean(), rel=0.01)
    before, after = (looks(measure_windows(windows(image.astype(np.float64))))[0] for image in (power, found))
    assert before == pytest.approx(4.4, rel=0.1)
    assert after is not None
    assert after > 5 * before


def test_the_refined_filter_keeps_an_edge_sharper() -> None:
    power = speckled(3, 4.4)
    edge = np.abs(np.arange(52) - 20 - np.arange(40)[:, None] // 4) <= 2
    field = np.where(np.arange(52) < 20 + np.arange(40)[:, None] // 4, 0.02, 0.3)
    wrong = {
        name: np.nanmean(np.abs(parse(f"{name}:looks=4.4").apply(power) - field)[edge])
        for name in ("lee", "refined-lee")
    }
    assert wrong["refined-lee"] < 0.7 * wrong["lee"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frost:looks=4", "unknown speckle filter 'frost'"),
        ("lee", "expected the looks of the images, as in lee:looks=4.4"),
        ("lee:looks=0", "expected looks above 0, found 0"),
        ("lee:looks=nan", "expected looks above 0"),
        ("lee:looks=four", "expected numbers"),
        ("lee:window=4,looks=4", "expected a window of an odd number from 3 to 31, found 4"),
        ("refined-lee:window=9,looks=4", "expected a window of 7, found 9"),
        ("lee:size=7,looks=4", "expected window and looks, found size"),
    ],
)
def test_a_filter_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(text)


@pytest.fixture(scope="module")
def eurosat(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("eurosat")
    sar_data.catalog.synthesise("eurosat-sar")(folder / "raw", count=40, seed=0)
    raw = folder / "raw"
    return sar_data.build("eurosat-sar", source=raw, out=folder, split="random", format="zarr", runner="serial")


def pixels(build: Build, split: str = "train") -> dict[str, Floats]:
    data = build.dataset(split)
    return dict(zip(data.key.values.tolist(), data.image.values, strict=True))


def test_a_build_is_filtered_on_power_and_says_so(eurosat: Build) -> None:
    filtered = sar_data.convert(eurosat.path, speckle="lee:looks=4.4", runner="serial")
    step = filtered.manifest.applied[-1]
    assert step.step == "speckle-filter"
    assert {name: step.parameters[name] for name in ("filter", "window", "looks", "domain")} == {
        "filter": "lee",
        "window": 7,
        "looks": 4.4,
        "domain": "power",
    }
    assert step.parameters["images"] == eurosat.manifest.splits["train"].count
    for before, after in step.parameters["enl"].values():
        assert after > before
    expected = Filter("lee", 7, 4.4)
    for key, image in pixels(eurosat).items():
        power = (10 ** (image.astype(np.float64) / 10)).astype(np.float32)
        db = [10 * np.log10(expected.apply(plane)) for plane in power]
        np.testing.assert_allclose(pixels(filtered)[key], db, atol=2e-4)
        break
    assert sar_data.verify(filtered.path, full=True) == []
    assert filtered.manifest.bands == eurosat.manifest.bands


def test_resampling_in_power_keeps_the_mean_power_where_dB_does_not(eurosat: Build) -> None:
    mean: dict[str, Any] = {"before": np.mean([10 ** (image / 10) for image in pixels(eurosat).values()])}
    for domain in ("dB", "power"):
        small = sar_data.convert(eurosat.path, resize=32, resample=domain, runner="serial")
        assert small.manifest.applied[-1].parameters["domain"] == domain
        mean[domain] = np.mean([10 ** (image / 10) for image in pixels(small).values()])
    assert mean["power"] == pytest.approx(mean["before"], rel=0.01)
    assert mean["dB"] < 0.97 * mean["before"]


def test_what_has_no_power_is_refused(eurosat: Build, tmp_path: Path) -> None:
    normal = sar_data.convert(eurosat.path, normalize="zscore", runner="serial")
    with pytest.raises(UsageError, match=r"`speckle=lee:looks=1`: expected bands in dB, power, amplitude, found 1"):
        sar_data.convert(normal.path, speckle="lee:looks=1")
    with pytest.raises(UsageError, match="`resample=power`: expected `resize=…` with it"):
        sar_data.convert(eurosat.path, resample="power")


def test_a_window_is_cut_after_the_filter() -> None:
    image = 10 * np.log10(speckled(4, 4.4, (48, 48)))[None]
    bake = Bake(cut=16, speckle=Filter("lee", 7, 4.4), units=(("dB", "dB"),))
    whole = Bake(speckle=Filter("lee", 7, 4.4), units=(("dB", "dB"),)).apply(image).image
    np.testing.assert_array_equal(bake.apply(image).image, whole[:, 16:32, 16:32])
