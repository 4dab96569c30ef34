"""Heads trained together are what torch's own layers and optimisers make of each alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sar_data.train.probe.heads import Heads, Linear, initial

GRID = [(0.01, 0.0), (0.1, 0.001), (0.3, 0.0), (0.1, 0.1)]
STEPS = 12


def samples(several: bool, *, count: int = 24, features: int = 7, classes: int = 4) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    inputs = torch.randn(count, features, generator=draw) * 3 + 1
    if several:
        return inputs, (torch.rand(count, classes, generator=draw) < 0.4).float()
    return inputs, torch.randint(classes, (count,), generator=draw)


def scale(step: int) -> float:
    return 1 - step / STEPS


def made(norm: bool, several: bool, optimiser: str, grid: list[tuple[float, float]], *, half: bool = False) -> Heads:
    return Heads(initial(7, 4, 3), grid, norm=norm, several=several, optimiser=optimiser, half=half)


def by_torch(first: Linear, norm: bool, several: bool, optimiser: str, lr: float, decay: float) -> nn.Module:
    """Train one head with torch's modules, from the same first weights, on the same batches."""
    linear = nn.Linear(7, 4)
    with torch.no_grad():
        linear.weight.copy_(first.weight.t())
        linear.bias.copy_(first.bias)
    head = nn.Sequential(*([nn.BatchNorm1d(7, affine=False, eps=1e-6)] if norm else []), linear)
    if optimiser == "sgd":
        steps: torch.optim.Optimizer = torch.optim.SGD(head.parameters(), lr=lr, momentum=0.9, weight_decay=decay)
    else:
        groups = [{"params": [linear.weight], "weight_decay": decay}, {"params": [linear.bias], "weight_decay": 0.0}]
        steps = torch.optim.AdamW(groups, lr=lr)
    criterion = nn.MultiLabelSoftMarginLoss() if several else nn.CrossEntropyLoss()
    inputs, target = samples(several)
    for step in range(STEPS):
        steps.param_groups[0]["lr"] = steps.param_groups[-1]["lr"] = lr * scale(step)
        rows = torch.arange(8) + step % 3 * 8
        steps.zero_grad()
        criterion(head(inputs[rows]), target[rows]).backward()
        steps.step()
    return head.eval()


def train(heads: Heads, several: bool) -> Tensor:
    inputs, target = samples(several)
    losses = [heads.step(inputs[step % 3 * 8 :][:8], target[step % 3 * 8 :][:8], scale(step)) for step in range(STEPS)]
    return torch.stack(losses)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("several", [False, True], ids=["one class", "several"])
@pytest.mark.parametrize("norm", [False, True], ids=["linear", "bn-linear"])
def test_each_head_equals_torchs_modules_and_optimiser(norm: bool, several: bool, optimiser: str) -> None:
    heads = made(norm, several, optimiser, GRID)
    first = heads.linear(0)
    train(heads, several)
    inputs, target = samples(several)
    criterion = nn.MultiLabelSoftMarginLoss() if several else nn.CrossEntropyLoss()
    for number, (lr, decay) in enumerate(GRID):
        theirs = by_torch(first, norm, several, optimiser, lr, decay)(inputs)
        torch.testing.assert_close(heads.logits(inputs)[:, number].t(), theirs, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(heads.linear(number).logits(inputs), theirs, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            heads.losses(inputs, target)[number], criterion(theirs, target), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("norm", [False, True])
def test_what_all_classes_have_in_common_changes_no_probability(norm: bool) -> None:
    heads = made(norm, False, "sgd", GRID)
    first = heads.linear(0)
    shifted = Linear(first.weight + torch.randn(7, 1, generator=torch.Generator().manual_seed(5)), first.bias + 2)
    train(heads, False)
    inputs, _ = samples(False)
    for number, (lr, decay) in enumerate(GRID):
        theirs = by_torch(shifted, norm, False, "sgd", lr, decay)(inputs)
        ours = heads.linear(number)
        torch.testing.assert_close(ours.logits(inputs).softmax(1), theirs.softmax(1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours.weight.sum(dim=1), torch.zeros(7), rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", [False, True])
def test_a_head_among_many_is_the_head_alone(norm: bool) -> None:
    together, losses = made(norm, False, "sgd", GRID), []
    losses = train(together, False)
    for number, one in enumerate(GRID):
        alone = made(norm, False, "sgd", [one])
        own = train(alone, False)
        torch.testing.assert_close(own[:, 0], losses[:, number], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(alone.linear(0), together.linear(number), rtol=1e-4, atol=1e-6)


def test_a_head_that_diverges_leaves_the_others_alone() -> None:
    wild = made(False, False, "sgd", [(0.1, 0.0), (1e30, 1e8)])
    train(wild, False)
    tame = made(False, False, "sgd", [(0.1, 0.0)])
    train(tame, False)
    assert not wild.weight[:, 1].isfinite().all()
    torch.testing.assert_close(wild.linear(0), tame.linear(0), rtol=1e-5, atol=1e-6)


def test_heads_learn_what_is_linearly_separable() -> None:
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(200, 7, generator=draw)
    target = inputs[:, :4].argmax(dim=1)
    heads = made(True, False, "sgd", GRID)
    before = heads.losses(inputs, target)
    for _ in range(100):
        heads.step(inputs, target, 1.0)
    assert (heads.losses(inputs, target) < before).all()
    assert (heads.logits(inputs)[:, 2].argmax(dim=0) == target).float().mean() > 0.9


def test_a_single_class_is_certain() -> None:
    heads = Heads(initial(7, 1, 0), [(0.1, 0.0)], norm=True, several=False)
    inputs, _ = samples(False)
    assert (heads.step(inputs, torch.zeros(24, dtype=torch.int64), 1.0) == 0).all()
    assert heads.linear(0).logits(inputs).shape == (24, 1)


def test_a_batch_of_one_sample_keeps_batch_statistics_finite() -> None:
    heads = made(True, False, "sgd", GRID)
    inputs, target = samples(False, count=1)
    heads.step(inputs, target, 1.0)
    assert heads.logits(inputs).isfinite().all()


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("norm", [False, True])
def test_products_in_bfloat16_train_to_nearly_the_same_heads(norm: bool, several: bool, optimiser: str) -> None:
    grid = GRID[:2]
    whole, half = (made(norm, several, optimiser, grid, half=half) for half in (False, True))
    losses, rounded = train(whole, several), train(half, several)
    assert not torch.equal(losses, rounded)
    torch.testing.assert_close(rounded, losses, atol=0.03, rtol=0.03)
    inputs, _ = samples(several)
    assert (half.logits(inputs) - whole.logits(inputs)).abs().median() < 0.05  # AdamW's first steps are mere signs
    assert half.weight.dtype == torch.float32
