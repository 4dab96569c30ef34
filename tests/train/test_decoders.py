"""Every head on every kind of encoder that takes it, and a reason with a way out where it does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from sar_data.errors import UsageError
from sar_data.train.models import backbone
from sar_data.train.segment.aspp import ASPP
from sar_data.train.segment.decoders import DECODERS, Segmenter, segmenter
from sar_data.train.segment.dilation import dilate

BANDS = ("VV", "VH")
# The smallest of each family: name, image size, whether it can be dilated.
FAMILIES = [
    ("resnet10t", 64, False),  # its shortcuts pool
    ("resnet18", 64, True),
    ("legacy_seresnet18", 64, True),
    ("mobilenetv3_small_050", 64, True),
    ("densenet121", 64, False),
    ("convnext_atto", 64, False),
    ("swin_tiny_patch4_window7_224", 64, False),
    ("swinv2_tiny_window8_256", 64, False),
    ("vit_tiny_patch16_224", 64, False),
    ("vit_small_patch14_dinov2", 56, False),
]


def made(name: str, side: int, head: str, **options: bool) -> Segmenter:
    torch.manual_seed(0)
    return segmenter(backbone(name, BANDS, image_size=side), 5, head=head, channels=64, **options)


@pytest.mark.parametrize("head", sorted(DECODERS))
@pytest.mark.parametrize(("name", "side", "dilates"), FAMILIES)
def test_a_head_trains_every_parameter_of_an_encoder_or_says_which_head_does(
    name: str, side: int, dilates: bool, head: str
) -> None:
    if head.startswith("deeplabv3") and not dilates:
        with pytest.raises(UsageError, match=rf"(?s)expected an encoder that can be dilated.*{name}.*upernet` or fpn"):
            made(name, side, head)
        return
    model = made(name, side, head)
    (logits,) = model(torch.randn(2, 2, side, side))
    assert logits.shape == (2, 5, side, side)
    assert logits.dtype == torch.float32
    logits.square().mean().backward()
    assert [path for path, parameter in model.named_parameters() if parameter.grad is None] == []


def test_the_auxiliary_head_answers_in_training_only() -> None:
    model = made("resnet18", 64, "upernet", auxiliary=True)
    images = torch.randn(2, 2, 64, 64)
    main, auxiliary = model(images)
    assert main.shape == auxiliary.shape == (2, 5, 64, 64)
    assert not torch.equal(main, auxiliary)
    assert len(model.eval()(images)) == 1
    # mmseg's FCNHead on the level of stride 16: 3 × 3 to 256 with BatchNorm, then 1 × 1.
    assert model.auxiliary is not None
    size = sum(parameter.numel() for parameter in model.auxiliary.parameters())
    assert size == 256 * 256 * 9 + 2 * 256 + 256 * 5 + 5


def test_deeplabv3_of_mmseg_is_what_its_paper_adds_up() -> None:
    torch.manual_seed(0)
    decoder = ASPP((4, 6), 5).eval()
    image = torch.randn(2, 6, 40, 50)

    def convolved(maps: torch.Tensor, step: Any, rate: int) -> torch.Tensor:
        kernel, norm = step[0].weight, step[1]
        seen = nn.functional.conv2d(maps, kernel, padding=rate * (kernel.shape[-1] // 2), dilation=rate)
        return ((seen - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + 1e-5).sqrt()).relu()

    mean = convolved(image.mean((2, 3), keepdim=True), decoder.mean[1], 1).expand(-1, -1, 40, 50)
    parts = [convolved(image, step, rate) for step, rate in zip(decoder.branches, (1, 12, 24, 36), strict=True)]
    expected = convolved(torch.cat([mean, *parts], dim=1), decoder.out[0], 1)
    torch.testing.assert_close(decoder([image[:, :4], image]), expected)


def test_sarhub_s_decoder_has_mmseg_s_sizes() -> None:
    with torch.device("meta"):
        encoder = backbone("resnet50", ("VV",), image_size=512)
        model = segmenter(encoder, 2, head="deeplabv3-mmseg", channels=1024, auxiliary=True)
    narrow, wide = 2048 * 1024 + 2 * 1024, 9 * 2048 * 1024 + 2 * 1024
    assert sum(p.numel() for p in model.decoder.parameters()) == 2 * narrow + 3 * wide + 9 * 5 * 1024**2 + 2 * 1024
    assert model.auxiliary is not None
    assert sum(p.numel() for p in model.auxiliary.parameters()) == 9 * 1024 * 512 + 2 * 512 + 512 * 2 + 2


def test_images_need_not_be_square_for_convolutions() -> None:
    model = made("resnet18", 64, "upernet").eval()
    assert model(torch.zeros(1, 2, 96, 72))[0].shape == (1, 5, 96, 72)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050"])
def test_a_dilated_encoder_answers_the_same_where_it_answered_before(name: str) -> None:
    torch.manual_seed(0)
    plain = backbone(name, BANDS, image_size=64).eval()
    for module in plain.modules():  # squeezing averages over the map, of which a dilated one has more pixels
        if type(module).__name__ == "SqueezeExcite":
            module.forward = lambda images: images
    images = torch.randn(2, 2, 64, 96)
    before = plain.levels(images)
    names = list(plain.state_dict())
    dilate(plain)
    after = plain.levels(images)
    assert list(plain.state_dict()) == names
    assert plain.strides == (4, 8, 8, 8)
    assert [tuple(level.shape[2:]) for level in after] == [(16, 24), (8, 12), (8, 12), (8, 12)]
    torch.testing.assert_close(after[2][..., ::2, ::2], before[2], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after[3][..., ::4, ::4], before[3], rtol=1e-4, atol=1e-4)


def test_an_unknown_head_is_an_error_that_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"unknown head 'upernet-mmseg'. Did you mean 'upernet-smp'"):
        made("resnet18", 64, "upernet-mmseg")


def test_fpn_says_what_sizes_it_takes() -> None:
    with pytest.raises(UsageError, match=r"multiple of 32 pixels with resnet18, found 72.*`head=upernet`"):
        made("resnet18", 72, "fpn")
    with pytest.raises(UsageError, match=r"multiple of 32 pixels with vit_tiny_patch16_224, found 48"):
        made("vit_tiny_patch16_224", 48, "fpn")
    with pytest.raises(UsageError, match="multiples of 64, found 80"):
        segmenter(backbone("resnet18", BANDS, image_size=64), 5, head="fpn", channels=80)


def test_a_decoder_shares_the_encoders_parameters_and_adds_no_second_copy() -> None:
    encoder = backbone("resnet18", BANDS, image_size=64)
    model = segmenter(encoder, 5, head="fpn", channels=64)
    assert model.encoder is encoder
    own = {id(parameter) for layer in encoder.layers() for parameter in layer}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in own]
    assert len(own) + len(rest) == len(list(model.parameters()))
    assert sum(p.numel() for p in rest) == sum(
        p.numel() for m in (model.decoder, model.classes) for p in m.parameters()
    )


def test_a_frozen_encoder_gets_no_gradient_and_the_head_learns() -> None:
    model = made("vit_tiny_patch16_224", 64, "upernet-diary", auxiliary=True)
    model.encoder.requires_grad_(False)
    sum(logits.square().mean() for logits in model(torch.randn(2, 2, 64, 64))).backward()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())
    heads = [m for m in (model.neck, model.decoder, model.classes, model.auxiliary) if isinstance(m, nn.Module)]
    assert len(heads) == 4
    assert all(parameter.grad is not None for head in heads for parameter in head.parameters())
