"""Random numbers of augmentation depend on seed, epoch, position and column alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is in the extra train: pip install 'sar-data[train]'")

from sar_data.train.augment.draws import draws, whole  # noqa: E402


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**63), epoch=st.integers(0, 10**6), position=st.integers(0, 2**40), cut=st.integers(0, 9))
def test_a_sample_s_numbers_are_the_same_in_every_batch(seed: int, epoch: int, position: int, cut: int) -> None:
    batch = draws(seed, epoch, position, 9, 5)
    halves = torch.cat([draws(seed, epoch, position, cut, 5), draws(seed, epoch, position + cut, 9 - cut, 5)])
    assert torch.equal(batch, halves)
    assert torch.equal(batch[:, :2], draws(seed, epoch, position, 9, 2))


def test_seeds_epochs_positions_and_columns_draw_differently() -> None:
    found = torch.cat([draws(seed, epoch, 0, 50) for seed in range(3) for epoch in range(3)])
    assert len(found.unique()) > 0.999 * found.numel()


def test_numbers_are_uniform_and_uncorrelated() -> None:
    found = draws(7, 3, 10**9, 20_000, 8).double()
    assert found.min() >= 0
    assert found.max() < 1
    # Five standard errors of a mean, a variance and a correlation of so many uniform numbers.
    assert (found.mean(0) - 1 / 2).abs().max() < 5 * (1 / 12 / 20_000) ** 0.5
    assert (found.var(0) - 1 / 12).abs().max() < 5 * (1 / 180 / 20_000) ** 0.5
    neighbours = torch.cat([found[:-1], found[1:]], dim=1).T
    assert (torch.corrcoef(neighbours) - torch.eye(16)).abs().max() < 5 / 20_000**0.5


def test_the_numbers_never_change() -> None:
    assert whole(draws(0, 0, 5, 2, 3)).tolist() == [[11036582, 9890066, 4150629], [14877653, 6295508, 14074338]]
