"""Logistic regression agrees with scikit-learn's, which it is meant to be."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sar_data.train.probe import logistic

PENALTIES = (10.0, 0.01, 1.0)  # out of order: each must come back at its own place


def drawn(several: bool) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(160, 6, generator=draw) * torch.tensor([1, 5, 0.1, 1, 1, 2]) + 3
    scores = features @ torch.randn(6, 3, generator=draw) + torch.randn(160, 3, generator=draw)
    scores = scores - scores.mean(dim=0)
    return features, (scores > 0).long() if several else scores.argmax(dim=1)


@pytest.mark.parametrize("several", [False, True], ids=["multinomial", "by class"])
def test_every_penalty_gives_scikit_learns_probabilities(several: bool) -> None:
    features, target = drawn(several)
    fitted = logistic.fit(features, target, PENALTIES, classes=3)
    for penalty, found in zip(PENALTIES, fitted, strict=True):
        one = LogisticRegression(C=penalty, max_iter=5000, tol=1e-8)
        theirs = make_pipeline(StandardScaler(), OneVsRestClassifier(one) if several else one)
        expected = theirs.fit(features.numpy(), target.numpy()).predict_proba(features.numpy())
        ours = found.logits(features)
        ours = ours.sigmoid() if several else ours.softmax(dim=1)
        np.testing.assert_allclose(ours.numpy(), expected, atol=2e-3)


def test_a_constant_feature_says_nothing_and_breaks_nothing() -> None:
    features, target = drawn(False)
    plain = logistic.fit(features, target, (1.0,), classes=3)[0]
    wider = logistic.fit(torch.cat([features, torch.full((160, 1), 7.0)], dim=1), target, (1.0,), classes=3)[0]
    torch.testing.assert_close(wider.weight[-1], torch.zeros(3))
    torch.testing.assert_close(wider.weight[:-1], plain.weight, rtol=1e-3, atol=1e-4)


def test_what_did_not_converge_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(logistic, "ITERATIONS", 1)
    features, target = drawn(False)
    with caplog.at_level(logging.WARNING, "sar_data.train"):
        logistic.fit(features, target, (100.0,), classes=3)
    assert "not converged after 1 iterations" in caplog.text
