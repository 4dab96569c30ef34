"""Losses are torch's own on one batch, and the same however the batch is shared out over ranks and micro-batches."""

from __future__ import annotations

from typing import Any

import pytest

from sar_data.errors import UsageError

torch = pytest.importorskip("torch", reason="torch is in the extra train: pip install 'sar-data[train]'")
smp = pytest.importorskip("segmentation_models_pytorch", reason="it is in the extra train")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402
from torchvision.ops import sigmoid_focal_loss  # noqa: E402

from sar_data.train.losses import LOSSES, Loss, backward, loss  # noqa: E402
from sar_data.train.terms import FITTING  # noqa: E402

CLASSES = 5
CASES = [
    ("ce", "multiclass"),
    ("focal", "multiclass"),
    ("mini-cbl", "multiclass"),
    ("mini-cbl-focal", "multiclass"),
    ("ce", "mixed"),
    ("focal", "mixed"),
    ("mini-cbl", "mixed"),
    ("mini-cbl-focal", "mixed"),
    ("soft-margin", "multilabel"),
    ("bce", "multilabel"),
    ("focal", "multilabel"),
    ("ce", "segmentation"),
    ("focal", "segmentation"),
    ("dice", "segmentation"),
    ("dice-image", "segmentation"),
    ("dice+0.4ce", "segmentation"),
]


