"""Encoders by name: their sizes, what they give, and that heads train every parameter that is kept."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sar_data.errors import UsageError
from sar_data.train.models import HEADS, MODELS, backbone, classifier
from sar_data.train.models.encoder import Backbone

BANDS = ("VV", "VH")
# The smallest of each family: name, image size.
SMALL = [
    ("vit_tiny_patch16_224", 32),
    ("resnet10t", 32),
    ("legacy_seresnet18", 32),
    ("mobilenetv3_small_050", 32),
    ("densenet121", 32),
    ("swin_tiny_patch4_window7_224", 64),
    ("swinv2_tiny_window8_256", 64),
    ("convnext_atto", 32),
    ("efficientnet_b0", 32),
]


def tiny(channels: tuple[str, ...] = BANDS, size: int = 32) -> Backbone:
    torch.manual_seed(0)
    return backbone("vit_tiny_patch16_224", channels, image_size=size).eval()


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "whole", "head"),
    [
        ("vit-s", 21_571_210, 3_850),
        ("vit-b", 85_609_738, 7_690),
        ("vit-l", 303_049_738, 10_250),
        ("vit-h", 630_526_730, 12_810),
    ],
)
def test_parameter_counts_are_those_of_the_diary(name: str, whole: int, head: int) -> None:
    with torch.device("meta"):
        model = classifier(backbone(name, BANDS, image_size=224), 10, pooling="cls", head="bn-linear")
    assert (count(model), count(model.head)) == (whole, head)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_of_the_table_takes_any_bands_and_orders_all_its_parameters(name: str) -> None:
    with torch.device("meta"):
        encoder = backbone(name, ("VV", "VH", "VV-VH"), image_size=224)
    stem = next(parameter for parameter in encoder.parameters() if parameter.ndim == 4)
    assert stem.shape[1] == 3
    layers = encoder.layers()
    assert sorted(id(p) for group in layers for p in group) == sorted(id(p) for p in encoder.parameters())
    assert all(layers[:-1])
    assert any(stem is parameter for parameter in layers[0])


@pytest.mark.parametrize(("name", "size"), SMALL)
def test_levels_are_maps_at_their_strides_and_train_everything_that_is_kept(name: str, size: int) -> None:
    encoder = backbone(name, BANDS, image_size=size)
    encoder.settle("levels")
    maps = encoder.levels(torch.randn(2, 2, size, size))
    expected = [(2, c, size // s, size // s) for c, s in zip(encoder.level_channels, encoder.strides, strict=True)]
    assert [tuple(level.shape) for level in maps] == expected
    torch.stack([level.square().mean() for level in maps]).sum().backward()
    assert not [name for name, parameter in encoder.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize(("name", "size"), SMALL)
def test_a_classifier_trains_every_parameter_and_keeps_bfloat16_and_channels_last(name: str, size: int) -> None:
    model = classifier(backbone(name, BANDS, image_size=size), 3, pooling="mean", head="bn-linear")
    model = model.to(memory_format=torch.channels_last)
    images = torch.randn(4, 2, size, size).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
    assert logits.shape == (4, 3)
    logits.float().square().sum().backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize("pooling", ["cls", "mean", "last4"])
def test_every_pooling_of_a_vit_trains_every_parameter(pooling: str) -> None:
    model = classifier(tiny(), 3, pooling=pooling)
    model(torch.randn(4, 2, 32, 32)).square().sum().backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


def test_the_poolings_of_a_vit_are_what_its_tokens_say() -> None:
    encoder = tiny()
    images = torch.randn(3, 2, 32, 32)
    seen: list[torch.Tensor] = []
    for block in encoder.net.blocks:
        block.register_forward_hook(lambda _module, _inputs, tokens: seen.append(tokens))
    found = encoder(images)
    normed = [encoder.net.norm(tokens) for tokens in seen[-4:]]
    torch.testing.assert_close(found["cls"], normed[-1][:, 0])
    torch.testing.assert_close(found["mean"], normed[-1][:, 1:].mean(dim=1))
    torch.testing.assert_close(found["last4"], torch.cat([tokens[:, 0] for tokens in normed], dim=1))
    assert {name: vectors.shape[1] for name, vectors in found.items()} == {
        name: encoder.size(name) for name in ("cls", "mean", "last4")
    }


def test_asking_for_one_pooling_gives_it_alone_and_the_same() -> None:
    encoder = tiny()
    images = torch.randn(3, 2, 32, 32)
    whole = encoder(images)
    for pooling in encoder.poolings:
        alone = encoder(images, (pooling,))
        assert list(alone) == [pooling]
        torch.testing.assert_close(alone[pooling], whole[pooling])


def test_settled_on_the_mean_a_vit_norms_after_pooling_and_has_no_final_norm() -> None:
    encoder = tiny()
    with torch.no_grad():
        encoder.net.norm.weight.fill_(3)  # so that a norm that was only moved would show
    encoder.settle("mean")
    images = torch.randn(3, 2, 32, 32)
    raw: list[torch.Tensor] = []
    encoder.net.blocks[-1].register_forward_hook(lambda _module, _inputs, tokens: raw.append(tokens))
    found = encoder(images)
    assert list(found) == ["mean"]
    torch.testing.assert_close(found["mean"], nn.functional.layer_norm(raw[0][:, 1:].mean(dim=1), (192,), eps=1e-6))


def test_levels_of_a_vit_are_its_tapped_blocks_on_the_patch_grid() -> None:
    encoder = tiny(size=48)
    seen: list[torch.Tensor] = []
    for i in (3, 5, 7, 11):
        encoder.net.blocks[i].register_forward_hook(lambda _module, _inputs, tokens: seen.append(tokens))
    maps = encoder.levels(torch.randn(2, 2, 48, 48))
    for level, tokens in zip(maps, seen, strict=True):
        torch.testing.assert_close(level.flatten(2).transpose(1, 2), tokens[:, 1:])


@pytest.mark.parametrize(("name", "last"), [("vit-s", 11), ("vit-l", 23), ("vit-h", 31)])
def test_the_taps_end_at_the_last_block(name: str, last: int) -> None:
    with torch.device("meta"):
        encoder = backbone(name, BANDS, image_size=224)
        images = torch.empty(1, 2, 224, 224)
        assert len(encoder.levels(images)) == 4
    assert max(encoder._taps) == last


def test_layers_of_a_vit_are_the_stem_each_block_and_the_final_norm() -> None:
    encoder = tiny()
    names = {id(parameter): name for name, parameter in encoder.net.named_parameters()}
    layers = [{names[id(parameter)].split(".")[0] for parameter in group} for group in encoder.layers()]
    assert layers == [{"cls_token", "pos_embed", "patch_embed"}, *[{"blocks"}] * 12, {"norm"}]


@settings(max_examples=12, deadline=None)
@given(bands=st.lists(st.sampled_from(["VV", "VH", "HH", "HV", "VV-VH"]), min_size=1, max_size=5, unique=True))
def test_any_number_of_bands_is_encoded(bands: list[str]) -> None:
    with torch.device("meta"):
        encoder = backbone("resnet18", bands, image_size=64)
        assert encoder(torch.empty(2, len(bands), 64, 64))["mean"].shape == (2, 512)


def test_drop_path_reaches_the_blocks_and_rises_with_depth() -> None:
    encoder = backbone("vit_tiny_patch16_224", BANDS, image_size=32, drop_path=0.2)
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in encoder.net.blocks]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.2)


def test_the_head_of_fgmae_standardises_features_by_the_batch() -> None:
    model = classifier(tiny(), 3, pooling="cls", head="bn-linear").train()
    norm = model.head[0]
    assert (norm.affine, norm.eps) == (False, 1e-6)
    assert [name for name, _ in model.head.named_parameters()] == ["1.weight", "1.bias"]
    assert model.head[1].weight.std().item() == pytest.approx(0.01, rel=0.15)
    assert not model.head[1].bias.any()


@pytest.mark.parametrize("head", HEADS)
def test_two_models_of_one_seed_are_equal(head: str) -> None:
    models = []
    for _ in range(2):
        torch.manual_seed(7)
        models.append(classifier(backbone("resnet10t", BANDS, image_size=32), 3, pooling="mean", head=head))
    first, second = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_unknown_name_is_told_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'resnet81'.*Did you mean 'resnet18'"):
        backbone("resnet81", BANDS, image_size=32)


def test_a_network_without_the_four_strides_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="mixer_s32_224: expected a plain ViT, or a network with stages"):
        backbone("mixer_s32_224", BANDS, image_size=224)


def test_an_image_that_patches_do_not_tile_is_refused_with_one_that_fits() -> None:
    with pytest.raises(UsageError, match="patches of 16 pixels tile, found 100: take 96"):
        backbone("vit-s", BANDS, image_size=100)


def test_drop_path_where_a_network_has_none_is_refused() -> None:
    with pytest.raises(UsageError, match="densenet121: expected a network that takes drop_path_rate"):
        backbone("densenet121", BANDS, image_size=32, drop_path=0.1)


def test_no_channels_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one channel"):
        backbone("resnet18", (), image_size=32)


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 2, 48, 48)])
def test_images_that_do_not_fit_are_refused_with_what_was_expected(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"expected 2 channels \(VV, VH\) of 32 × 32 pixels, found"):
        tiny()(torch.randn(shape))


def test_an_encoder_settled_on_one_use_refuses_another() -> None:
    encoder = tiny()
    encoder.settle("levels")
    encoder.settle("levels")
    with pytest.raises(UsageError, match="expected the use 'levels', found 'cls'"):
        encoder.settle("cls")
    with pytest.raises(UsageError, match="unknown pooling"):
        encoder(torch.randn(1, 2, 32, 32), ("cls",))


def test_an_unknown_pooling_or_head_is_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown pooling of resnet10t 'cls'.*There are: mean"):
        classifier(backbone("resnet10t", BANDS, image_size=32), 3, pooling="cls")
    with pytest.raises(UsageError, match="unknown head 'mlp'"):
        classifier(tiny(), 3, pooling="cls", head="mlp")
    settled = tiny()
    settled.settle("mean")
    with pytest.raises(UsageError, match="expected feature maps"):
        settled.levels(torch.randn(1, 2, 32, 32))
