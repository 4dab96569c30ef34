"""A loader gives values in another unit than the stored one, with the figures of that unit, on every way to a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import sar_data
from sar_data.errors import BuildError, UsageError
from sar_data.sealed.opened import Build
from sar_data.stream.dataset import Stream
from tests.own.trees import tif, values

FIXED: dict[str, Any] = {"split": "train", "batch_size": 4, "shuffle": False}


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Build, Build]:
    """The same chips in linear power, with some zeros, and baked into dB."""
    root = tmp_path_factory.mktemp("units")
    for i in range(20):
        image = values(i)
        image[0, 0, :3] = 0
        tif(root / f"raw/{i:02}.tif", image, place=i)
    declare = {"bands": ["VV", "VH"], "split": "random"}
    power = sar_data.build("custom", source=root / "raw", out=root, declare=declare, unit="power", runner="serial")
    return power, sar_data.convert(power.path, unit="dB", runner="serial")


def images(build: Build, **options: Any) -> npt.NDArray[np.float32]:
    with Stream(build.path, **FIXED, **options) as stream:
        return np.concatenate([batch["image"].copy() for batch in stream])


@pytest.mark.parametrize(
    "options",
    [
        {"normalize": None, "fill": None},
        {"normalize": "zscore"},
        {"normalize": "minmax", "fill": -1.0},
        {"normalize": "fgmae-uint8"},
        {"normalize": "sarhub", "bands": ["VH"]},
        {"normalize": "zscore", "crop": 8},
    ],
)
def test_power_in_db_is_what_the_baked_build_gives(builds: tuple[Build, Build], options: dict[str, Any]) -> None:
    power, db = builds
    found, expected = images(power, unit="db", **options), images(db, **options)
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    assert np.isnan(found).any() == (options.get("fill", 0.0) is None)
    grey = 1 / 255 if options["normalize"] == "fgmae-uint8" else 0.0  # a level more or less, at its edge
    assert np.nanmax(np.abs(found - expected)) <= 2e-5 + grey


@pytest.mark.parametrize("how", ["zscore", "sarhub", None])
def test_tensors_that_are_normalized_on_a_device_are_the_same(builds: tuple[Build, Build], how: str | None) -> None:
    from sar_data.torch import loader

    power, _ = builds
    expected = images(power, unit="dB", normalize=how)
    with loader(power.path, **FIXED, unit="dB", normalize=how, device="cpu") as found:
        got = np.concatenate([batch["image"].numpy() for batch in found])
    assert np.abs(got - expected).max() <= 2e-5


def test_db_becomes_power_and_amplitude(builds: tuple[Build, Build]) -> None:
    power, db = builds
    raw = images(power, normalize=None, fill=None)
    raw[raw <= 0] = np.nan
    assert np.allclose(images(db, unit="power", normalize=None, fill=None), raw, rtol=1e-5, equal_nan=True)
    root = images(db, unit="amplitude", normalize=None, fill=None)
    assert np.allclose(np.square(root), raw, rtol=1e-5, equal_nan=True)


def test_builds_of_different_units_are_read_together_in_one(builds: tuple[Build, Build]) -> None:
    paths = [build.path for build in builds]
    with pytest.raises(UsageError, match="builds differ in unit"):
        Stream(paths, **FIXED)
    with Stream(paths, **FIXED, unit="dB", normalize=None, fill=None) as stream:
        found = np.concatenate([batch["image"].copy() for batch in stream])
    half = len(found) // 2
    assert np.allclose(found[:half], found[half:], atol=2e-5, equal_nan=True)


def test_what_has_no_figures_or_no_unit_is_refused(builds: tuple[Build, Build], tmp_path: Path) -> None:
    power, db = builds
    with pytest.raises(BuildError, match="no train statistics in this unit"):
        Stream(db.path, **FIXED, unit="amplitude")
    assert images(db, unit="power", normalize="minmax").max() == pytest.approx(1)
    with pytest.raises(UsageError, match="VV-VH is a difference of stored values"):
        Stream(power.path, **FIXED, unit="dB", bands=["VV-VH"])
    with pytest.raises(UsageError, match="expected a conversion among dB, power, amplitude"):
        Stream(power.path, **FIXED, unit="phase")
