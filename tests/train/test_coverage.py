"""Intervals hold the true figure as often as they say, over few places of unequal size too.

A world of places is invented: how well a model does differs from place to place (a beta distribution with an
intra-place correlation), and places have unequal numbers of samples (log-normal). So the true figure is known, and it
can be counted how often an interval holds it. `make learn` does so 4,000 times a row, with a fixed seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sar_data.train import predictions
from sar_data.train.metrics import jackknife, paired
from sar_data.train.metrics.units import unit_of
from tests.places import SAMPLES
from tests.train import predicted

Array = npt.NDArray[Any]
NOMINAL = {5: 0.92, 10: 0.92, 20: 0.93, 30: 0.93, 100: 0.93}  # units → the least coverage of a nominal 0.95
TABLE = SAMPLES / "bigearthnet-v2.0" / "metadata.parquet"


class World(NamedTuple):
    """A model's mean accuracy, how alike samples of a place are, and how unequal places are (deviation of the log)."""

    mean: float
    alike: float
    unequal: float
    samples: int = 60  # of a place, on the average

    def accuracies(self, random: np.random.Generator, places: int) -> Array:
        scale = (1 - self.alike) / self.alike
        return random.beta(self.mean * scale, (1 - self.mean) * scale, places)

    def sizes(self, random: np.random.Generator, places: int) -> Array:
        drawn = random.lognormal(-(self.unequal**2) / 2, self.unequal, places)
        return np.maximum(1, np.round(self.samples * drawn)).astype(np.int64)

    def draw(self, random: np.random.Generator, places: int) -> tuple[Array, Array]:
        """Return how many samples of each place are right, and how many there are."""
        sizes = self.sizes(random, places)
        return random.binomial(sizes, self.accuracies(random, places)), sizes


WORLDS = (
    World(0.8, 0.1, 0.8),
    World(0.9, 0.2, 0.8),
    World(0.9, 0.05, 1.2),
    World(0.95, 0.2, 1.0),  # many places without a fault, a few that are bad
)


def ours(right: Array, sizes: Array) -> Array:
    """Return the interval of overall accuracy, by the library."""
    left = (right.sum() - right) / (sizes.sum() - sizes)
    found = jackknife.interval(right.sum() / sizes.sum(), left, sizes.astype(np.float64))
    return np.array(found)


def weights(random: np.random.Generator, places: int, resamples: int = 400) -> Array:
    """Return how often a bootstrap draws each of some places."""
    return random.multinomial(places, np.full(places, 1 / places), resamples).astype(np.float64)


def percentiles(right: Array, sizes: Array, drawn: Array) -> Array:
    """Return the percentile bootstrap's interval over the same units, for comparison."""
    return np.percentile((drawn @ right) / (drawn @ sizes), (2.5, 97.5))


def covers(world: World, places: int, draws: int, interval: Callable[..., Array], seed: int = 7) -> float:
    """Return the share of draws whose interval holds the true accuracy."""
    random = np.random.default_rng(seed)
    ends = np.array([interval(*world.draw(random, places)) for _ in range(draws)])
    return float(np.mean((ends[:, 0] <= world.mean) & (world.mean <= ends[:, 1])))


@pytest.mark.parametrize("places", [5, 20])
def test_an_interval_of_few_unequal_places_holds_the_truth_and_percentiles_do_not(places: int) -> None:
    random = np.random.default_rng(1)
    found = covers(WORLDS[0], places, 500, ours)
    assert NOMINAL[places] <= found <= 0.985
    assert (
        covers(WORLDS[0], places, 500, lambda *drawn: percentiles(*drawn, weights(random, places, 200))) < found - 0.02
    )


@pytest.mark.learn
@pytest.mark.parametrize("world", WORLDS)
def test_intervals_hold_the_truth_in_4000_draws(world: World) -> None:
    random = np.random.default_rng(1)
    for places, least in NOMINAL.items():
        found = covers(world, places, 4000, ours)
        other = covers(world, places, 4000, lambda *drawn, n=places: percentiles(*drawn, weights(random, n)))
        print(f"{world}, {places} places: jackknife-t {found:.3f}, percentile bootstrap {other:.3f}")
        assert found >= least
        assert other < found