def batch(kind: str, count: int = 8) -> tuple[Tensor, Tensor]:
    """Return logits and targets whose halves differ: in classes that are there, and in how much is ignored."""
    random = torch.Generator().manual_seed(1)
    size = (6, 7) if kind == "segmentation" else ()
    logits = torch.randn(count, CLASSES, *size, generator=random) * 2
    target = torch.randint(0, 3, (count, *size), generator=random)
    target[count // 2 :] += 1  # class 0 in the first half alone, class 3 in the second, class 4 in none
    if kind == "segmentation":
        target[: count // 2, :4] = 255
        target[0] = 255
    elif kind == "mixed":
        share = torch.rand(count, 1, generator=random)
        hard = F.one_hot(target, CLASSES).float()
        target = share * hard + (1 - share) * hard.flip(0)
    elif kind == "multilabel":
        target = (torch.rand(count, CLASSES, generator=random) < 0.3).float()
        target[:, 4] = 0
    return logits, target


def made(name: str, kind: str) -> Loss:
    return loss(name, CLASSES, "multiclass" if kind == "mixed" else kind)


def gradient(how: Loss, logits: Tensor, target: Tensor) -> Tensor:
    """Return the gradient by autograd alone, straight through the value of the whole batch."""
    whole = logits.clone().requires_grad_()
    (found,) = torch.autograd.grad(how.value(how.sums(whole, target)), whole)
    return found


@pytest.mark.parametrize(("name", "kind"), CASES)
@pytest.mark.parametrize("cuts", [(4, 4), (3, 5), (2, 3, 3), (8, 0)], ids=str)
def test_the_gradients_of_ranks_are_those_of_the_whole_batch(name: str, kind: str, cuts: tuple[int, ...]) -> None:
    logits, target = batch(kind)
    how = made(name, kind)
    weight = torch.eye(CLASSES).requires_grad_()

    def through(part: Tensor) -> Tensor:
        return torch.einsum("kc,bc...->bk...", weight, part)

    (expected,) = torch.autograd.grad(how.value(how.sums(through(logits), target)), weight)
    shares = list(zip(logits.split(cuts), target.split(cuts), strict=True))
    totals = torch.stack([how.sums(through(x), y).detach() for x, y in shares]).sum(0)
    ranks = []
    for x, y in shares:
        scalar = backward(how.sums(through(x), y), totals, how.value, len(shares))
        ranks.append(torch.autograd.grad(scalar, weight)[0])
    found = torch.stack(ranks).mean(0)  # as DistributedDataParallel does
    assert expected.abs().max() > 1e-4
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize(("name", "kind"), [case for case in CASES if made(*case).linear])
def test_two_micro_batches_need_only_what_targets_tell_beforehand(name: str, kind: str) -> None:
    logits, target = batch(kind)
    how = made(name, kind)
    totals = how.known(target[:4]) + how.known(target[4:])
    halves = logits.clone().requires_grad_()
    for part in (slice(0, 4), slice(4, 8)):
        backward(how.sums(halves[part], target[part]), totals, how.value, 1).backward()
    assert halves.grad is not None
    torch.testing.assert_close(halves.grad, gradient(how, logits, target), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_known_sums_are_those_that_no_logit_moves(name: str, kind: str) -> None:
    logits, target = batch(kind)
    how = made(name, kind)
    known = how.known(target)
    moved = torch.stack([how.sums(logits, target), how.sums(logits.flip(0) + logits.square(), target)])
    still = (moved[0] == moved[1]) & (moved[0] != 0)
    assert torch.equal(known[still], moved[0][still])
    assert not known[~still].any()
    assert known.shape == moved[0].shape == (how.length,)
    assert known.dtype == moved.dtype == torch.float64


def image_dice(shares: Tensor, true: Tensor) -> Tensor:
    """Compute mmseg's Dice of one image, shares [classes, H, W], without the pixels that are ignored."""
    kept, lost = true != 255, []
    for label, share in enumerate(shares):
        share, mask = share[kept], (true[kept] == label).float()
        lost.append(1 - (2 * (share * mask).sum() + 1) / ((share**2).sum() + mask.sum() + 1))
    return torch.stack(lost).mean()


def expected_value(name: str, kind: str, logits: Tensor, target: Tensor) -> Tensor:
    """Return the value by torch's, torchvision's and smp's own functions, or in the words of the definition."""
    if name == "ce":
        return F.cross_entropy(logits, target, ignore_index=-100 if kind == "mixed" else 255)
    if name == "soft-margin":
        return torch.nn.MultiLabelSoftMarginLoss()(logits, target)
    if name == "bce":
        return torch.nn.BCEWithLogitsLoss()(logits, target)
    if kind == "multilabel":
        found: Tensor = sigmoid_focal_loss(logits, target, alpha=-1, gamma=2, reduction="mean")
        return found
    if name == "dice":
        dice: Tensor = smp.losses.DiceLoss("multiclass", ignore_index=255)(logits, target)
        return dice * CLASSES / 4  # it divides by the absent class, too
    if name == "dice-image":
        return torch.stack(
            [image_dice(shares, true) for shares, true in zip(logits.softmax(1), target, strict=True)]
        ).mean()
    if name == "dice+0.4ce":
        return expected_value("dice", kind, logits, target) + 0.4 * expected_value("ce", kind, logits, target)
    shares = target
    if kind != "mixed":
        kept = target != 255
        logits, target = (logits.movedim(1, -1)[kept], target[kept]) if kind == "segmentation" else (logits, target)
        shares = F.one_hot(target, CLASSES).float()
    chance = logits.softmax(1)
    gamma = 2 if "focal" in name else 0
    weights = torch.ones(CLASSES)
    if name.startswith("mini-cbl"):
        counts = shares.sum(0).clamp_min(1).double()
        weights = ((1 - 0.995) / (1 - 0.995**counts)).float()
    return (weights * shares * (1 - chance) ** gamma * -chance.log()).sum(1).mean()


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_values_are_those_of_the_definitions(name: str, kind: str) -> None:
    logits, target = batch(kind)
    how = made(name, kind)
    found = how.value(how.sums(logits, target)).float()
    torch.testing.assert_close(found, expected_value(name, kind, logits, target), rtol=2e-6, atol=1e-7)


def test_mini_cbl_gives_a_rare_sample_its_own_weight_once() -> None:
    how = loss("mini-cbl", 2, "multiclass")
    target = torch.tensor([0] * 200 + [1])
    logits = torch.zeros(201, 2)
    counted = torch.tensor([200.0, 1.0], dtype=torch.float64)
    share = counted * 0.005 / (1 - 0.995**counted)
    expected = share.sum() * torch.tensor(2.0, dtype=torch.float64).log() / 201
    torch.testing.assert_close(how.value(how.sums(logits, target)), expected, rtol=1e-6, atol=0)


def test_dice_of_a_perfect_map_is_nothing_and_of_a_wrong_one_everything() -> None:
    target = torch.tensor([[[0, 1], [255, 1]]])
    right = F.one_hot(target.clamp_max(1), 3).movedim(-1, 1) * 200.0
    how = loss("dice", 3, "segmentation")
    assert how.value(how.sums(right, target)) == 0
    assert how.value(how.sums(right.roll(1, 1), target)) == 1


@pytest.mark.parametrize("name", ["ce", "focal", "dice", "dice-image", "dice+0.4ce"])
def test_a_batch_without_anything_to_learn_has_no_loss_and_no_gradient(name: str) -> None:
    how = loss(name, CLASSES, "segmentation")
    logits = torch.randn(2, CLASSES, 3, 3, requires_grad=True)
    sums = how.sums(logits, torch.full((2, 3, 3), 255))
    backward(sums, sums, how.value, 1).backward()
    assert how.value(sums) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_certain_logits_of_half_precision_keep_gradients_finite(name: str, kind: str) -> None:
    logits, target = batch(kind)
    sure = (logits * 1000).half().requires_grad_()
    how = made(name, kind)
    sums = how.sums(sure, target)
    backward(sums, sums, how.value, 1).backward()
    assert sure.grad is not None
    assert sure.grad.isfinite().all()
    assert how.value(sums).isfinite()


def test_a_class_numbered_255_is_learnt_where_there_are_so_many() -> None:
    logits, target = torch.randn(4, 300), torch.tensor([0, 255, 299, 255])
    how = loss("ce", 300, "multiclass")
    torch.testing.assert_close(how.value(how.sums(logits, target)).float(), F.cross_entropy(logits, target))


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("mini-cbl", "multilabel", "found one for multiclass.*bce, focal, soft-margin"),
        ("mini-cbl-focal", "segmentation", "found one for multiclass"),
        ("ce", "detection", "There are: none"),
        ("dise", "segmentation", "Did you mean 'dice'.*ce, dice, dice-image, focal"),
        ("dice+", "segmentation", "unknown loss ''"),
        ("0.4", "segmentation", "unknown loss '0.4'"),
        ("dice+0ce", "segmentation", "expected weights above 0, found '0ce'"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused_with_those_that_do(name: str, kind: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        loss(name, CLASSES, kind)


def test_each_loss_that_is_looked_up_early_can_be_made() -> None:
    assert {(name, kind) for name, kinds in FITTING.items() for kind in kinds} == set(LOSSES)


def test_weights_of_a_sum_are_as_written() -> None:
    logits: Any
    logits, target = batch("segmentation")
    dice, ce, both = (loss(name, CLASSES, "segmentation") for name in ("dice", "ce", "2dice+.5ce"))
    found = both.value(both.sums(logits, target))
    parts = 2 * dice.value(dice.sums(logits, target)) + 0.5 * ce.value(ce.sums(logits, target))
    torch.testing.assert_close(found, parts)


def test_digits_without_end_are_no_loss() -> None:
    with pytest.raises(UsageError, match="unknown loss '111"):
        loss("1" * (1 << 20), CLASSES, "multiclass")
