"""Linear power, amplitude and dB become each other: baked, recorded, with the statistics of what is stored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import sar_data
from sar_data.errors import UsageError
from sar_data.radiometry import convert_unit
from sar_data.sealed.opened import Build
from tests.own.trees import tif, values

SERIAL: dict[str, Any] = {"runner": "serial"}
BANDS: dict[str, Any] = {"bands": ["VV", "VH"], "split": "random"}


@pytest.fixture(scope="module")
def power(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A build of linear power in which some pixels are 0, a chip is 0 in VH, and some are missing."""
    root = tmp_path_factory.mktemp("power")
    for i in range(20):
        image = values(i)
        image[0, 0, :3] = 0
        image[1, 1, :2] = np.nan
        if i == 7:
            image[1] = 0
        tif(root / f"raw/{i:02}.tif", image, place=i)
    return sar_data.build("custom", source=root / "raw", out=root / "out", declare=BANDS, unit="power", **SERIAL)


def train(build: Build) -> npt.NDArray[np.float32]:
    """Return the train images [sample, band, y, x] of a Zarr build."""
    return np.asarray(build.dataset("train").image.values)


def test_power_becomes_db_and_what_has_none_is_masked_and_counted(power: Build, tmp_path: Path) -> None:
    db = sar_data.convert(power.path, unit="db", out=tmp_path, **SERIAL)
    assert sar_data.verify(db.path, full=True) == []
    before, after = train(power), train(db)
    with np.errstate(divide="ignore"):
        expected = 10 * np.log10(before.astype(np.float64))
    valid = before > 0
    assert np.array_equal(np.isfinite(after), valid)
    assert np.allclose(after[valid], expected[valid], atol=1e-5)
    assert not np.isinf(after).any()
    manifest = db.manifest
    assert [band.unit for band in manifest.bands] == ["dB", "dB"]
    assert [(step.step, step.parameters) for step in manifest.applied] == [
        ("unit", {"to": "dB", "from": ["power", "power"]})
    ]
    zeros = {"VV": 20 * 3, "VH": 16 * 16}
    assert manifest.unvalued == zeros
    normal = manifest.normalization
    assert normal is not None
    assert normal.units == {"VV": "dB", "VH": "dB"}
    assert normal.mean["VV"] == pytest.approx(expected[:, 0][valid[:, 0]].mean(), abs=1e-4)


def test_the_way_back_is_within_the_rounding_of_float32(power: Build, tmp_path: Path) -> None:
    db = sar_data.convert(power.path, unit="dB", out=tmp_path, **SERIAL)
    back = sar_data.convert(db.path, unit="power", **SERIAL)
    before, after = train(power), train(back)
    valid = before > 0
    assert np.allclose(after[valid], before[valid], rtol=2e-6)
    assert np.isnan(after[~valid]).all()
    assert [step.parameters["to"] for step in back.manifest.applied] == ["dB", "power"]
    assert back.manifest.unvalued == {"VV": 60, "VH": 256}  # by the conversion before


def test_integer_amplitude_becomes_db_in_one_command(tmp_path: Path) -> None:
    for i in range(8):
        image = np.random.default_rng(i).integers(0, 900, (1, 16, 16)).astype(np.int16)
        image[0, 3, 3] = -1
        tif(tmp_path / f"raw/{i}.tif", image, place=i)
    declare = {"bands": ["HH"], "unit": "amplitude", "split": "random"}
    build = sar_data.build(
        "custom", source=tmp_path / "raw", out=tmp_path, declare=declare, unit="db", dtype="int16", **SERIAL
    )
    assert [step.step for step in build.manifest.applied] == ["unit", "dtype"]
    assert build.manifest.storage.dtype == "int16"
    values = np.asarray(build.dataset("train").image.values)
    amplitude = np.asarray(train(sar_data.open(next((tmp_path / "custom/1.0").glob("zarr-*[!-]")).resolve())))
    assert values.shape[1:] == (1, 16, 16)
    assert amplitude.shape[1:] == (1, 16, 16)
    assert build.manifest.unvalued["HH"] >= 8
    assert np.nanmax(values) <= 20 * np.log10(900)