def labelled(world: World, random: np.random.Generator, places: int, kind: str) -> pa.Table:
    """Return predictions of three classes in places that a model does better or worse in."""
    sizes = world.sizes(random, places)
    of = np.repeat(np.arange(places), sizes)
    skill = (2 + random.normal(size=places))[of]
    keys = [f"{i:06d}" for i in range(len(of))]
    names = [f"place {i}" for i in of]
    if kind == "segmentation":
        target = random.integers(0, 3, len(of))
        counts = (
            random.multinomial(64, np.full(3, 1 / 3), len(of))[:, :, None] * 0.2 / (1 + np.exp(skill))[:, None, None]
        )
        counts = np.round(counts + np.eye(3)[target][:, :, None] * np.eye(3) * 30).astype(np.int64)
        return predictions.gathered([predicted.pixels(keys, counts, places=names)])
    several = kind == "multilabel"
    target = (
        (random.random((len(of), 3)) < (0.5, 0.3, 0.15)).astype(np.int64) if several else random.integers(0, 3, len(of))
    )
    scores = random.normal(size=(len(of), 3)) + (target if several else np.eye(3)[target]) * skill[:, None] - several
    return predictions.gathered([predicted.part(keys, target, scores, places=names)])


@pytest.mark.learn
@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("multiclass", ("aa", "f1_macro", "per_class.recall", "per_class.precision")),
        ("multilabel", ("map_micro", "map_macro", "f1_macro", "per_class.ap")),
        ("segmentation", ("miou", "pixel_accuracy", "per_class.iou")),
    ],
)
def test_intervals_of_other_figures_hold_the_truth(kind: str, names: tuple[str, ...]) -> None:
    world, random = World(0.8, 0.1, 0.8, samples=30), np.random.default_rng(3)
    truth, _, _ = jackknife.replicates(*all_of(labelled(world, random, 20_000, kind)))
    for places in (10, 30):
        held: dict[str, list[bool]] = {name: [] for name in names}
        for _ in range(400):
            table = labelled(world, random, places, kind)
            whole, left, made = jackknife.replicates(table, 3, unit_of(table))
            for name in names:
                at = (..., 2) if name.startswith(jackknife.BY_CLASS) else ...  # the rarest class
                found = jackknife.interval(whole[name][at], left[name][at], made.size(name)[at])
                held[name].append(found is not None and found[0] <= truth[name][at] <= found[1])
        for name, hits in held.items():
            print(f"{kind}, {places} places, {name}: {np.mean(hits):.3f}")
            assert np.mean(hits) >= 0.92  # known to 0.011


def all_of(table: pa.Table) -> tuple[pa.Table, int, Any]:
    """Return what replicates are made of, for a table whose whole alone is asked for."""
    return table, 3, unit_of(table.slice(0, 0))._replace(of=np.zeros(len(table), np.int64), number=1)


def differing(world: World, random: np.random.Generator, places: int) -> Iterator[Array]:
    """Yield, for two models that are equally good, how many samples of each place they have right, and the sizes."""
    sizes, base = world.sizes(random, places), world.accuracies(random, places)
    for _ in range(2):
        yield random.binomial(sizes, np.clip(base + random.normal(0, 0.05, places) * (1 - base), 0, 1))
    yield sizes


def differ(moved: Array, sizes: Array, drawn: Array) -> tuple[bool, bool]:
    """Say whether two models differ at 0.05: by the library's paired test, and by a paired percentile bootstrap.

    `moved` is how many more samples of each place the second has right.
    """
    left = (moved.sum() - moved) / (sizes.sum() - sizes)
    low, high = percentiles(moved, sizes, drawn)
    p = paired._difference(moved.sum() / sizes.sum(), left, sizes.astype(np.float64)).p
    return p < 0.05, bool(low > 0 or high < 0)


def false_alarms(world: World, places: int, draws: int) -> tuple[float, float]:
    """Return how often models that are equally good are said to differ, by each of both tests."""
    random, drawn, found = np.random.default_rng(5), weights(np.random.default_rng(2), places), np.zeros(2)
    for _ in range(draws):
        first, second, sizes = differing(world, random, places)
        found += differ(second - first, sizes, drawn)
    ours, bootstrap = (found / draws).tolist()
    return ours, bootstrap


@pytest.mark.parametrize("places", [5, 20])
def test_equal_models_rarely_differ_over_few_places_but_by_a_bootstrap(places: int) -> None:
    ours, bootstrap = false_alarms(WORLDS[0], places, 500)
    assert ours <= 0.08
    assert bootstrap > ours + 0.01


