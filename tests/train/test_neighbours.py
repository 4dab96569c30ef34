"""Neighbours' votes against a loop over pairs, and against scikit-learn."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from sar_data.errors import UsageError
from sar_data.train.probe import neighbours


def cloud(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))


def test_votes_are_those_of_a_loop_over_all_pairs() -> None:
    known, asked, target = cloud(30, 0), cloud(9, 1), torch.arange(30) % 3
    found = neighbours.shares(known, target, asked, (1, 7), classes=3, temperature=0.1)
    for k, share in zip((1, 7), found, strict=True):
        for row, query in enumerate(asked):
            near = [float(query @ one / (query.norm() * one.norm())) for one in known]
            votes = [0.0] * 3
            for i in sorted(range(30), key=lambda i: -near[i])[:k]:
                votes[int(target[i])] += math.exp(near[i] / 0.1)
            expected = torch.tensor([vote / sum(votes) for vote in votes])
            torch.testing.assert_close(share[row], expected, rtol=1e-4, atol=1e-5)


def test_a_high_temperature_is_the_plain_majority_of_scikit_learn() -> None:
    known, asked, target = cloud(200, 2), cloud(50, 3), torch.arange(200) % 4
    (share,) = neighbours.shares(known, target, asked, (9,), classes=4, temperature=1e6)
    theirs = KNeighborsClassifier(9, metric="cosine").fit(known.numpy(), target.numpy())
    torch.testing.assert_close(share.double(), torch.from_numpy(theirs.predict_proba(asked.numpy())), rtol=0, atol=1e-5)


def test_several_classes_get_the_share_of_the_votes_that_has_them() -> None:
    target = torch.tensor([[1, 0, 1], [1, 1, 0]])
    share = neighbours.shares(cloud(2, 0), target, cloud(4, 1), (2,), classes=3, temperature=0.1)[0]
    torch.testing.assert_close(share[:, 0], torch.ones(4))
    torch.testing.assert_close(share[:, 1] + share[:, 2], torch.ones(4))


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    known, asked, target = cloud(30, 0), cloud(9, 1), torch.arange(30) % 3
    whole = neighbours.shares(known, target, asked, (5,), classes=3, temperature=0.07)[0]
    monkeypatch.setattr(neighbours, "MOST_CELLS", 60)
    parts = neighbours.shares(known, target, asked, (5,), classes=3, temperature=0.07)[0]
    torch.testing.assert_close(parts, whole)


@pytest.mark.parametrize("several", [False, True])
def test_logits_are_finite_and_give_the_shares_back(several: bool) -> None:
    share = torch.tensor([[0.0, 1.0], [0.25, 0.75]])
    found = neighbours.logits(share, several=several)
    assert found.isfinite().all()
    torch.testing.assert_close(found.sigmoid() if several else found.softmax(dim=1), share, rtol=0, atol=1e-5)


def test_more_neighbours_than_samples_is_an_error_that_says_so() -> None:
    with pytest.raises(UsageError, match="at most the 4 train samples"):
        neighbours.shares(cloud(4, 0), torch.zeros(4).long(), cloud(1, 1), (5,), classes=2, temperature=0.1)
