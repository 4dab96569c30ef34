"""Detectors: what reaches the encoder, what the sums are, and that they add up over batches of any make."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parameter import Parameter
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator

from sar_data.errors import UsageError
from sar_data.train.detect import DETECTORS
from sar_data.train.detect.detectors import CountingSampler, Grid
from sar_data.train.detect.necks import Coarsest
from sar_data.train.losses import backward
from sar_data.train.models import backbone
from sar_data.train.settings import ROTATED

Batch = tuple[Tensor, list[dict[str, Tensor]]]
BANDS = ("VV", "VH")
SIDE, PROPOSALS = 64, 60
ENCODERS = [
    ("resnet10t", SIDE),
    ("convnext_atto", SIDE),
    ("swin_tiny_patch4_window7_224", SIDE),
    ("vit_tiny_patch16_224", SIDE),
    ("densenet121", SIDE),
]


def detector(
    name: str = "fcos",
    model: str = "resnet10t",
    *,
    classes: int = 2,
    bands: tuple[str, ...] = BANDS,
    side: int = SIDE,
    threshold: float = 0.0,
) -> Any:
    torch.manual_seed(0)
    encoder = backbone(model, bands, image_size=side)
    made = DETECTORS[name](encoder, classes, channels=32, threshold=threshold, most=100)
    if "rcnn" in name:  # which looks at thousands of proposals
        made.rpn._pre_nms_top_n = made.rpn._post_nms_top_n = {"training": PROPOSALS, "testing": PROPOSALS}
    return made


def steady(model: nn.Module) -> nn.Module:
    """Return a model in training mode whose batch statistics are held: those of halves are not those of the whole."""
    model.double().train()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
    return model


def batch(count: int, *, boxes: tuple[int, ...] = (2, 0, 1, 3), side: int = SIDE) -> Batch:
    random = torch.Generator().manual_seed(1)
    targets = []
    for image in range(count):
        number = boxes[image % len(boxes)]
        corner = torch.rand((number, 2), generator=random, dtype=torch.float64) * (side - 30)
        size = 6 + torch.rand((number, 2), generator=random, dtype=torch.float64) * 22
        upright = torch.cat([corner, corner + size], 1)
        turned = torch.cat([corner + size / 2, size, torch.linspace(-80, 70, number)[:, None].double()], 1)
        targets.append({"boxes": upright, "rotated": turned, "labels": torch.arange(number) % 2})
    return torch.randn((count, 2, side, side), generator=random, dtype=torch.float64), targets


def single(targets: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    return [{name: values.float() if name != "labels" else values for name, values in one.items()} for one in targets]


def gradients(model: Any, halves: list[Batch]) -> list[Tensor]:
    """Return the mean over ranks of the gradients, each rank with one of the halves: what DDP makes of them."""
    totals = torch.stack([model(*half).detach() for half in halves]).sum(dim=0)
    model.zero_grad()
    for half in halves:
        (backward(model(*half), totals, model.value, len(halves)) / len(halves)).backward()
    return [parameter.grad.clone() for parameter in trained(model)]


def trained(model: nn.Module) -> list[Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("training", [True, False])
def test_the_tensor_that_reaches_the_encoder_is_the_batch_s_own(name: str, training: bool) -> None:
    model = detector(name, side=60).train(training)
    images, targets = batch(2, side=60)
    images = images.float() * 1000 + 300
    seen: list[Tensor] = []
    model.backbone.encoder.net.conv1.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    model(images, single(targets))
    assert seen[0] is images
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("name", "model", "side"),
    # All detectors stand on one pyramid.
    [
        *((name, *one) for name in ("fcos", "faster-rcnn") for one in ENCODERS),
        *((name, *ENCODERS[0]) for name in ROTATED),
    ],
)
def test_every_encoder_carries_every_detector_and_every_parameter_learns(name: str, model: str, side: int) -> None:
    made = detector(name, model, side=side, bands=("VV", "VH", "VV-VH")).train()
    images = torch.randn(2, 3, side, side)
    boxes = torch.tensor([[8.0, 8, 24, 28], [20, 30, 60, 62]])
    turned = torch.tensor([[16.0, 18, 20, 12, 30], [40, 46, 40, 20, -50]])
    targets = [{"boxes": boxes, "rotated": turned, "labels": torch.tensor([0, 1])}]
    targets.append({"boxes": boxes[:0], "rotated": turned[:0], "labels": torch.zeros(0).long()})
    loss = made.value(made(images, targets))
    loss.backward()
    assert torch.isfinite(loss)
    assert [name for name, p in made.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()] == []
    found = made.eval()(images)
    assert len(found) == 2
    kinds = ["boxes", "labels", *(["rotated"] if name in ROTATED else []), "scores"]
    assert all(sorted(one) == kinds for one in found)
    assert all(set(one["labels"].tolist()) <= {0, 1} for one in found)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_batch_without_any_object_has_a_loss_and_gradients_for_all(name: str) -> None:
    model = detector(name).train()
    images, targets = batch(2, boxes=(0,))
    loss = model.value(model(images.float(), single(targets)))
    loss.backward()
    assert 0 < float(loss.detach()) < 100
    assert all(torch.isfinite(parameter.grad).all() for parameter in trained(model) if parameter.grad is not None)
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_the_value_of_one_batch_is_torchvision_s_own_loss() -> None:
    ours = steady(detector())
    images, targets = batch(4)
    grid = AnchorGenerator(((8,), (16,), (32,), (64,), (128,)), ((1.0,),) * 5)
    theirs = (
        FCOS(
            ours.backbone,
            2,
            min_size=SIDE,
            max_size=SIDE,
            image_mean=[0, 0],
            image_std=[1, 1],
            anchor_generator=grid,
            size_divisible=1,
        )
        .double()
        .train()
    )
    theirs.head.load_state_dict(ours.head.state_dict())
    steady(theirs)
    expected = sum(theirs(list(images), targets).values())
    torch.testing.assert_close(ours.value(ours(images, targets)), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["fcos", "rotated-fcos"])
def test_gradients_of_one_batch_of_fcos_are_those_of_its_halves_on_two_ranks(name: str) -> None:
    model = steady(detector(name))
    images, targets = batch(4, boxes=(3, 1, 0, 0))  # the second rank has no object at all
    whole = gradients(model, [(images, targets)])
    halves = gradients(model, [(images[:2], targets[:2]), (images[2:], targets[2:])])
    for one, other in zip(whole, halves, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)
    assert max(float(one.abs().max()) for one in whole) > 1e-3


@pytest.mark.parametrize("name", ["faster-rcnn", "oriented-rcnn"])
def test_gradients_of_two_stages_are_those_of_their_halves_where_the_samplers_take_all(name: str) -> None:
    # Which proposals are taken is drawn, an image at a time; where all are taken, nothing is left to chance.
    model = steady(detector(name))
    model.rpn.fg_bg_sampler = CountingSampler(10**6, 1.0)
    model.roi_heads.fg_bg_sampler = CountingSampler(10**6, 1.0)
    images, targets = batch(4, boxes=(3, 1, 0, 0))
    whole = gradients(model, [(images, targets)])
    halves = gradients(model, [(images[:2], targets[:2]), (images[2:], targets[2:])])
    for one, other in zip(whole, halves, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["faster-rcnn", "oriented-rcnn"])
def test_what_two_stages_sample_is_a_function_of_the_generator_s_state(name: str) -> None:
    model = steady(detector(name))
    images, targets = batch(2)
    torch.manual_seed(3)
    first = model(images, targets)
    again = model(images, targets)
    torch.manual_seed(3)
    assert torch.equal(model(images, targets), first)
    assert not torch.equal(again, first)


@pytest.mark.parametrize("name", ["fcos", "rotated-fcos"])
def test_the_positives_are_known_from_the_targets_alone(name: str) -> None:
    model = steady(detector(name))
    images, targets = batch(4)
    before = [part.training for part in model.modules()]
    known = model.known(images, targets)
    assert known[:3].tolist() == [0, 0, 0]
    assert float(known[3]) == float(model(images, targets)[3].detach()) > 0
    assert [part.training for part in model.modules()] == before
    assert model.linear
    assert not detector("faster-rcnn").linear


def test_knowing_the_positives_leaves_the_batch_statistics_as_they_are() -> None:
    model = detector().train()
    images, targets = batch(2)
    before = {name: values.clone() for name, values in model.named_buffers()}
    model.known(images.float(), single(targets))
    assert all(torch.equal(values, before[name]) for name, values in model.named_buffers())
    assert model.training


@pytest.mark.parametrize("name", DETECTORS)
def test_evaluation_gives_the_sums_of_training_image_by_image(name: str) -> None:
    side = 160  # whose coarsest map has more than one pixel: of one alone there is no norm
    model = steady(detector(name, side=side, threshold=0.4))
    images, targets = batch(2, side=side)
    expected = []
    for image, target in zip(images, targets, strict=True):
        torch.manual_seed(0)
        expected.append(model(image[None], [target]).detach())
    model.eval()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with torch.no_grad():
        alone, found = model(images), model(images, targets)
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(part.training for part in model.modules())
    torch.testing.assert_close(torch.stack([one.pop("sums") for one in found]), torch.stack(expected))
    assert all(torch.equal(one[part], other[part]) for one, other in zip(alone, found, strict=True) for part in one)


def test_background_is_class_0_inside_faster_rcnn_only() -> None:
    # A head that is certain of its last class: of two classes of ours, the second.
    model = detector("faster-rcnn").eval()
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.weight.zero_()
        model.roi_heads.box_predictor.cls_score.bias.copy_(torch.tensor([-9.0, -9.0, 9.0]))
    found = model(torch.randn(1, 2, SIDE, SIDE))[0]
    sure = found["labels"][found["scores"] > 0.5]
    assert len(sure)
    assert set(sure.tolist()) == {1}
    assert model.roi_heads.box_predictor.cls_score.out_features == 3
    assert detector("fcos").head.classification_head.cls_logits.out_channels == 2


def test_anchors_stand_at_the_encoder_s_strides_whatever_the_size_of_the_image() -> None:
    model = detector(side=100)
    with torch.no_grad():
        maps = list(model.backbone(torch.zeros(1, 2, 100, 100)).values())
    assert [tuple(one.shape[2:]) for one in maps] == [(13, 13), (7, 7), (4, 4), (2, 2), (1, 1)]
    assert model.backbone.strides == (8, 16, 32, 64, 128)
    anchors = model.anchor_generator(type("Images", (), {"tensors": maps[0]})(), maps)[0]
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    assert centres[1].tolist() == [8, 0]
    assert centres[13 * 13 + 7].tolist() == [0, 16]


def test_anchors_are_not_in_half_precision() -> None:
    grid = Grid(((8,),), ((1.0,),), (8,))
    map_ = torch.zeros(1, 32, 1, 100, dtype=torch.bfloat16)
    anchors = grid(type("Images", (), {"tensors": map_})(), [map_])[0]
    assert anchors.dtype == torch.float32
    assert anchors[-1].tolist() == [788, -4, 796, 4]


@pytest.mark.parametrize("name", DETECTORS)
def test_half_precision_gives_sums_in_single_precision_near_those_of_single_precision(name: str) -> None:
    model = detector(name, "convnext_atto").train()
    images, targets = batch(2)
    given = images.float(), single(targets)
    torch.manual_seed(0)
    exact = model.value(model(*given))
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(*given)
    assert half.dtype == torch.float32
    assert float(model.value(half).detach()) == pytest.approx(float(exact.detach()), rel=0.1)


def test_half_precision_gives_the_last_level_of_one_pixel_the_gradient_of_single_precision() -> None:
    coarsest = Coarsest(32, 32)
    below = torch.randn(4, 32, 2, 2)
    found = []
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            maps, names = coarsest([below], [below], ["5"])
        assert [tuple(one.shape[2:]) for one in maps] == [(2, 2), (1, 1), (1, 1)]
        coarsest.zero_grad()
        torch.stack([one.square().sum() for one in maps[1:]]).sum().backward()
        found.append([parameter.grad.clone() for parameter in trained(coarsest)])
    assert names == ["5", "p6", "p7"]
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    assert all(float(one.abs().max()) > 0 for one in found[0])


def test_a_vit_whose_patches_are_no_power_of_two_is_refused_by_faster_rcnn_with_a_way_out() -> None:
    with pytest.raises(UsageError, match=r"patches of 14 pixels: take `detector=fcos`, or a ViT with patches of 16"):
        detector("faster-rcnn", "vit_small_patch14_dinov2", side=56)
    assert detector("fcos", "vit_small_patch14_dinov2", side=56).backbone.strides == (7, 14, 28, 56, 112)