@pytest.mark.learn
def test_equal_models_differ_in_one_of_twenty_comparisons() -> None:
    for places in NOMINAL:
        ours, bootstrap = false_alarms(WORLDS[0], places, 4000)
        print(f"{places} places: {ours:.3f} false alarms of a nominal 0.05, paired bootstrap {bootstrap:.3f}")
        assert ours <= 0.06
        assert bootstrap > ours


def found_of_two_points(places: int, changed: float, draws: int) -> Array:
    """Return how often a model that is 2 points better is found: by intervals that lie apart, and by both tests.

    Both models find the same places hard. `changed` of the samples are right for one of them alone, 2 points more of
    these for the second.
    """
    random, found = np.random.default_rng(11), np.zeros(3)
    drawn, lost, won = weights(np.random.default_rng(2), places), (changed - 0.02) / 2, (changed + 0.02) / 2
    for _ in range(draws):
        sizes = WORLDS[0].sizes(random, places)
        both = np.clip(WORLDS[0].accuracies(random, places) - lost, 0, 1 - changed)
        shares = np.stack([both, np.full(places, lost), np.full(places, won), 1 - changed - both], axis=1)
        right, of_first, of_second, _ = random.multinomial(sizes, shares).T
        first, second = ours(right + of_first, sizes), ours(right + of_second, sizes)
        apart = first[1] < second[0] or second[1] < first[0]
        found += (apart, *differ(of_second - of_first, sizes, drawn))
    return found / draws


def test_intervals_that_overlap_never_find_two_points_and_the_paired_test_mostly_does() -> None:
    """Of N samples the difference has the variance (changed - 0.02²) / N: at 15 % and 60 places it is found in 0.87.

    A paired bootstrap finds it in as many, and sees differences between equal models in more than 0.05.
    """
    places, changed = 60, 0.15
    error = math.sqrt((changed - 0.02**2) / (places * WORLDS[0].samples))
    power = NormalDist().cdf(0.02 / error - NormalDist().inv_cdf(0.975))
    assert power == pytest.approx(0.87, abs=0.005)
    apart, found, bootstrap = found_of_two_points(places, changed, 1000)
    print(f"{power:.3f} expected: paired test {found:.3f}, bootstrap {bootstrap:.3f}, intervals apart {apart:.3f}")
    assert apart <= 0.005
    assert found == pytest.approx(power, abs=0.05)  # known to 0.012, and less: unequal places count as fewer
    assert bootstrap == pytest.approx(power, abs=0.03)


@pytest.mark.skipif(not TABLE.is_file(), reason=f"no real tables in {SAMPLES}: set SAR_DATA_SAMPLES")
def test_tiles_of_the_real_bigearthnet_test_cover_and_acquisitions_do_not() -> None:
    table = pq.read_table(TABLE, columns=["s1_name", "split"])
    of_test = [
        name for name, split in zip(*(column.to_pylist() for column in table.columns), strict=True) if split == "test"
    ]
    pairs, sizes = np.unique([(n[33:38], n[:32]) for n in of_test], axis=0, return_counts=True)  # tile, acquisition
    tiles, acquisitions = (np.unique(pairs[:, side], return_inverse=True)[1] for side in (0, 1))
    assert (sizes.sum(), tiles.max() + 1, acquisitions.max() + 1) == (119_825, 46, 191)
    random, world = np.random.default_rng(3), World(0.8, 0.1, 0)
    resampled = {"tile": weights(random, 46), "acquisition": weights(random, 191)}
    held: dict[str, list[bool]] = {}
    for _ in range(1000):
        # The ground makes most of the difference, the day of the acquisition some.
        chance = world.accuracies(random, 46)[tiles] + random.normal(0, 0.09, 191)[acquisitions]
        right = random.binomial(sizes, np.clip(chance, 0, 1))
        for name, units in (("tile", tiles), ("acquisition", acquisitions)):
            drawn = np.bincount(units, right), np.bincount(units, sizes)
            for method, (low, high) in (("ours", ours(*drawn)), ("bootstrap", percentiles(*drawn, resampled[name]))):
                held.setdefault(f"{name}, {method}", []).append(low <= world.mean <= high)
    found = {name: float(np.mean(hits)) for name, hits in held.items()}
    print(found)
    assert 0.72 <= found["acquisition, bootstrap"] <= 0.82
    assert 0.90 <= found["tile, bootstrap"] <= 0.96
    assert 0.93 <= found["tile, ours"] <= 0.97
