"""samples.parquet: a row an image and band, exact, from which the figures of a split are merged."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from sar_data.sealed.opened import SUMS_NAME, Build
from sar_data.sealed.places import places
from sar_data.sealed.recorded import statistics
from sar_data.sealed.samples import SAMPLES, SAMPLES_NAME, read_samples
from sar_data.sealed.strata import add_row_figures
from sar_data.sealed.verify import verify
from sar_data.statistics.figures import ENDS, QUANTILE_NAMES
from sar_data.statistics.quantiles import FRACTIONS
from tests.mini import invented
from tests.mini.resealed import edit, resealed


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Thirty images of 6x5 pixels in dB, every seventh with masked ones."""
    root = tmp_path_factory.mktemp("samples")
    return invented.sealed(invented.pipeline(), invented.archive(root / "raw", 30), root / "out", format="webdataset")


def rows(build: Build) -> pa.Table:
    table = read_samples(build.path)
    assert table is not None
    assert table.schema.equals(SAMPLES)
    return table


def test_every_image_and_band_has_a_row_with_numpys_figures(build: Build) -> None:
    table, index = rows(build).to_pylist(), build.index()
    with build.reader() as reader:
        images = [(place, band, plane) for place in places(index) for band, plane in enumerate(reader.read(place))]
    assert len(images) == len(table) == 60
    for row, (place, band, plane) in zip(table, images, strict=True):
        known = plane[np.isfinite(plane)].astype(np.float64)
        assert (row["key"], row["split"], row["band"]) == (place.key, place.split, ("VV", "VH")[band])
        assert (row["count"], row["nan"], row["zeros"]) == (len(known), plane.size - len(known), 0)
        assert row["mean"] == pytest.approx(known.mean(), rel=1e-12)
        assert row["variance"] == pytest.approx(known.var(), rel=1e-10)
        assert (row["min"], row["max"]) == (known.min(), known.max())
        assert (row["at_min"], row["at_max"]) == ((known == known.min()).sum(), (known == known.max()).sum())
        power = 10 ** (known / 10)
        assert row["power_mean"] == pytest.approx(power.mean(), rel=1e-12)
        assert row["power_variance"] == pytest.approx(power.var(), rel=1e-10)
        assert row["db_mean"] is None
        expected = np.quantile(known, FRACTIONS)
        assert [row[name] for name in QUANTILE_NAMES] == pytest.approx(expected.astype(np.float32).tolist(), abs=0)


def test_the_figures_of_a_split_are_merges_of_its_rows(build: Build) -> None:
    table = rows(build)
    for split, figures in (build.manifest.statistics or {}).items():
        for band, recorded in figures.bands.items():
            mine = table.filter(pc.and_(pc.equal(table["split"], split), pc.equal(table["band"], band)))
            for domain, prefix in ((recorded.stored, ""), (recorded.power, "power_")):
                count, mean, variance = (mine[f"{prefix}{name}"].to_numpy() for name in ("count", "mean", "variance"))
                if not len(mine):
                    continue
                merged = np.average(mean, weights=count)
                spread = np.average(variance + (mean - merged) ** 2, weights=count)
                assert domain is not None
                assert domain.count == count.sum()
                assert domain.mean == pytest.approx(merged, rel=1e-12)
                assert domain.std == pytest.approx(np.sqrt(spread), rel=1e-11)


@pytest.mark.parametrize("size", [1, 2, 3, 30, 14400])
@pytest.mark.parametrize("kind", ["normal", "constant", "few", "edges"])
def test_the_compiled_quantiles_are_numpys(size: int, kind: str) -> None:
    from sar_data.statistics import kernel
    from sar_data.statistics.stats import empty_histogram
    from sar_data.statistics.units import HISTOGRAMS

    random = np.random.default_rng(size)
    values = {
        "normal": random.normal(-12, 5, (2, size)),
        "constant": np.full((2, size), -7.25),
        "few": random.choice([-3.0, -3.004, 0.0, 9.5], (2, size)),
        "edges": random.choice([-99.999, 59.999, -0.0], (2, size)),
    }[kind].astype(np.float32)
    first, width, _ = HISTOGRAMS["dB"]
    bins = kernel.Bins(first, 1 / width, empty_histogram(("dB", "dB")))
    image = kernel.Measured.of(kernel.measure(values, np.zeros(2), bins, decibels=True))
    exact = np.quantile(values.astype(np.float64), FRACTIONS, axis=1).T
    np.testing.assert_allclose(image.quantiles, exact, rtol=1e-14, atol=1e-13)
    assert image.zeros.tolist() == (values == 0).sum(axis=1).tolist()
    assert bins.counts.sum(axis=1).tolist() == [size, size]


def test_pixels_at_the_ends_are_counted_in_clipped_and_in_empty_bands() -> None:
    from sar_data.statistics.ends import at_ends

    random = np.random.default_rng(1)
    flat = np.stack([random.normal(0, 9, 3001).clip(-4, 7), np.full(3001, np.nan), np.full(3001, 255)])
    low, high = np.array([-4, np.inf, 255], np.float32), np.array([7, -np.inf, 255], np.float32)
    clipped = [(flat[0] == -4).sum(), (flat[0] == 7).sum()]
    assert min(clipped) > 100
    assert at_ends(flat.astype(np.float32), low, high).tolist() == [clipped, [0, 0], [3001, 3001]]


def test_a_build_that_was_sealed_before_ends_were_counted_is_sound_and_its_are_not_known(
    build: Build, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(build.path, tmp_path / build.path.name))
    pq.write_table(rows(build).drop_columns(list(ENDS)), path / SAMPLES_NAME)
    resealed(path)
    assert verify(path, full=True) == []
    assert rows(Build.open(path))["at_max"].null_count == 60
    (figures,) = add_row_figures(Build.open(path), statistics(Build.open(path), "train")).values()
    assert (figures.bands["VV"].at_max, figures.bands["VV"].below_noise) == (None, None)


def test_a_row_that_is_not_of_its_image_is_named(build: Build, tmp_path: Path) -> None:
    path = Path(shutil.copytree(build.path, tmp_path / build.path.name))
    table = rows(build)
    means = table["mean"].to_pylist()
    means[4] += 0.001
    place = table.column_names.index("mean")
    pq.write_table(table.set_column(place, table.schema.field("mean"), pa.array(means)), path / SAMPLES_NAME)
    lines = (path / SUMS_NAME).read_text().splitlines()
    digest = hashlib.sha256((path / SAMPLES_NAME).read_bytes()).hexdigest()
    sums = "".join(f"{digest if line.endswith(SAMPLES_NAME) else line[:64]}{line[64:]}\n" for line in lines).encode()
    (path / SUMS_NAME).write_bytes(sums)
    edit(path, lambda document: document.update(sums=hashlib.sha256(sums).hexdigest()))
    problems = verify(path, full=True)
    assert [(problem.key, problem.what) for problem in problems] == [(table["key"][4].as_py(), SAMPLES_NAME)]
