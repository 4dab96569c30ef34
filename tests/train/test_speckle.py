"""Added speckle has the looks it is asked for, and leaves the mean power as it was, in any unit and normalization."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from sar_data.errors import UsageError
from sar_data.sealed.documents import Applied
from sar_data.sealed.manifest import Manifest
from sar_data.stream.bits import mix
from sar_data.stream.normalize import normalizer

torch = pytest.importorskip("torch", reason="torch is in the extra train: pip install 'sar-data[train]'")
stats = pytest.importorskip("scipy.stats", reason="scipy comes with scikit-learn, which is in the extra dev")

from torch import Tensor  # noqa: E402

from sar_data.train.augment.chance import log_gamma_quantiles, look_up  # noqa: E402
from sar_data.train.augment.speckle import Speckle, uniform  # noqa: E402

LOOKS, ADDED = 4.4, 6.5


@pytest.fixture(scope="module")
def manifest(classes: str) -> Manifest:
    return Manifest.load(Path(classes))


def in_unit(manifest: Manifest, unit: str, **others: object) -> Manifest:
    """Return the manifest of the same build, its bands in another unit."""
    bands = [band.model_copy(update={"unit": unit}) for band in manifest.bands]
    return manifest.model_copy(update={"bands": bands, **others})


@pytest.mark.parametrize("shape", [0.2, 1, 4.4, 100])
def test_tabled_quantiles_are_those_of_the_gamma_distribution(shape: float) -> None:
    chance = torch.cat([torch.linspace(0.001, 0.999, 999), torch.tensor([2.0**-24, 1e-5, 1 - 2.0**-24])]).double()
    found = look_up(log_gamma_quantiles(shape), chance).numpy()
    upper = chance.numpy() > 0.5
    expected = np.where(upper, stats.gamma.isf(1 - chance, shape), stats.gamma.ppf(chance, shape))
    np.testing.assert_allclose(found, np.log(expected), atol=5e-6)


def test_a_sample_s_numbers_are_splitmix64_of_its_seed_and_strictly_between_0_and_1() -> None:
    seeds = [0, 5, 2**48 - 1]
    found = uniform(torch.tensor(seeds), (2, 3))
    golden = 0x9E3779B97F4A7C15
    expected = [[(mix(seed + n * golden) >> 41) / 2**23 + 2**-24 for n in range(6)] for seed in seeds]
    assert found.flatten(1).double().tolist() == expected
    many = uniform(torch.arange(40), (100, 250))
    assert many.min() > 0
    assert many.max() < 1
    assert torch.equal(uniform(torch.tensor([7]), (2, 3)), uniform(torch.tensor([9, 7]), (2, 3))[1:])


def test_pixels_channels_and_samples_have_independent_factors() -> None:
    found = uniform(torch.arange(8) << 24, (2, 200, 200)).flatten(0, 1)
    rows = torch.cat([found.flatten(1), found.roll(1, -1).flatten(1), found.roll(1, -2).flatten(1)])
    assert (torch.corrcoef(rows) - torch.eye(48)).abs().max() < 5.5 / 200  # 5.5 standard errors of 40,000 pixels


def to_unit(power: Tensor, unit: str) -> Tensor:
    return {"dB": 10 * power.log10(), "power": power, "amplitude": power.sqrt()}[unit]


def to_power(values: Tensor, unit: str) -> Tensor:
    return {"dB": 10 ** (values / 10), "power": values, "amplitude": values.square()}[unit]


@pytest.mark.parametrize("unit", ["dB", "power", "amplitude"])
@pytest.mark.parametrize("normalize", ["zscore", "minmax", None])
@pytest.mark.parametrize("scale", [None, 500.0])
def test_effective_looks_and_mean_power_are_as_the_formula_says(
    manifest: Manifest, unit: str, normalize: str | None, scale: float | None
) -> None:
    stored = manifest.storage.model_copy(update={"scale": scale})
    build = in_unit(manifest, unit, storage=stored)
    random = np.random.default_rng(3)
    power = torch.from_numpy(random.gamma(LOOKS, 0.05 / LOOKS, (2, 2, 500, 500)))
    how = normalizer(build, ["VV", "VH"], normalize)
    offset, factor = (torch.from_numpy(terms.astype(np.float64))[:, None, None] for terms in how.terms.T)
    images = (to_unit(power, unit) * (scale or 1) - offset) * factor
    step = Speckle(build, ["VV", "VH"], ADDED, how)
    noisy = step(images.float(), torch.tensor([11, 12])).double()
    found = to_power((noisy / factor + offset) / (scale or 1), unit)
    for channel in range(2):
        values = found[:, channel]
        mean = float(values.mean())
        spread = 1 / LOOKS + 1 / ADDED + 1 / (LOOKS * ADDED)
        assert abs(mean / 0.05 - 1) < 5 * math.sqrt(spread / values.numel())
        assert float(values.var()) / mean**2 == pytest.approx(spread, rel=0.02)


def test_the_factors_follow_a_gamma_distribution_of_mean_one(manifest: Manifest) -> None:
    step = Speckle(in_unit(manifest, "power"), ["VV"], 3.0, None)
    factors = step(torch.ones(1, 1, 300, 300), torch.tensor([5])).flatten().double()
    assert stats.kstest(factors, stats.gamma(3, scale=1 / 3).cdf).pvalue > 0.01


def test_masked_pixels_stay_masked(manifest: Manifest) -> None:
    images = torch.randn(2, 2, 9, 9)
    images[:, :, 2:4] = torch.nan
    for how in (None, normalizer(manifest, None, "zscore")):
        found = Speckle(manifest, ["VV", "VH"], 4, how)(images, torch.tensor([1, 2]))
        assert torch.equal(found.isnan(), images.isnan())
        assert (found != images).all()


def test_a_sample_is_speckled_alike_in_every_batch(manifest: Manifest) -> None:
    images, seeds = torch.randn(6, 2, 9, 7), torch.arange(6) * 2**30
    step = Speckle(manifest, ["VV", "VH"], 4, None)
    assert torch.equal(step(images, seeds), torch.cat([step(images[:1], seeds[:1]), step(images[1:], seeds[1:])]))


@pytest.mark.parametrize("unit", ["8-bit", "phase", "DN"])
def test_units_without_linear_power_are_refused(manifest: Manifest, unit: str) -> None:
    with pytest.raises(
        UsageError, match=f"expected bands in dB, power, amplitude, found VV in {unit}.*leave speckle out"
    ):
        Speckle(in_unit(manifest, unit), ["VV"], 4, None)


def test_derived_bands_and_normalized_builds_are_refused(manifest: Manifest) -> None:
    with pytest.raises(UsageError, match="VV-VH is derived of two bands"):
        Speckle(manifest, ["VV", "VV-VH"], 4, None)
    done = manifest.model_copy(update={"applied": [Applied(step="normalize", parameters={"method": "zscore"})]})
    with pytest.raises(UsageError, match=r"normalized already.*take its parent"):
        Speckle(done, ["VV"], 4, None)
