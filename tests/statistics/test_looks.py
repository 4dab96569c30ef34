"""The number of looks of speckle is estimated where there is speckle alone, edges and texture aside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import sar_data
from sar_data import catalog
from sar_data.cli import main
from sar_data.sealed.places import places
from sar_data.statistics.border import count_beside
from sar_data.statistics.looks import looks, measure_windows, windows
from tests.mini import invented
from tests.mini.builds import make


def estimated(images: list[np.ndarray]) -> float:
    found, _ = looks(np.concatenate([measure_windows(windows(image)) for image in images]))
    assert found is not None
    return found


@pytest.mark.parametrize("true", [1.0, 2.0, 4.4, 10.0])
def test_the_looks_of_flat_areas_are_found_among_fields_and_texture(true: float) -> None:
    random = np.random.default_rng(0)
    speckle = [random.gamma(true, 1 / true, (117, 117)) for _ in range(60)]
    assert estimated(speckle) == pytest.approx(true, rel=0.05)
    fields = [np.kron(10 ** (random.normal(0, 3, (6, 6)) / 10), np.ones((20, 20)))[:117, :117] for _ in speckle]
    assert estimated([a * b for a, b in zip(speckle, fields, strict=True)]) == pytest.approx(true, rel=0.05)
    texture = [random.gamma(4, 1 / 4, (117, 117)) if i < 24 else 1.0 for i in range(60)]
    assert estimated([a * b for a, b in zip(speckle, texture, strict=True)]) == pytest.approx(true, rel=0.05)


def test_correlated_pixels_are_told_and_make_the_estimate_too_large() -> None:
    random = np.random.default_rng(1)
    raw = [random.gamma(2, 1 / 2, (118, 118)) for _ in range(60)]
    smooth = [(a[:-1, :-1] + a[1:, :-1] + a[:-1, 1:] + a[1:, 1:]) / 4 for a in raw]  # of 8 looks
    found, correlation = looks(np.concatenate([measure_windows(windows(image)) for image in smooth]))
    assert correlation == pytest.approx(0.45, abs=0.05)  # truly 0.5; a window's own mean takes some of it
    assert found is not None
    assert 8 < found < 9.2


def test_masked_and_constant_windows_count_nowhere() -> None:
    image = np.random.default_rng(0).gamma(4, 1 / 4, (27, 30))
    image[3, 3], image[9:18, 9:18] = np.nan, 0
    assert windows(image).shape == (7, 9, 9)
    assert looks(measure_windows(windows(image))) == (None, None)


def test_a_build_tells_its_looks_zeros_and_saturated_values(tmp_path: Path) -> None:
    catalog.synthesise("bigearthnet-s1")(tmp_path / "raw", count=30, seed=2)
    split = "random:train=0.8,val=0.1,test=0.1"
    build = make(catalog.pipeline("bigearthnet-s1"), tmp_path / "raw", tmp_path / "out", split=split)
    told = json.loads(
        CliRunner().invoke(main, ["stats", str(build.path), "--looks", "--json"], catch_exceptions=False).stdout
    )
    found = sar_data.looks(build.path)
    for band, one in found.items():
        assert told["bands"][band]["enl"] == one.enl == pytest.approx(4.4, rel=0.12)
        count = build.manifest.splits["train"].count
        assert (one.images, one.pixels, one.zeros, one.border) == (count, count * 120 * 120, 0, 0)
    assert sar_data.looks(build.path, images=5)["VV"].images == 5


def test_saturated_values_are_counted_and_a_stretched_picture_has_no_looks(tmp_path: Path) -> None:
    pipeline = invented.pipeline(unit="8-bit", dtype="uint8")
    source = invented.archive(tmp_path / "raw", 20)
    build = invented.sealed(pipeline, source, tmp_path / "out", format="webdataset")
    found = sar_data.looks(build.path)["VV"]
    with build.reader() as reader:
        train = [place for place in places(build.index()) if place.split == "train"]
        pixels = np.stack([reader.read(place)[0] for place in train])
    assert (found.enl, found.border) == (None, None)
    assert found.at_max == np.count_nonzero(pixels == pixels.max())
    assert (found.at_min, found.zeros) == (np.count_nonzero(pixels == pixels.min()), np.count_nonzero(pixels == 0))


def test_dark_pixels_beside_missing_ones_are_counted_as_border(tmp_path: Path) -> None:
    floor = -22.0
    image = np.full((12, 12), -10.0, np.float32)
    image[:, :3], image[:, 3:5] = np.nan, -30  # the edge of a scene, and its border noise
    image[4, 5], image[8:10, 8:10] = -25, -28  # beside that noise; calm water that touches no edge
    image[0, 11] = -40  # at the edge of the patch, but beside no missing pixel
    absent = ~np.isfinite(image)
    low = ~absent & (image <= floor)
    assert count_beside(low, absent) == 2 * 12 + 1
    assert count_beside(low, np.zeros_like(absent)) == 0
    assert count_beside(~absent, absent) == 12 * 9
