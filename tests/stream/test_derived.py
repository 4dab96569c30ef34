"""Derived bands are what their formulas say in linear power, with figures of their own, or are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sar_data.builder.itinerary import convert
from sar_data.builder.request import ConvertRequest
from sar_data.errors import UsageError
from sar_data.record import Record, Sample
from sar_data.sealed.opened import Build
from sar_data.spec import Tree
from sar_data.stream.channels import channel_of, is_formula, operands
from sar_data.stream.collection import open_collection
from sar_data.stream.dataset import Stream
from tests.mini import invented

Array = npt.NDArray[Any]
BANDS = ("VV/VH", "VV", "VV+VH", "RVI:VV:VH")


@pytest.fixture(scope="module")
def plain(sealed: dict[str, Build]) -> Build:
    return sealed["zarr"]


@pytest.fixture(scope="module")
def ragged(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Images of many sizes with masked pixels, two a sample."""
    root = tmp_path_factory.mktemp("derived")
    source = invented.archive(root / "raw", 40, ragged=True)
    made = invented.pipeline("segmentation", shape=None, frames=2)
    return invented.sealed(made, source, root / "out", format="webdataset")


def images(build: Build | Path, **options: Any) -> Array:
    samples = open_collection(build.path if isinstance(build, Build) else build, **{"fill": None, **options})
    found: Array = samples.batch(np.arange(len(samples)))["image"]
    samples.close()
    return found


def oracle(decibels: Array) -> Array:
    """Return BANDS [..., channel, y, x] in float64 of dB [..., (VV, VH), y, x]."""
    db = np.moveaxis(decibels.astype(np.float64), -3, 0)
    vv, vh = 10 ** (db / 10)
    return np.stack([vv / vh, db[0], vv + vh, 4 * vh / (vv + vh)], axis=-3)


def test_ratio_span_and_vegetation_index_are_of_linear_power_in_every_unit(plain: Build, tmp_path: Path) -> None:
    expected = oracle(images(plain, normalize=None))
    np.testing.assert_allclose(images(plain, bands=BANDS, normalize=None), expected, rtol=5e-6)
    amplitude = convert(ConvertRequest(parent=plain.path, out=tmp_path, unit="amplitude"))
    # Another build has another order of its samples, and powers and roots are rounded once more.
    found, wanted = (
        np.sort(one[:, [0, 2, 3]], axis=0) for one in (images(amplitude, bands=BANDS, normalize=None), expected)
    )
    np.testing.assert_allclose(found, wanted, rtol=2e-5)
    found = images(amplitude, bands=BANDS, normalize=None, unit="dB")
    np.testing.assert_allclose(np.sort(found, axis=0), np.sort(expected, axis=0), rtol=2e-5, atol=1e-5)


def test_figures_are_those_of_all_pixels_of_train_that_have_a_value(plain: Build, ragged: Build) -> None:
    for build, pad in ((plain, None), (ragged, 16)):
        values = np.moveaxis(oracle(images(build, normalize=None, pad=pad)), -3, 0).reshape(len(BANDS), -1)
        assert np.isnan(values).any() == (pad is not None)
        figures = Stream.measure(build.path, BANDS)
        for name, own in zip(BANDS, values, strict=True):
            np.testing.assert_allclose(figures[name], (np.nanmean(own), np.nanstd(own)), rtol=2e-6)
        found = images(build, bands=BANDS, figures=figures, pad=pad)
        flat = np.moveaxis(found.astype(np.float64), -3, 0).reshape(len(BANDS), -1)
        np.testing.assert_allclose(np.nanmean(flat, axis=1), 0, atol=1e-5)
        np.testing.assert_allclose(np.nanstd(flat, axis=1), 1, rtol=1e-5)


def lacking(tree: Tree, record: Record) -> Sample:
    """Return an image whose first band lacks a pixel."""
    sample = invented.pipeline().read(tree, record)
    image = sample.image.copy()
    image[0, 1, 2] = np.nan
    return dataclasses.replace(sample, image=image)


def test_a_pixel_that_one_band_lacks_is_masked_and_filled(tmp_path: Path) -> None:
    made = dataclasses.replace(invented.pipeline(), read=lacking)
    build = invented.sealed(made, invented.archive(tmp_path / "raw", 12), tmp_path / "out")
    masked = np.isnan(images(build, normalize=None))
    assert (masked[:, 0] & ~masked[:, 1]).any()
    found = images(build, bands=("RVI:VV:VH", "VH/VV"), normalize=None, fill=-7.0)
    for channel in range(2):
        np.testing.assert_array_equal(found[:, channel] == -7, masked.any(axis=1))


@pytest.mark.parametrize("how", ["zscore", "sarhub", None])
def test_a_device_and_windows_of_tars_give_the_same(plain: Build, ragged: Build, how: str | None) -> None:
    torch = pytest.importorskip("torch")
    from sar_data.torch import loader

    for build, fit in ((plain.path, {}), (ragged.path, {"crop": 4})):
        options: dict[str, Any] = {"batch_size": 4, "bands": BANDS, "normalize": how, **fit}
        options["figures"] = Stream.measure(build, BANDS) if how == "zscore" else None
        with loader(build, **options) as here, loader(build, device="cpu", **options) as there:
            for one, other in zip(here, there, strict=True):
                torch.testing.assert_close(one["image"], other["image"], rtol=2e-5, atol=2e-6)
                assert one["image"].shape[-3] == len(BANDS)


def test_what_has_no_power_or_no_figures_is_refused(plain: Build, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no figures are recorded for VV/VH, which `Stream\.measured` measures"):
        images(plain, bands=["VV/VH"])
    with pytest.raises(UsageError, match="no figures are recorded for VV/VH; `normalize=zscore` has them"):
        images(plain, bands=["VV/VH"], normalize="robust")
    with pytest.raises(UsageError, match="expected the like-polarized band first: 'RVI:VV:VH'"):
        images(plain, bands=["RVI:VH:VV"], normalize=None)
    baked = convert(ConvertRequest(parent=plain.path, out=tmp_path, normalize="zscore"))
    with pytest.raises(UsageError, match=r"bands='VV\+VH': expected a build in its physical unit"):
        images(baked, bands=["VV+VH"], normalize=None)
    grey = invented.sealed(
        invented.pipeline(dtype="uint8", unit="8-bit"), invented.archive(tmp_path / "raw", 12), tmp_path / "grey"
    )
    with pytest.raises(UsageError, match="expected bands in dB, power, amplitude, found 8-bit and 8-bit"):
        images(grey, bands=["VV/VH"], normalize=None)
    with pytest.raises(UsageError, match="unknown band 'RVI'"):
        images(plain, bands=["RVI"])


def test_names_are_read_as_they_are_written() -> None:
    for name in ("VV-VH", "VH/VV", "VV+VH", "RVI:VV:VH"):
        channel = channel_of(name, ["VH", "VV"])
        assert (channel.name, operands(name)) == (name, channel.bands)
        assert is_formula(name) == (channel.formula is not None)
    assert (channel_of("VV", ["VH", "VV"]).bands, operands("VV"), is_formula("VV")) == (("VV",), ("VV",), False)
    assert operands("VV_phase") == ("VV_phase",)
