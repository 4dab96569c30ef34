"""UPerNet in both forms: sizes counted by hand, published sizes, and the same numbers as the library's decoder."""

from __future__ import annotations

import pytest
import torch
from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
from torch import Tensor, nn

from sar_data.train.models import backbone
from sar_data.train.segment.decoders import segmenter
from sar_data.train.segment.pyramid import Feature2Pyramid
from sar_data.train.segment.upernet import diary_form, mmseg_form


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def pyramid(widths: tuple[int, ...], side: int, batch: int = 2) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(batch, width, side >> i, side >> i) for i, width in enumerate(widths)]


def test_mmseg_form_has_the_parameters_that_one_counts_by_hand() -> None:
    # Widths 96, 192, 384, 768 and 512 channels, as on a Swin-T. A convolution i → o of k × k with BatchNorm: iok² + 2o.
    bins = 4 * (768 * 512 + 2 * 512)
    context = (768 + 4 * 512) * 512 * 9 + 2 * 512
    lateral = (96 + 192 + 384) * 512 + 3 * 2 * 512
    smooth = 3 * (512 * 512 * 9 + 2 * 512)
    fuse = 4 * 512 * 512 * 9 + 2 * 512
    with torch.device("meta"):
        found = count(mmseg_form((96, 192, 384, 768), 512))
    assert found == bins + context + lateral + smooth + fuse == 31_420_416


def test_diary_form_has_the_parameters_that_one_counts_by_hand() -> None:
    # Four maps of a ViT-S, 384 wide, and 256 channels.
    bins = 4 * (384 * 96 + 2 * 96)
    context = (384 + 4 * 96) * 256 + 2 * 256
    lateral = 3 * (384 * 256 + 2 * 256)
    smooth = 3 * (256 * 256 * 9 + 2 * 256)
    fuse = 4 * 256 * 256 + 2 * 256
    last = 256 * 256 + 2 * 256
    with torch.device("meta"):
        found = count(diary_form((384,) * 4, 256))
    assert found == bins + context + lateral + smooth + fuse + last == 2_741_504


def test_the_neck_has_the_parameters_that_one_counts_by_hand() -> None:
    assert count(Feature2Pyramid(384)) == 3 * (384 * 384 * 2 * 2 + 384) + 2 * 384 == 1_771_392


@pytest.mark.parametrize(
    ("name", "millions"), [("swin-t", 60), ("convnext-t", 60), ("convnext-s", 82), ("swin-b", 121), ("convnext-b", 122)]
)
def test_whole_models_are_as_large_as_published(name: str, millions: int) -> None:
    """UPerNet for ADE20K, 512 channels and the auxiliary head: README of facebookresearch/ConvNeXt, made by mmseg."""
    with torch.device("meta"):
        encoder = backbone(name, ("R", "G", "B"), image_size=224)
        model = segmenter(encoder, 150, head="upernet", channels=512, auxiliary=True)
    assert round(count(model) / 1e6) == millions


def test_diary_model_on_a_vit_is_encoder_neck_decoder_and_the_last_convolution() -> None:
    with torch.device("meta"):
        encoder = backbone("vit-s", ("VV", "VH"), image_size=224)
        model = segmenter(encoder, 20, head="upernet-diary", channels=256)
    # The whole ViT-S of the diary without its head (3,850) and its final norm (2 · 384), which no level goes through.
    assert count(encoder) == 21_571_210 - 3_850 - 2 * 384
    assert count(model) == count(encoder) + 1_771_392 + 2_741_504 + 256 * 20 + 20


def test_mmseg_form_answers_as_the_librarys_decoder_without_its_layer_norms() -> None:
    widths = (8, 12, 16, 24)
    theirs = UPerNetDecoder([0, 0, *widths], decoder_channels=10)
    theirs.feature_norms = nn.ModuleList(nn.Identity() for _ in widths)
    ours = mmseg_form(widths, 10)
    # The same layers in the same order, but for ours from the finest level and theirs from the coarsest.
    for mine, other in zip(ours.context.bins, theirs.psp.blocks, strict=True):
        mine[1].load_state_dict(other[1].state_dict())
    ours.context.out.load_state_dict(theirs.psp.out_conv.state_dict())
    for mine, other in zip(ours.lateral, reversed(theirs.fpn_lateral_blocks), strict=True):
        mine.load_state_dict(other.conv_norm_relu.state_dict())
    for mine, other in zip(ours.smooth, reversed(theirs.fpn_conv_blocks), strict=True):
        mine.load_state_dict(other.state_dict())
    ours.fuse.load_state_dict(theirs.fusion_block.state_dict())
    assert count(ours) == count(theirs)
    levels = pyramid(widths, 32)
    expected = theirs.eval()([*levels[:2], *levels])
    torch.testing.assert_close(ours.eval()(levels), expected, rtol=0, atol=1e-6)
    assert expected.std() > 0.01


@pytest.mark.parametrize("form", [mmseg_form, diary_form])
def test_the_result_has_the_finest_levels_size_whatever_the_others_are(form: type) -> None:
    levels = [torch.randn(2, 8, *size) for size in ((15, 21), (8, 11), (4, 6), (2, 3))]
    assert form((8,) * 4, 12)(levels).shape == (2, 12, 15, 21)


def test_a_bin_of_one_sees_the_whole_map_and_bins_differ_between_the_forms() -> None:
    """A constant coarsest map gives the same context everywhere, however bins are upsampled."""
    widths = (4, 4, 4, 8)
    for form in (mmseg_form, diary_form):
        model = form(widths, 4).eval()
        context = model.context(torch.ones(1, 8, 6, 6))
        inner = context[..., 1:-1, 1:-1]  # a convolution of 3 × 3 sees zeros outside
        torch.testing.assert_close(inner, inner[..., :1, :1].expand_as(inner), rtol=0, atol=1e-6)
    assert diary_form(widths, 4).context.bins[0][1][0].out_channels == 2
    assert mmseg_form(widths, 4).context.bins[0][1][0].out_channels == 4


def test_the_neck_makes_a_pyramid_of_four_maps_of_one_size() -> None:
    neck = Feature2Pyramid(6)
    levels = [torch.randn(2, 6, 8, 8) for _ in range(4)]
    found = neck(levels)
    assert [tuple(level.shape) for level in found] == [(2, 6, side, side) for side in (32, 16, 8, 4)]
    assert torch.equal(found[2], levels[2])
    assert torch.equal(found[3], torch.nn.functional.max_pool2d(levels[3], 2))
