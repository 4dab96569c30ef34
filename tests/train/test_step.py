"""One step of the real stepper: however its batch is cut, the gradient is that of the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sar_data.train.jobs import Batch, Forward
from sar_data.train.losses import loss
from sar_data.train.models import backbone, classifier
from sar_data.train.ranks import Ranks
from sar_data.train.run.step import Stepper
from sar_data.train.settings import Finetune, Segment

CLASSES = 3


class Masks:
    """A job of one convolution and, so that statistics are kept, a norm of its own input that it does not use."""

    def __init__(self, name: str) -> None:
        torch.manual_seed(0)
        self.model: Any = nn.Conv2d(2, CLASSES, 3)
        self.seen: Any = nn.BatchNorm2d(2)
        self.model.seen = self.seen
        self._loss = loss(name, CLASSES, "segmentation")
        self.linear = self._loss.linear

    def sums(self, model: Forward, batch: Batch) -> Tensor:
        self.seen(batch["image"])
        return self._loss.sums(model(batch["image"]), batch["target"])

    def known(self, batch: Batch) -> Tensor:
        return self._loss.known(batch["target"])

    def value(self, sums: Tensor) -> Tensor:
        return self._loss.value(sums)


class NormedMasks(Masks):
    """The same, of a network that uses its norm."""

    def sums(self, model: Forward, batch: Batch) -> Tensor:
        return self._loss.sums(model(self.seen(batch["image"])), batch["target"])


def stepped(name: str, cuts: Sequence[int], kind: type[Masks] = Masks) -> tuple[list[Tensor], float, Any]:
    """Return the gradients and the loss of one step on 8 images, cut into micro-batches."""
    random = torch.Generator().manual_seed(1)
    images, masks = torch.randn(8, 2, 8, 8, generator=random), torch.randint(0, 2, (8, 6, 6), generator=random)
    masks[5:] = 2
    masks[0] = 255
    job: Any = kind(name)
    stepper = Stepper(job, torch.optim.SGD(job.model.parameters(), lr=0.1), Segment(), Ranks(0, 1, torch.device("cpu")))
    batches = [{"image": a, "target": b} for a, b in zip(images.split(cuts), masks.split(cuts), strict=True)]
    found = stepper.step(batches, 0, stop=False)
    gradients = [one.grad for one in (job.model.weight, job.model.bias)]
    return gradients, float(found[0]), job.seen


@pytest.mark.parametrize("name", ["ce", "focal", "dice", "dice+0.4ce"])
@pytest.mark.parametrize("cuts", [(4, 4), (2, 2, 2, 2), (1, 7)], ids=str)
def test_accumulated_batches_have_the_gradient_and_the_loss_of_one(name: str, cuts: tuple[int, ...]) -> None:
    whole, expected, _ = stepped(name, (8,))
    parts, told, seen = stepped(name, cuts)
    assert told == pytest.approx(expected, abs=1e-7)
    for one, other in zip(whole, parts, strict=True):
        assert one.abs().max() > 1e-3
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    assert seen.num_batches_tracked == len(cuts)  # a loss that needs two passes keeps statistics of one


def test_with_batch_statistics_the_gradient_depends_on_how_the_batch_is_cut() -> None:
    whole, parts = (stepped("ce", cuts, NormedMasks)[0] for cuts in ((8,), (4, 4)))
    assert torch.linalg.norm(whole[0] - parts[0]) > 0.01 * torch.linalg.norm(whole[0])


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3-small", "densenet121"])
def test_shared_batch_statistics_change_nothing_else_of_a_network(name: str) -> None:
    torch.manual_seed(0)
    job: Any = Masks("ce")
    job.model = classifier(backbone(name, ("VV", "VH"), image_size=64), CLASSES, pooling="mean", head="bn-linear")
    images = torch.randn(2, 2, 64, 64)
    before = job.model.eval()(images)
    optimiser = torch.optim.SGD(job.model.parameters(), lr=0.1)
    stepper = Stepper(job, optimiser, Finetune(sync_bn=True), Ranks(0, 1, torch.device("cuda")))
    norms = [one for one in stepper.model.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert all(isinstance(one, nn.SyncBatchNorm) for one in norms)
    torch.testing.assert_close(stepper.model(images), before)
    held = {id(parameter) for group in optimiser.param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in stepper.model.parameters()}
