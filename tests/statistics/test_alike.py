"""Thumbnails are means of cells whatever the calibration; what looks alike is found by them, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sar_data.statistics.alike import SHIFTS, WINDOW, find_alike, has_structure, sharpen
from sar_data.statistics.tally import survey
from sar_data.statistics.thumbnail import CELLS, SIDE, Thumbnails, Thumbs

Image = npt.NDArray[np.float32]
EDGE, PATCH = 8, 120  # pixels around a patch, which shifts bring into it


def thumbs(images: list[Image], unit: str = "dB") -> Thumbs:
    made = Thumbnails((unit,) * images[0].shape[-3])
    for image in images:
        made.add(survey(image), (image.shape[-2], image.shape[-1]))
    return made.finish()


@pytest.mark.parametrize("shape", [(2, 120, 120), (1, 17, 33), (3, 2, 40, 50)])
def test_a_cell_is_the_mean_of_its_pixels_less_the_mean_of_all_cells(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).normal(-12, 5, shape).astype(np.float32)
    image[..., -1, :] = np.nan
    rows, columns = (np.arange(side) * SIDE // side for side in shape[-2:])
    planes = image.reshape(-1, *shape[-3:])
    cells = [planes[:, :, rows == i][..., columns == j] for i in range(SIDE) for j in range(SIDE)]
    for band in range(shape[-3]):
        valid = [cell[:, band][np.isfinite(cell[:, band])] for cell in cells]
        means = np.array([part.mean(dtype=float) if part.size else np.nan for part in valid])
        expected = 32 * (means - np.nanmean(means)) / np.nanstd(means)
        found = thumbs([image])[0, band]
        np.testing.assert_allclose(found, np.clip(np.nan_to_num(expected), -127, 127), atol=0.501)


def test_calibration_and_unit_change_no_thumbnail() -> None:
    power = np.random.default_rng(2).gamma(4, 0.01, (2, 48, 64)).astype(np.float32)
    first = thumbs([power], "power")
    assert np.abs(thumbs([power * np.float32(1.12)], "power").astype(int) - first).max() <= 1
    decibels = (10 * np.log10(power)).astype(np.float32)
    assert np.abs(thumbs([decibels + np.float32(0.5)]).astype(int) - thumbs([decibels])).max() <= 1
    assert np.corrcoef(thumbs([decibels]).ravel(), first.ravel())[0, 1] > 0.9


def test_what_has_no_picture_has_no_thumbnail() -> None:
    image = np.random.default_rng(3).normal(0, 1, (1, 32, 32)).astype(np.float32)
    masked = image.copy()
    masked[:, :18] = np.nan
    small, constant = image[:, :15], np.full_like(image, 0.1)
    assert not any(thumbs([one]).any() for one in (small, masked, constant))
    assert not thumbs([image], "phase").any()
    assert has_structure(np.concatenate([thumbs([image]), thumbs([constant])])).tolist() == [True, False]
    assert thumbs([image]).shape == (1, 1, CELLS)


def scenes(count: int, seed: int) -> list[Image]:
    """Return fields of two bands in dB without speckle: regions of their own backscatter, larger than a patch."""
    random, side = np.random.default_rng(seed), PATCH + 2 * EDGE
    y, x = np.mgrid[:side, :side]
    found = []
    for _ in range(count):
        sites = random.uniform(0, side, (60, 2))
        nearest = ((y[..., None] - sites[:, 0]) ** 2 + (x[..., None] - sites[:, 1]) ** 2).argmin(axis=2)
        kinds = random.normal(-14, 4, 60)
        found.append(np.stack([kinds[nearest], kinds[nearest] * 0.8 - 9 + random.normal(0, 1, 60)[nearest]]))
    return [scene.astype(np.float32) for scene in found]


def seen(scene: Image, seed: int, down: int = 0, right: int = 0) -> Image:
    """Return a patch of a scene under speckle of 4.4 looks, which is the scene's own for each seed."""
    noise = np.random.default_rng(seed).gamma(4.4, 1 / 4.4, scene.shape)
    rows, columns = (slice(EDGE + shift, EDGE + shift + PATCH) for shift in (down, right))
    return np.ascontiguousarray((scene + 10 * np.log10(noise))[:, rows, columns], np.float32)


