"""One gate for the types of pixels: what a file holds is stored so that every loader reads it, or refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.path_label import PIPELINE
from sar_data import dtypes
from sar_data.builder.itinerary import build, carry_out
from sar_data.builder.request import BuildRequest
from sar_data.dtypes import COMPLEX, EXACT, STORED, TAKEN
from sar_data.errors import BadRecord, SourceError, UsageError
from sar_data.sealed.opened import Build
from sar_data.stream.dataset import Stream
from sar_data.synth import geotiff, png
from tests.raster.test_tiff import by_gdal

Array = npt.NDArray[Any]
SIDE = 12
SEALED = ("zarr", "webdataset", "lmdb")


def npy(path: Path, image: Array) -> None:
    np.save(path.with_suffix(".npy"), image)


def tif(path: Path, image: Array) -> None:
    path.with_suffix(".tif").write_bytes(by_gdal(image))


def grey(path: Path, image: Array) -> None:
    path.with_suffix(".png").write_bytes(png(image))


def chips(root: Path, images: list[Array], write: Callable[[Path, Array], None] = npy) -> Path:
    """Write images and the lists of them, all of one class, the last for test; return the folder."""
    root.mkdir()
    for i, image in enumerate(images):
        write(root / f"s{i}", image)
    for name, numbers in (("train", range(len(images) - 1)), ("test", [len(images) - 1])):
        (root / f"{name}.txt").write_text("".join(f"s{i} 0\n" for i in numbers))
    return root


def images(dtype: str, bands: int = 1) -> list[Array]:
    random = np.random.default_rng(1)
    shape = (3, bands, SIDE, SIDE)
    if dtype.startswith("complex"):
        return list((random.normal(0, 3, shape) + 1j * random.normal(0, 3, shape)).astype(dtype))
    if dtype.startswith("float"):
        return list(random.normal(-9, 3, shape).astype(dtype))
    return list(random.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype))


def streamed(made: Build, split: str = "train") -> dict[str, Array]:
    """Return every image of a split as the loader gives it, in the stored unit, by key."""
    stream = Stream(made.path, split=split, batch_size=2, normalize=None, fill=None, shuffle=False)
    return {key: np.array(image) for batch in stream for key, image in zip(batch["key"], batch["image"], strict=True)}


@pytest.mark.parametrize("dtype", TAKEN)
def test_every_type_is_stored_so_that_each_container_streams_it(tmp_path: Path, dtype: str) -> None:
    written = images(dtype)
    source = chips(tmp_path / "raw", written)
    request = BuildRequest(dataset=PIPELINE, source=source, out=tmp_path / "out", format=SEALED)
    for outcome in carry_out(request):
        made = outcome.build
        assert made.manifest.storage.dtype == TAKEN[dtype] in STORED
        assert made.manifest.narrowed_records == (0 if dtype in STORED else 3)
        found = streamed(made)
        assert {key: value.tolist() for key, value in found.items()} == {
            f"s{i}": written[i].astype(np.float32).tolist() for i in range(2)
        }


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint16", "complex64"])
def test_a_tiff_and_an_npy_of_one_type_become_one_build(tmp_path: Path, dtype: str) -> None:
    how: Any = "iq" if dtype == "complex64" else None
    made = [
        build(
            BuildRequest(
                dataset=PIPELINE,
                source=chips(tmp_path / write.__name__, images(dtype, 2), write),
                out=tmp_path / "out" / write.__name__,
                complex_as=how,
            )
        )
        for write in (npy, tif)
    ]
    assert len({one.manifest.content_digest for one in made}) == 1
    assert len({one.manifest.storage.dtype for one in made}) == 1


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_are_refused_before_a_build_and_become_named_bands_on_request(
    tmp_path: Path, dtype: str
) -> None:
    written = images(dtype)
    source = chips(tmp_path / "raw", written)
    with pytest.raises(SourceError, match=r"`complex_as=iq` \(bands I and Q\) or `complex_as=amplitude-phase`"):
        build(BuildRequest(dataset=PIPELINE, source=source, out=tmp_path / "none"))
    assert not (tmp_path / "none").exists()
    both: dict[Any, tuple[list[str], list[str], list[Array]]] = {
        "iq": (["I", "Q"], ["DN", "DN"], [written[0].real, written[0].imag]),
        "amplitude-phase": (["amplitude", "phase"], ["amplitude", "phase"], [np.abs(written[0]), np.angle(written[0])]),
    }
    for how, (names, units, planes) in both.items():
        made = build(BuildRequest(dataset=PIPELINE, source=source, out=tmp_path / how, complex_as=how))
        assert [band.name for band in made.manifest.bands] == names
        assert [band.unit for band in made.manifest.bands] == units
        assert np.allclose(streamed(made)["s0"], np.concatenate(planes), atol=1e-5)


def test_complex_whole_numbers_of_a_tiff_are_complex_too(tmp_path: Path) -> None:
    import rasterio

    def slc(path: Path, image: Array) -> None:
        size: Any = {"count": 1, "height": SIDE, "width": SIDE, "dtype": "complex_int16", "crs": "EPSG:32633"}
        place = rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)
        with rasterio.open(path.with_suffix(".tif"), "w", driver="GTiff", transform=place, **size) as file:
            file.write(image)

    written = [np.round(image) for image in images("complex64")]
    source = chips(tmp_path / "raw", written, slc)
    with pytest.raises(SourceError, match="complex_int16"):
        build(BuildRequest(dataset=PIPELINE, source=source, out=tmp_path / "out"))
    made = build(BuildRequest(dataset=PIPELINE, source=source, out=tmp_path / "out", complex_as="iq"))
    assert streamed(made)["s1"].tolist() == np.concatenate([written[1].real, written[1].imag]).tolist()


def test_asking_for_bands_of_numbers_that_are_not_complex_is_an_error(tmp_path: Path) -> None:
    source = chips(tmp_path / "raw", images("float32"))
    with pytest.raises(UsageError, match="`complex_as=iq`: expected files of complex numbers, found float32"):
        build(BuildRequest(dataset=PIPELINE, source=source, out=tmp_path / "out", complex_as="iq"))


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.full((1, SIDE, SIDE), EXACT + 1, np.int64), r"up to 16,777,216, found 16,777,217"),
        (np.full((1, SIDE, SIDE), 2**63, np.uint64), r"up to 16,777,216, found 9,223"),
        (np.full((1, SIDE, SIDE), -1e300), r"expected values that float32 can hold, found 1e\+300"),
    ],
)
def test_what_does_not_fit_is_refused_and_never_rounded(tmp_path: Path, image: Array, reason: str) -> None:
    source = chips(tmp_path / "raw", [image] * 3)
    with pytest.raises(BadRecord, match=reason):
        build(BuildRequest(dataset=PIPELINE, source=source, out=tmp_path / "out"))


@pytest.mark.parametrize("dtype", ["longdouble", "U4", "datetime64[D]", [("a", "f4")]])
def test_what_is_no_pixel_is_refused_at_the_scan(tmp_path: Path, dtype: Any) -> None:
    source = chips(tmp_path / "raw", [np.zeros((SIDE, SIDE), dtype)] * 3)
    with pytest.raises((BadRecord, UsageError), match=r"expected (numbers|pixels of|a .npy)"):
        build(BuildRequest(dataset=PIPELINE, source=source, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_png_of_16_bits_is_a_band_of_16_bits(tmp_path: Path) -> None:
    written = [image[0].astype(np.uint16) * 600 for image in images("uint16")]
    source = chips(tmp_path / "raw", written, grey)
    made = build(BuildRequest(dataset=PIPELINE, source=source, out=tmp_path / "out"))
    assert made.manifest.storage.dtype == "uint16"
    assert streamed(made)["s0"].tolist() == [written[0].tolist()]


def test_the_table_leads_to_types_that_are_stored() -> None:
    assert set(TAKEN.values()) == set(STORED) <= TAKEN.keys()
    assert not TAKEN.keys() & set(COMPLEX)


def placed(east: float) -> Callable[[Path, Array], None]:
    def write(path: Path, image: Array) -> None:
        number = int(path.name[1:])
        transform = (10.0, 0.0, 500_000.0 + number * east, 0.0, -10.0, 5_000_000.0)
        path.with_suffix(".tif").write_bytes(geotiff(image, epsg=32632, transform=transform, rows_per_strip=SIDE))

    return write


@pytest.mark.parametrize(("east", "leak"), [(10.0 * SIDE, 1.0), (1e5, 0.0)])
def test_chips_with_a_place_keep_it_and_leakage_is_known(tmp_path: Path, east: float, leak: float) -> None:
    source = chips(tmp_path / "raw", images("float32"), placed(east))
    made = build(BuildRequest(dataset=PIPELINE, source=source, out=tmp_path / "out"))
    assert made.manifest.leakage["touching"].value == leak
    row = made.index().filter(made.index()["key"].to_numpy(zero_copy_only=False) == "s1").to_pylist()[0]
    west = 500_000.0 + east
    assert row["crs"] == "EPSG:32632"
    assert row["transform"] == [10.0, 0.0, west, 0.0, -10.0, 5_000_000.0]
    assert row["footprint"] == [west, 5_000_000.0 - 10 * SIDE, west + 10 * SIDE, 5_000_000.0]
    assert math.isclose(made.manifest.pixel_size_m or 10.0, 10.0)


def test_a_signalling_nan_and_numbers_too_large_are_converted_without_a_warning() -> None:
    odd = np.array([0x7FF4000000000000, 0x7FE0000000000000], np.uint64).view(np.float64).reshape(1, 1, 2)
    image = np.empty((1, 1, 2), np.complex128)
    image.real, image.imag = odd, odd
    found = dtypes.parts(image, "iq")
    assert np.isnan(found[..., 0]).all()
    assert np.isinf(found[..., 1]).all()
    assert np.isnan(dtypes.parts(image, "amplitude-phase")[0, 0, 0])
    assert np.isnan(dtypes.fit_dtype(odd[..., :1], "float32", "a.npy")[0]).all()
