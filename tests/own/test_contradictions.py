"""What is declared and what files say otherwise is said in a warning, and built as it is declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from pipelines.custom import PIPELINE
from sar_data.errors import UsageError
from sar_data.own.evidence import Values
from sar_data.own.pipeline import fit
from sar_data.sources.tree import Folder
from tests.own.trees import png, tif, values


def warnings(root: Path, **fields: Any) -> list[str]:
    _, said = fit(Folder.at(root), PIPELINE, {"unit": "power"} | fields)
    return [line.removeprefix("warning: ") for line in said if line.startswith("warning: ")]


@pytest.mark.parametrize(
    ("names", "bands", "words"),
    [
        (("VV", "VH"), ["VH", "VV"], "bands: declared VH, VV, but the files describe them as VV, VH"),
        (("Sigma0_VV", "Sigma0_VH"), ["HH", "HV"], "bands: declared HH, HV, but the files describe them as Sigma0_VV"),
        (("I", "Q"), ["q", "i"], "bands: declared q, i, but the files describe them as I, Q"),
        (("VV", "VH"), ["VV", "VH"], None),
        (("sigma0_vv_db", "sigma0_vh_db"), ["VV", "VH"], None),
        (("first", "second"), ["VV", "VH"], None),
        (("VV", "VH"), ["co", "cross"], None),
    ],
)
def test_descriptions_of_bands(tmp_path: Path, names: tuple[str, ...], bands: list[str], words: str | None) -> None:
    for i in range(2):
        with rasterio.open(tif(tmp_path / f"{i}.tif", values(i), place=i), "r+") as file:
            file.descriptions = names
    found = warnings(tmp_path, bands=bands)
    assert len(found) == (words is not None)
    assert words is None or found[0].startswith(words)


def test_bands_a_file_follow_the_names_of_the_bands(tmp_path: Path) -> None:
    for i in range(2):
        for j, band in enumerate(("VV", "VH")):
            tif(tmp_path / f"{i}_{band}.tif", values(2 * i + j, bands=1))
    tree = Folder.at(tmp_path)
    found, said = fit(tree, PIPELINE, {"unit": "power", "bands": ["VH", "VV"]})
    assert not [line for line in said if line.startswith("warning")]
    (record,) = found.scan(tree, "0_VH.tif")
    assert np.array_equal(found.read(tree, record).image[0], values(1, bands=1)[0])
    assert warnings(tmp_path, bands=["HH", "HV"]) == ["bands: declared HH, HV, but the files are called VV, VH"]
    assert warnings(tmp_path, bands=["VV", "VH"], band_suffixes=["_VH", "_VV"]) == [
        "bands: declared VV, VH, but the files are called VH, VV"
    ]


def test_one_band_in_files_that_are_called_otherwise(tmp_path: Path) -> None:
    for i in range(2):
        tif(tmp_path / f"{i}_VV.tif", values(i, bands=1))
    assert warnings(tmp_path, bands=["VH"]) == ["bands: declared VH, but the files are called VV"]
    assert warnings(tmp_path, bands=["VV"]) == warnings(tmp_path, bands=["backscatter"]) == []


def test_a_band_that_is_called_almost_as_a_polarization(tmp_path: Path) -> None:
    tif(tmp_path / "0.tif", values(0))
    assert warnings(tmp_path, bands=["VV", "VX"]) == ["bands: VX is none of the polarizations VV, VH, HH and HV"]


DB = 10 * np.log10(values(0))


@pytest.mark.parametrize(
    ("image", "unit", "words"),
    [
        (values(0), "dB", "small positive numbers suggest linear power or amplitude, not dB"),
        (1e4 * values(0), "dB", "large positive numbers suggest amplitude or uncalibrated DN, not dB"),
        (100 * DB, "dB", "dB does not reach so far"),
        (DB, "power", "suggest dB"),
        (DB, "amplitude", "suggest dB"),
        (DB, "dB", None),
        (DB - 40, "dB", None),  # thermal noise in places
        (DB + 60, "dB", None),  # of uncalibrated numbers
        (values(0), "power", None),
        (values(0) - 0.001, "power", None),  # after noise was subtracted
        (1e4 * values(0), "amplitude", None),
        (DB, "phase", None),
    ],
)
def test_values_and_units(tmp_path: Path, image: np.ndarray[Any, Any], unit: str, words: str | None) -> None:
    tif(tmp_path / "0.tif", image.astype(np.float32))
    found = warnings(tmp_path, unit=unit)
    assert len(found) == (words is not None)
    assert words is None or (found[0].startswith(f"unit: declared {unit}, but values lie") and words in found[0])


def test_units_of_bands_are_compared_with_the_bands(tmp_path: Path) -> None:
    tif(tmp_path / "0.tif", np.stack([DB[0], values(0)[1]]).astype(np.float32))
    assert warnings(tmp_path, unit=["dB", "power"]) == []
    assert len(warnings(tmp_path, unit=["power", "dB"])) == 2


def test_pictures_are_no_power(tmp_path: Path) -> None:
    png(tmp_path / "0.png")
    assert "pixels of 8 bits suggest a picture" in warnings(tmp_path, unit="power")[0]
    assert warnings(tmp_path, unit="8-bit") == warnings(tmp_path, unit=None) == []


def test_no_pixels_say_nothing() -> None:
    assert Values.of(np.full((1, 2, 2), np.nan, np.float32)) is None


@pytest.mark.parametrize(("said", "meant"), [("sigma-nought", "sigma0"), ("gamma", "gamma0"), ("stretch", "stretched")])
def test_a_calibration_is_one_of_the_known_names(tmp_path: Path, said: str, meant: str) -> None:
    tif(tmp_path / "0.tif", values(0))
    with pytest.raises(UsageError, match=f"`calibration={said}`: expected 'sigma0', .*Did you mean '{meant}'?"):
        warnings(tmp_path, calibration=said)
    found, _ = fit(Folder.at(tmp_path), PIPELINE, {"unit": "power", "calibration": "Sigma0"})
    assert found.spec.calibration == "sigma0"