def test_a_unit_that_the_data_have_already_makes_no_second_build(power: Build, tmp_path: Path) -> None:
    source = power.path.parents[3] / "raw"
    asked: dict[str, Any] = {"source": source, "out": tmp_path, **SERIAL}
    build = sar_data.build("custom", declare={**BANDS, "unit": "power"}, unit="power", drop_parent=True, **asked)
    assert build.manifest.parent is None
    with pytest.raises(UsageError, match="`unit=power`: this build is in power already"):
        sar_data.convert(build.path, unit="power", **SERIAL)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unit": "decibel"}, "unknown unit 'decibel'. Did you mean 'dB'?"),
        ({"unit": "phase"}, "`unit=phase`: expected a conversion among dB, power, amplitude, found values in power"),
        ({"dtype": "int16"}, "`dtype=int16`: expected values in dB, found unit 'power': add `unit=dB`"),
        ({"resize": 8}, "`resize=8`: expected values in dB, found unit 'power': add `unit=dB`"),
        ({"unit": "amplitude", "dtype": "int16"}, "`dtype=int16`: expected values in dB, found unit 'amplitude'"),
    ],
)
def test_what_does_not_fit_a_unit_is_refused(
    power: Build, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        sar_data.convert(power.path, out=tmp_path, **changes, **SERIAL)
    assert not list(tmp_path.iterdir())


def test_a_narrow_dtype_of_linear_values_is_refused_before_anything_is_built(power: Build, tmp_path: Path) -> None:
    source = power.path.parents[3] / "raw"
    with pytest.raises(UsageError, match=r"add `unit=dB`"):
        sar_data.build(
            "custom", source=source, out=tmp_path, declare={**BANDS, "unit": "power"}, dtype="int16", **SERIAL
        )
    assert not list(tmp_path.iterdir())


UNITS = ("dB", "power", "amplitude")


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("wanted", UNITS)
def test_every_unit_becomes_every_other_and_comes_back(unit: str, wanted: str) -> None:
    first = np.array([-25.0, -3.0, 0.5, 12.0] if unit == "dB" else [1e-6, 0.1, 1.0, 300.0], np.float32)
    there = convert_unit(first, unit, wanted)
    assert np.allclose(convert_unit(there, wanted, unit), first, rtol=1e-5)
    power = {"dB": 10 ** (first.astype(np.float64) / 10), "power": first, "amplitude": first.astype(np.float64) ** 2}
    expected = {"dB": 10 * np.log10(power[unit]), "power": power[unit], "amplitude": np.sqrt(power[unit])}
    assert np.allclose(there, expected[wanted], rtol=1e-5, atol=1e-5)


def test_no_conversion_gives_an_infinite_value() -> None:
    odd = np.array([0, -0.0, -1, np.nan, np.inf, -np.inf, 1e38], np.float32)
    for unit in ("power", "amplitude"):
        found = convert_unit(odd, unit, "dB")
        assert np.isnan(found[:4]).all()
        assert not np.isneginf(found).any()


def test_a_conversion_to_db_is_normalized_by_the_statistics_of_db(power: Build, tmp_path: Path) -> None:
    baked = sar_data.convert(power.path, out=tmp_path, unit="dB", normalize="zscore", **SERIAL)
    assert [step.step for step in baked.manifest.applied] == ["unit", "normalize"]
    statistics = baked.manifest.statistics
    assert statistics is not None
    for band in statistics["train"].bands.values():
        assert band.stored.mean == pytest.approx(0, abs=1e-5)
        assert band.stored.std == pytest.approx(1, rel=1e-5)
    db = sar_data.convert(power.path, out=tmp_path, unit="dB", **SERIAL).manifest.normalization
    assert db is not None
    assert baked.manifest.applied[1].parameters["offset"] == pytest.approx(list(db.mean.values()), rel=1e-9)