CHANGES: dict[str, Callable[[Image, int], Image]] = {
    **{f"shift by {n}": lambda scene, seed, n=n: seen(scene, seed, n, -n) for n in range(1, 9)},
    "flip": lambda scene, seed: seen(scene, seed)[:, :, ::-1].copy(),
    "turn": lambda scene, seed: seen(scene, seed)[:, ::-1, ::-1].copy(),
    "flip along y": lambda scene, seed: seen(scene, seed)[:, ::-1].copy(),
    "darker": lambda scene, seed: seen(scene, seed) - np.float32(0.5),
    "brighter": lambda scene, seed: seen(scene, seed) + np.float32(0.5),
    "quantized": lambda scene, seed: np.round(seen(scene, seed) * 2) / 2,
    "look": lambda scene, seed: seen(scene, seed + 10_000),
    "all": lambda scene, seed: np.round(seen(scene, seed + 10_000, 5, 6)[:, ::-1] + 0.4),
}


@pytest.fixture(scope="module")
def train() -> tuple[list[Image], Thumbs]:
    made = scenes(120, 5)
    return made, thumbs([seen(scene, seed) for seed, scene in enumerate(made)])


@pytest.fixture(scope="module")
def others() -> Thumbs:
    return thumbs([seen(scene, 500 + seed) for seed, scene in enumerate(scenes(40, 6))])


@pytest.mark.parametrize("change", CHANGES)
def test_five_planted_near_duplicates_of_each_kind_are_found_and_no_other(
    change: str, train: tuple[list[Image], Thumbs], others: Thumbs
) -> None:
    fields, targets = train
    queries, planted = others.copy(), {7 * i: 11 * i for i in range(5)}
    for place, source in planted.items():
        queries[place] = thumbs([CHANGES[change](fields[source], source)])[0]
    found = find_alike(queries, targets)
    assert {i: found.partner[i] for i in np.flatnonzero(found.partner >= 0)} == planted


def test_the_correlation_is_the_largest_of_all_flips_and_shifts(
    train: tuple[list[Image], Thumbs], others: Thumbs
) -> None:
    def window(thumb: Thumbs, flips: Sequence[int] = (1, 1), shifts: Sequence[float] = (0.0, 0.0)) -> Any:
        cells: Any = thumb.reshape(2, SIDE, SIDE)[:, :: flips[0], :: flips[1]]
        for axis, shift in enumerate(shifts, 1):
            whole, part = np.divmod((SIDE - WINDOW) / 2 + shift + np.arange(WINDOW), 1)
            first, second = (cells.take(whole.astype(int) + step, axis) for step in (0, 1))
            part = part.reshape([-1 if other == axis else 1 for other in range(3)])
            cells = (1 - part) * first + part * second
        cells = cells - cells.mean(axis=(1, 2), keepdims=True)
        return cells / np.linalg.norm(cells)

    queries, targets = others[:3], train[1][:4]
    moves = [(flips, shifts) for flips in product((1, -1), repeat=2) for shifts in product(SHIFTS, repeat=2)]
    for target in targets[:, None]:
        still = window(sharpen(target)[0])
        best = [max((window(query, *move) * still).sum() for move in moves) for query in sharpen(queries)]
        np.testing.assert_allclose(find_alike(queries, target).correlation, best, atol=1e-5)


def test_the_sea_is_alike_to_no_other_sea_and_the_order_of_blocks_does_not_matter(
    train: tuple[list[Image], Thumbs], monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = train[1]
    sea = thumbs([seen(np.full((2, PATCH + 2 * EDGE, PATCH + 2 * EDGE), -18, np.float32), i) for i in range(40)])
    assert (find_alike(sea[:20], np.concatenate([targets, sea[20:]])).partner == -1).all()
    whole = find_alike(targets[:20], targets)
    monkeypatch.setattr("sar_data.statistics.alike.TARGETS", 7)
    monkeypatch.setattr("sar_data.statistics.alike.QUERIES", 9)
    monkeypatch.setattr("sar_data.statistics.alike.COMPARED", 4)
    monkeypatch.setattr("sar_data.statistics.alike.CANDIDATES", 5)
    assert (find_alike(targets[:20], targets).partner == whole.partner).all()
    assert whole.partner.tolist() == list(range(20))
    assert find_alike(targets[:3], targets[:0]).partner.tolist() == [-1, -1, -1]
