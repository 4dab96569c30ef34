"""Figures of parts of a build are those of their pixels, merged from samples.parquet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import sar_data
from sar_data import catalog
from sar_data.cli import main
from sar_data.errors import UsageError
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.sealed.recorded import statistics
from sar_data.sealed.strata import BY, shifts, strata
from tests.mini.builds import make


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    root = tmp_path_factory.mktemp("strata")
    catalog.synthesise("bigearthnet-s1")(root / "raw", count=60, seed=4)
    return make(
        catalog.pipeline("bigearthnet-s1"), root / "raw", root / "out", split="random:train=0.6,val=0.2,test=0.2"
    )


def test_parts_by_split_are_the_recorded_figures(build: Build) -> None:
    recorded, found = statistics(build), strata(build, "split")
    assert list(found) == list(recorded)
    for split, figures in recorded.items():
        for band, expected in figures.bands.items():
            mine = found[split].figures.bands[band]
            assert (mine.count, mine.masked, mine.zeros) == (expected.count, expected.masked, expected.zeros)
            for domain, other in ((mine.stored, expected.stored), (mine.power, expected.power)):
                assert domain is not None
                assert other is not None
                for name in ("mean", "std", "min", "max"):
                    assert getattr(domain, name) == pytest.approx(getattr(other, name), rel=1e-6)
            sketch = found[split].sketches[band]
            assert sketch is not None
            for name, value in expected.stored.percentiles.items():
                # Of images that are land and water the middle is known least.
                assert np.interp(value, sketch.nodes, sketch.shares) == pytest.approx(int(name[1:]) / 100, abs=0.03)


def test_pixels_at_the_ends_and_under_the_noise_floor_are_those_of_all_images(build: Build, tmp_path: Path) -> None:
    power = sar_data.convert(build.path, out=tmp_path, unit="power", runner="serial")
    for one, floor in ((build, -22.0), (power, 10**-2.2)):
        for split, figures in sar_data.stats(one.path, by="split").items():
            with one.reader() as reader:
                pixels = np.stack([reader.read(place) for place in places(one.index()) if place.split == split])
            for band, plane in zip(figures.bands.values(), pixels.swapaxes(0, 1), strict=True):
                assert (band.at_min, band.at_max) == ((plane == plane.min()).sum(), (plane == plane.max()).sum())
                assert band.below_noise == pytest.approx((plane <= floor).mean(), abs=0.03)
    normal = sar_data.convert(build.path, out=tmp_path, normalize="zscore", runner="serial")
    (figures,) = sar_data.stats(normal.path, "train", by="split").values()
    assert figures.bands["VV"].below_noise is None  # it has no sigma0 any more
    shown = CliRunner().invoke(main, ["stats", str(build.path), "--split", "train"], env={"COLUMNS": "150"}).output
    for words in ("at max ", "below noise floor  about ", "border noise            not known"):
        assert " ".join(words.split()) in " ".join(shown.split())


@pytest.mark.parametrize("by", ["class", "pass", "season", "platform", "place", "orbit", "month", "group"])
def test_parts_are_those_of_their_pixels(build: Build, by: str) -> None:
    found, index = strata(build, by), build.index().to_pylist()
    name, part = next(iter(found.items()))
    columns = {"pass": "orbit_pass", "orbit": "relative_orbit", "place": "place", "group": "group"}
    seasons = {12: "DJF", 1: "DJF", 2: "DJF", 3: "MAM", 4: "MAM", 5: "MAM", 6: "JJA", 7: "JJA", 8: "JJA"}

    def belongs(row: dict) -> bool:  # type: ignore[type-arg]
        if by == "class":
            return name in row["labels"]
        if by == "season":
            return seasons.get(row["time"].month, "SON") == name
        if by == "month":
            return f"{row['time']:%Y-%m}" == name
        return row["key"].startswith(name) if by == "platform" else str(row[columns[by]]) == name

    wanted = {row["key"] for row in index if belongs(row)}
    with build.reader() as reader:
        pixels = np.stack([reader.read(place) for place in places(build.index()) if place.key in wanted])
    assert part.images == len(pixels)
    if by == "month":
        assert list(found) == sorted(found)  # drift is read from the first month on
    else:
        assert part.images == max(one.images for one in found.values())
    for band, plane in zip(part.figures.bands.values(), pixels.swapaxes(0, 1).astype(np.float64), strict=True):
        assert band.stored.mean == pytest.approx(plane.mean(), rel=1e-9)
        assert band.stored.std == pytest.approx(plane.std(), rel=1e-9)
        assert (plane < band.stored.percentiles["p50"]).mean() == pytest.approx(0.5, abs=0.03)


def test_shifts_are_told_in_deviations_of_the_reference(build: Build) -> None:
    parts = strata(build, "class")
    reference, other = list(parts)[:2]
    moved = shifts(parts)[other]["VV"]
    a, b = (parts[name].figures.bands["VV"].stored for name in (reference, other))
    assert moved.sigma == pytest.approx((b.mean - a.mean) / a.std)
    assert 0 < moved.ks < 1
    assert sar_data.shift(build.path, "class")[other]["VV"] == moved
    assert reference in sar_data.shift(build.path, "class", reference=other)


def test_what_a_build_does_not_know_is_refused(build: Build) -> None:
    with pytest.raises(UsageError, match="unknown by 'weather'"):
        strata(build, "weather")
    with pytest.raises(UsageError, match="reference"):
        sar_data.shift(build.path, reference="summer")
    assert set(BY) >= {"class", "pass", "season", "platform", "place", "split"}


def stats(*words: object) -> str:
    """Return what the command prints."""
    return CliRunner().invoke(main, ["stats", *map(str, words)], catch_exceptions=False).stdout


def test_the_command_line_tells_the_same(build: Build) -> None:
    told = json.loads(stats(build.path, "--by", "season", "--json"))
    figures = sar_data.stats(build.path, by="season")
    assert list(told["parts"]) == list(figures)
    for name, part in told["parts"].items():
        assert part["bands"]["VV"]["stored"]["mean"] == figures[name].bands["VV"].stored.mean
    assert "shift from" in stats(build.path, "--by", "class")


def test_raw_files_have_no_parts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a sealed build"):
        sar_data.stats(tmp_path, by="class")
