"""Figures beside those that others publish: what is known to be wrong is seen from the numbers alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import sar_data
from sar_data.cli import main
from sar_data.errors import UsageError
from sar_data.sealed.opened import Build
from sar_data.sealed.recorded import statistics
from sar_data.statistics.published import published_figures
from sar_data.statistics.verdict import differences, verdict
from tests.mini import invented

PUBLISHED = published_figures()
V2 = PUBLISHED["bigearthnet-v2"].bands


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    root = tmp_path_factory.mktemp("against")
    return invented.sealed(invented.pipeline(), invented.archive(root / "raw", 30), root / "out", format="webdataset")


@pytest.mark.parametrize("name", ["bigearthnet-v1", "ssl4eo", "fgmae", "copernicus-bench", "terramind-grd", "galileo"])
def test_figures_of_the_same_kind_of_data_are_alike(name: str) -> None:
    assert verdict(V2, PUBLISHED[name].bands, "dB") == [
        "alike: means within 0.25 σ and deviations within a factor of 1.5"
    ]


def test_differences_are_told_in_deviations_of_ours() -> None:
    found = differences(V2, PUBLISHED["terramind-rtc"].bands)
    assert found["VV"].sigma == pytest.approx((-10.93 + 12.643863677978516) / 5.133493900299072)
    assert found["VH"].ratio == pytest.approx(4.459 / 5.590505599975586)
    assert verdict(V2, PUBLISHED["terramind-rtc"].bands, "dB")[0].startswith("means differ (VV +0.33 σ, VH +0.36 σ)")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("olmoearth-geobench2-benv2", "VV and VH are swapped"),
        ("geobench2-benv2", "VV: the standard deviation is 584 times ours"),
        ("olmoearth", "VV: the standard deviation is 2.11 times ours"),
    ],
)
def test_what_is_wrong_in_published_figures_is_seen(name: str, sentence: str) -> None:
    assert any(told.startswith(sentence) for told in verdict(V2, PUBLISHED[name].bands, "dB"))


def test_a_deviation_that_is_the_mean_is_seen() -> None:
    wrong = PUBLISHED["copernicus-bench-flood"].bands
    told = verdict(PUBLISHED["kuro-siwo"].bands, wrong, "power")
    assert told == [
        "VV: the standard deviation 0.0981 is a copy of the mean",
        "VH: the standard deviation 0.0253 is a copy of the mean",
    ]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_missing_pixels_that_became_0_db_are_seen(share: float) -> None:
    random = np.random.default_rng(0)
    ours, theirs = {}, {}
    for band, mean in (("VV", -12.0), ("VH", -19.0)):
        pixels = random.normal(mean, 4, 200_000)
        ours[band] = (pixels.mean(), pixels.std())
        pixels[: int(share * len(pixels))] = 0
        theirs[band] = (pixels.mean(), pixels.std())
    assert verdict(ours, theirs, "dB") == [
        f"as if {100 * share:.0f} % of the pixels were missing and counted as 0 dB, which is a bright value"
    ]
    brighter = {band: (mean + 2, std) for band, (mean, std) in ours.items()}
    assert verdict(ours, brighter, "dB")[0].startswith("means differ")


def test_other_units_and_variances_are_seen() -> None:
    power = {"VV": (0.07, 0.12), "VH": (0.015, 0.02)}
    assert verdict(V2, power, "dB") == ["another unit: the means look like power, and not like dB"]
    assert verdict(power, V2, "power") == ["another unit: the means look like dB, and not like power"]
    squared = {band: (mean, std**2) for band, (mean, std) in V2.items()}
    assert all("looks like a variance" in told for told in verdict(V2, squared, "dB"))
    assert verdict(V2, {"HH": (0.0, 1.0)}, "dB") == ["no band in common: nothing can be compared"]


def test_a_build_is_set_beside_names_files_and_builds(build: Build, tmp_path: Path) -> None:
    own = statistics(build, "train")["train"].bands
    figures = {
        "unit": "dB",
        **{name: {band: getattr(own[band].stored, name) for band in own} for name in ("mean", "std")},
    }
    file = tmp_path / "figures.json"
    file.write_text(json.dumps(figures))
    same = sar_data.against(build.path, file)
    assert {one.sigma for one in same.bands.values()} == {0.0}
    assert same.verdict[0].startswith("alike")
    itself = sar_data.against(build.path, build.path)
    assert {(one.ks, one.psi, one.sigma) for one in itself.shifts.values()} == {(0.0, 0.0, 0.0)}
    flood = sar_data.against(build.path, "copernicus-bench-flood")
    assert flood.verdict[0].startswith("known to be wrong: the standard deviations are copies")
    assert flood.unit == "power"  # in which a build in dB has figures, too
    with pytest.raises(UsageError, match=r"unknown figures 'ssl4e0'\. Did you mean 'ssl4eo'"):
        sar_data.against(build.path, "ssl4e0")
    file.write_text('{"mean": 3}')
    with pytest.raises(UsageError, match="expected figures such as"):
        sar_data.against(build.path, file)


def test_the_command_line_prints_the_verdict(build: Build) -> None:
    words = ["stats", str(build.path), "--against", "geobench2-benv2"]
    told = CliRunner().invoke(main, words, catch_exceptions=False).stdout
    assert "known to be wrong: figures of optical bands" in told
    found = json.loads(CliRunner().invoke(main, [*words, "--json"], catch_exceptions=False).stdout)
    assert found["bands"]["VV"]["other_std"] == 3000


STRANGE = {
    '{"mean": {"VV": NaN}, "std": {"VV": 1}}': "expected a number, found NaN",
    '{"mean": {"VV": -12}, "std": {"VV": 0}}': "std.VV: Input should be greater than",
    '{"mean": {"VV": 1e300}, "std": {"VV": 1}}': "mean.VV: Input should be less than",
    '{"mean": {"VV": -12, "VV": -13}, "std": {"VV": 1}}': "expected every key once, found 'VV' twice",
    '{"mean": {"VV": true}, "std": {"VV": 1}}': "mean.VV: Input should be a valid number",
    '{"mean": {"VV": -12}, "std": {"VH": 1}}': "expected both of each band",
    '{"mean": {"VV": -12}, "std": {"VV": 1}, "unit": {}}': "unit: Input should be a valid string",
    "[" * 100_000: "nesting",
}


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_a_file_of_other_figures_is_refused(build: Build, tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UsageError, match=f"expected figures such as .*{STRANGE[text]}"):
        sar_data.against(build.path, tmp_path / "x.json")


def test_a_constant_band_on_either_side_is_compared_with_none() -> None:
    assert (
        differences({"VV": (1.0, 0.0)}, {"VV": (1.0, 2.0)}) == differences({"VV": (1.0, 2.0)}, {"VV": (1.0, 0.0)}) == {}
    )
    assert verdict({"VV": (1.0, 2.0)}, {"VV": (1.0, 0.0)}, "dB") == ["no band in common: nothing can be compared"]
