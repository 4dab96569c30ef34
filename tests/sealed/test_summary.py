"""The manifest's figures follow from the sums: nothing is invented where nothing was measured."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from sar_data.sealed.summary import PERCENTILES, normalization, summarise
from sar_data.statistics.tally import Tally
from sar_data.statistics.units import HISTOGRAMS
from tests.statistics.test_stats import scenes, shapes, tally


@settings(max_examples=60, deadline=None)
@given(**shapes)
def test_percentiles_ascend_between_the_extremes_in_both_domains(**shape: Any) -> None:
    images = scenes(**shape)
    for figures in summarise(tally(images), ("VV", "VH", "HH")[: images.shape[1]]).bands.values():
        for domain in (figures.stored, figures.power):
            assert domain is not None
            if domain.mean is None:
                continue
            values = [domain.min, *domain.percentiles.values(), domain.max]
            assert list(domain.percentiles) == [f"p{share}" for share in PERCENTILES]
            assert all(a is not None and b is not None and a <= b for a, b in itertools.pairwise(values))


@settings(max_examples=40, deadline=None)
@given(**shapes)
def test_normalization_repeats_the_stored_figures_of_every_band(**shape: Any) -> None:
    images = scenes(**shape)
    bands = ("VV", "VH", "HH")[: images.shape[1]]
    made = tally(images)
    found = normalization(made, bands)
    figures = {name: band.stored for name, band in summarise(made, bands).bands.items()}
    if any(figure.mean is None for figure in figures.values()):
        assert found is None
        return
    assert found is not None
    assert found.units == dict.fromkeys(bands, "dB")
    for column in ("mean", "std", "min", "max"):
        assert getattr(found, column) == {name: getattr(figure, column) for name, figure in figures.items()}


def test_both_domains_are_named_and_power_follows_from_db() -> None:
    figures = summarise(tally(scenes(1, 1, 4, 16, 3.0, 0.0)), ("VV",)).bands["VV"]
    assert figures.stored.unit == "dB"
    assert figures.power is not None
    assert figures.power.unit == "power"
    assert figures.stored.min is not None
    assert figures.power.min == pytest.approx(10 ** (figures.stored.min / 10), rel=1e-14)


def test_every_pair_of_bands_has_one_covariance() -> None:
    images = scenes(2, 3, 4, 8, 1.0, 0.0)
    pairs = summarise(tally(images), ("VV", "VH", "HH")).co_moments
    assert [pair.bands for pair in pairs] == [("VV", "VH"), ("VV", "HH"), ("VH", "HH")]


def test_the_deviation_of_a_derived_band_follows_from_the_covariance() -> None:
    images = scenes(4, 2, 10, 32, 3.0, 0.0)
    summary = summarise(tally(images), ("VV", "VH"))
    vv, vh = (summary.bands[name].stored.std for name in ("VV", "VH"))
    assert vv is not None
    assert vh is not None
    ratio = images[:, 0].astype(np.float64) - images[:, 1]
    derived = math.sqrt(vv**2 + vh**2 - 2 * summary.co_moments[0].covariance)
    assert derived == pytest.approx(ratio.std(), rel=1e-9)


def test_the_deviation_of_a_derived_band_is_that_of_the_pixels_valid_in_both() -> None:
    images = scenes(4, 2, 10, 32, 3.0, 0.0)
    images[:, 1][images[:, 1] < np.median(images[:, 1])] = np.nan  # as noise-floor masks do
    (pair,) = summarise(tally(images), ("VV", "VH")).co_moments
    assert pair.variances is not None
    difference = (images[:, 0].astype(np.float64) - images[:, 1])[np.isfinite(images[:, 1])]
    assert math.sqrt(sum(pair.variances) - 2 * pair.covariance) == pytest.approx(difference.std(), rel=1e-9)
    assert pair.means[0] - pair.means[1] == pytest.approx(difference.mean(), rel=1e-9)


def test_nothing_measured_is_null_and_not_zero() -> None:
    figures = summarise(Tally(("dB",)).finish(), ("VV",)).bands["VV"]
    assert figures.count == 0
    for domain in (figures.stored, figures.power):
        assert domain is not None
        assert (domain.mean, domain.std, domain.min, domain.max, domain.percentiles) == (None, None, None, None, {})


def test_the_histogram_of_db_is_that_of_the_reports() -> None:
    first, width, bins = HISTOGRAMS["dB"]
    assert (first, width, first + width * bins) == (-100, 0.01, pytest.approx(60))
