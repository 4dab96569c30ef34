"""What many images hold together, from the quantiles of each: close to the truth, and far where it is far."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from sar_data.statistics.quantiles import quantiles
from sar_data.statistics.sketch import kolmogorov_smirnov, sketch, stability


def images(shift: float = 0.0, seed: int = 0, count: int = 60) -> list[np.ndarray]:
    """Return images of unequal size whose means differ, in dB."""
    random = np.random.default_rng(seed)
    return [random.normal(-12 + shift + random.normal(0, 2), 3, random.integers(2000, 9000)) for _ in range(count)]


def sketched(found: list[np.ndarray], unit: str = "dB"):  # type: ignore[no-untyped-def]
    knots = np.array([[one.min(), *quantiles(one), one.max()] for one in found])
    return sketch(np.array([len(one) for one in found], np.float64), knots, unit)


def test_percentiles_are_those_of_all_pixels() -> None:
    found = images()
    merged, pixels = sketched(found), np.concatenate(found)
    for fraction in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99):
        assert merged.quantile(fraction) == pytest.approx(np.quantile(pixels, fraction), abs=0.06)
    power = sketched([10 ** (one / 10) for one in found], "power")
    assert power.quantile(0.5) == pytest.approx(10 ** (np.median(pixels) / 10), rel=0.02)


def test_distances_are_those_of_all_pixels() -> None:
    one, other = images(seed=1), images(1.5, seed=2)
    a, b = np.concatenate(one), np.concatenate(other)
    reference, moved = sketched(one), sketched(other)
    assert kolmogorov_smirnov(reference, moved) == pytest.approx(ks_2samp(a, b).statistic, abs=0.005)
    edges = np.quantile(a, np.arange(1, 10) / 10)
    p, q = (np.diff([0, *((x[:, None] <= edges).mean(axis=0)), 1]) for x in (a, b))
    assert stability(reference, moved) == pytest.approx(float(((q - p) * np.log(q / p)).sum()), rel=0.05)
    assert kolmogorov_smirnov(reference, reference) == stability(reference, reference) == 0


def test_constants_and_nothing_have_distributions_too() -> None:
    flat = sketched([np.full(5, -7.0)] * 3)
    assert flat.quantile(0.5) == pytest.approx(-7.0, abs=1e-6)
    assert kolmogorov_smirnov(flat, sketched([np.full(5, -6.0)])) == pytest.approx(1.0)
    assert sketch(np.zeros(2), np.zeros((2, 11)), "dB") is None
    assert sketched([np.array([0.0, 0.0, 0.1])], "power").quantile(1.0) == pytest.approx(0.1)
