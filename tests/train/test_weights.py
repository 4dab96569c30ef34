"""Checkpoints of every family's layout, made here, give the encoder they were made from; all others say why not."""

from __future__ import annotations

import argparse
import json
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from sar_data.errors import UsageError
from sar_data.train.models import backbone
from sar_data.train.models.encoder import Backbone
from sar_data.train.weights import Provenance, load
from tests.train.sarhub import MobileNetV3Small, SENet50

VIT = "vit_tiny_patch16_224"
RESNET = "test_resnet"  # a ResNet of half a million parameters, which timm has for tests
DUAL = ("VV", "VH")


def lively(net: Any, seed: int = 0) -> Any:
    """Give a network numbers that no two parameters share, so that one in the wrong place shows."""
    draw = torch.Generator().manual_seed(seed)
    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=draw)
        elif value.is_floating_point() and value.ndim == 1:
            value.normal_(0.5, 0.3, generator=draw)
        elif value.is_floating_point() and not name.endswith("relative_coords_table"):
            fan = math.prod(value.shape[1:])
            value.normal_(0.0, 1 / math.sqrt(fan), generator=draw)
    return net.eval()


def vit(channels: int = 2, size: int = 32, **options: Any) -> Any:
    return lively(timm.create_model(VIT, in_chans=channels, num_classes=0, img_size=size, **options))


def resnet(channels: int = 2) -> Any:
    return lively(timm.create_model(RESNET, in_chans=channels, num_classes=0))


def saved(folder: Path, name: str, content: object) -> str:
    torch.save(content, folder / name)
    return str(folder / name)


def into(name: str, spec: str, channels: Sequence[str] = DUAL, size: int = 32, **options: Any) -> Any:
    encoder = backbone(name, channels, image_size=size).eval()
    return encoder, load(encoder, spec, **{"pooling": None, "normalize": None, **options})


def images(channels: int = 2, size: int = 32) -> Tensor:
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(9))


@torch.no_grad()
def given_by(encoder: Backbone, x: Tensor, pooling: str = "mean") -> Tensor:
    return encoder(x, (pooling,))[pooling]


@torch.no_grad()
def feature(net: Any, x: Tensor) -> Tensor:
    """Return what a timm network gives without its classifier."""
    found: Tensor = net(x)
    return found


# Layouts: each as its family writes it.

BLOCK = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")


@pytest.mark.parametrize(
    ("name", "depth", "tokens"), [("vit-s", 12, 197), ("vit-b", 12, 197), ("vit-l", 24, 197), ("vit-h", 32, 257)]
)
def test_every_size_of_mae_has_the_names_and_shapes_of_its_encoder(name: str, depth: int, tokens: int) -> None:
    with torch.device("meta"):
        own = backbone(name, DUAL, image_size=224).net.state_dict()
    modules = ["patch_embed.proj", "norm", *(f"blocks.{i}.{part}" for i in range(depth) for part in BLOCK)]
    published = {"cls_token", "pos_embed", *(f"{m}.{leaf}" for m in modules for leaf in ("weight", "bias"))}
    assert set(own) == published
    assert own["pos_embed"].shape[1] == tokens


def test_a_file_of_fgmae_gives_the_encoder_and_drops_the_decoder(tmp_path: Path) -> None:
    source = vit()
    extras = {
        "mask_token": 8,
        "decoder_embed.weight": 8,
        "decoder_pos_embed": 8,
        "decoder_blocks.0.norm1.weight": 8,
        "decoder_norm.bias": 8,
        "decoder_pred.weight": 8,
        "hog.weight_x": 8,
    }
    model = {**source.state_dict(), **{name: torch.zeros(size) for name, size in extras.items()}}
    args = argparse.Namespace(lr=0.1, epochs=100, model="mae_vit")
    content = {"model": model, "optimizer": {"state": {}}, "epoch": 99, "scaler": {"scale": 65536.0}, "args": args}
    encoder, told = into(VIT, saved(tmp_path, "B2_vits16_fgmae_ep99.pth", content), normalize="fgmae-uint8")
    torch.testing.assert_close(given_by(encoder, images(), "cls"), feature(source, images()))
    assert (told.family, told.layout, told.part) == ("fgmae", "vit", "model")
    assert told.checkpoint_channels == DUAL
    assert set(told.dropped) == set(extras)
    assert told.fresh == ()


def test_self_distillation_gives_its_teacher_and_drops_the_head(tmp_path: Path) -> None:
    source = vit()
    student = {f"module.backbone.{name}": torch.zeros_like(value) for name, value in source.state_dict().items()}
    teacher = {f"module.backbone.{name}": value for name, value in source.state_dict().items()}
    teacher["module.head.mlp.0.weight"] = torch.zeros(3, 3)
    encoder, told = into(VIT, saved(tmp_path, "B2_vits16_dino.pth", {"student": student, "teacher": teacher}))
    torch.testing.assert_close(given_by(encoder, images(), "cls"), feature(source, images()))
    assert told.part == "teacher"
    assert told.dropped == ("head.mlp.0.weight",)


def test_moco_gives_the_encoder_of_queries(tmp_path: Path) -> None:
    source = resnet()
    state = {f"module.encoder_q.{name}": value for name, value in source.state_dict().items()}
    state |= {f"module.encoder_k.{name}": torch.zeros_like(value) for name, value in source.state_dict().items()}
    state |= {"module.encoder_q.fc.0.weight": torch.zeros(2, 2), "module.queue": torch.zeros(4, 4)}
    encoder, told = into(RESNET, saved(tmp_path, "B2_rn50_moco_0099_ckpt.pth", {"state_dict": state}))
    torch.testing.assert_close(given_by(encoder, images()), feature(source, images()))
    assert {"fc.0.weight", "queue"} < set(told.dropped)


def test_a_bare_resnet_is_loaded_whole(tmp_path: Path) -> None:
    source = resnet()
    state = {name: value for name, value in source.state_dict().items() if not name.endswith("num_batches_tracked")}
    encoder, told = into(RESNET, saved(tmp_path, "B2_rn50_softcon.pth", state))
    torch.testing.assert_close(given_by(encoder, images()), feature(source, images()))
    assert (told.family, told.layout, told.dropped) == ("ssl4eo", "resnet", ())


SMALL = {"embed_dim": 16, "depths": (2, 2, 2, 2), "num_heads": (1, 2, 4, 8), "num_classes": 0}


def swin(name: str, size: int, channels: int = 3, **options: Any) -> Any:
    return lively(timm.create_model(name, in_chans=channels, img_size=size, **SMALL, **options))


def small(name: str, spec: str, channels: Sequence[str], size: int, **options: Any) -> tuple[Backbone, Provenance]:
    encoder = Backbone(swin(name, size, len(channels), **options), name, channels, size).eval()
    return encoder, load(encoder, spec, pooling=None, normalize=None)


def torchvision_swin(window: int, **blocks: Any) -> Any:
    """Return torchvision's Swin, as small as the one above."""
    return torchvision.models.SwinTransformer(
        [4, 4], 16, [2, 2, 2, 2], [1, 2, 4, 8], [window, window], stochastic_depth_prob=0.0, num_classes=3, **blocks
    )


def without(net: Any, last: str) -> Any:
    setattr(net, last, nn.Identity())
    return net


TORCHVISION: list[tuple[str, str, Callable[[], Any], Callable[[Any], Any]]] = [
    ("resnet18", "resnet", torchvision.models.resnet18, lambda net: without(net, "fc")),
    ("densenet121", "densenet", torchvision.models.densenet121, lambda net: without(net, "classifier")),
    (
        "mobilenetv3-small",
        "mobilenet-torchvision",
        torchvision.models.mobilenet_v3_small,
        lambda net: nn.Sequential(net.features, net.avgpool, nn.Flatten(), net.classifier[:2]),
    ),
    (
        "mobilenetv3-large",
        "mobilenet-torchvision",
        torchvision.models.mobilenet_v3_large,
        lambda net: nn.Sequential(net.features, net.avgpool, nn.Flatten(), net.classifier[:2]),
    ),
]


@pytest.mark.parametrize(("name", "layout", "make", "cut"), TORCHVISION, ids=[row[0] for row in TORCHVISION])
def test_torchvision_s_names_give_the_same_function(
    tmp_path: Path, name: str, layout: str, make: Callable[[], Any], cut: Callable[[Any], Any]
) -> None:
    source = lively(make())
    spec = saved(tmp_path, "gersp.pth", {"state_dict": source.state_dict()})
    encoder, told = into(name, spec, ("R", "G", "B"))
    torch.testing.assert_close(given_by(encoder, images(3)), feature(cut(source), images(3)), rtol=1e-4, atol=1e-4)
    assert (told.layout, told.family) == (layout, "gersp")


def test_torchvision_s_swin_gives_the_same_function(tmp_path: Path) -> None:
    source = lively(torchvision_swin(7))
    spec = saved(tmp_path, "gersp.pth", source.state_dict())
    encoder, told = small("swin_tiny_patch4_window7_224", spec, ("R", "G", "B"), 224)
    x = images(3, 224)
    torch.testing.assert_close(given_by(encoder, x), feature(without(source, "head"), x), rtol=1e-4, atol=1e-4)
    assert told.layout == "swin-torchvision"


def test_satlas_gives_its_swin_with_the_bands_in_the_run_s_order(tmp_path: Path) -> None:
    source = torchvision_swin(
        8,
        block=torchvision.models.swin_transformer.SwinTransformerBlockV2,
        downsample_layer=torchvision.models.swin_transformer.PatchMergingV2,
    )
    source.features[0][0] = nn.Conv2d(2, 16, 4, 4)
    state = {f"backbone.backbone.{name}": value for name, value in lively(source).state_dict().items()}
    state["intermediates.0.fpn.0.weight"] = torch.zeros(2)
    encoder, told = small("swinv2_tiny_window8_256", saved(tmp_path, "sentinel1_swinb_si.pth", state), DUAL, 256)
    x = images(2, 256)
    torch.testing.assert_close(
        given_by(encoder, x), feature(without(source, "head"), x[:, [1, 0]]), rtol=1e-4, atol=1e-4
    )
    assert told.channels == {"VV": "VV (1)", "VH": "VH (0)"}
    assert told.family == "satlas"
    assert "intermediates.0.fpn.0.weight" in told.dropped


def microsoft(net: Any) -> dict[str, Tensor]:
    """Return a Swin's tensors as Microsoft's code names them, with the buffers that it keeps."""
    found: dict[str, Tensor] = {"head.weight": torch.zeros(2, 2), "layers.0.blocks.1.attn_mask": torch.zeros(2)}
    for name, value in net.state_dict().items():
        parts = name.split(".")
        if parts[0] == "layers" and parts[2] == "downsample":
            parts[1] = str(int(parts[1]) - 1)
        found[".".join(parts)] = value
    found["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(4, 4, dtype=torch.int64)
    return found


def test_rsp_s_swin_is_read_from_microsoft_s_names(tmp_path: Path) -> None:
    source = swin("swin_tiny_patch4_window7_224", 64)
    spec = saved(tmp_path, "rsp-swin-t-ckpt.pth", {"model": microsoft(source)})
    encoder, told = small("swin_tiny_patch4_window7_224", spec, ("R", "G", "B"), 64)
    torch.testing.assert_close(given_by(encoder, images(3, 64)), feature(source, images(3, 64)))
    assert (told.family, told.layout) == ("rsp", "swin-microsoft")


@pytest.mark.parametrize("name", ["swin-t-window4", "swin-b-window4"])
def test_a_swin_with_windows_of_four_has_their_tables(name: str) -> None:
    with torch.device("meta"):
        table = backbone(name, DUAL, image_size=128).net.layers[0].blocks[0].attn.relative_position_bias_table
    assert len(table) == (2 * 4 - 1) ** 2


def test_sarhub_s_swin_keeps_its_windows_of_four(tmp_path: Path) -> None:
    name = "swin_tiny_patch4_window7_224"
    source = swin(name, 128, window_size=4)
    spec = saved(tmp_path, "Swin-T_TSX.pth", microsoft(source))
    encoder, told = small(name, spec, ("HH",), 128, window_size=4)
    x = images(1, 128)
    torch.testing.assert_close(given_by(encoder, x), feature(source, x.repeat(1, 3, 1, 1)), rtol=1e-4, atol=1e-4)
    assert (told.family, told.resized) == ("sar-hub", {})
    wider, told = small(name, spec, ("HH",), 128)
    assert told.resized["layers.0.blocks.0.attn.relative_position_bias_table"] == "(49, 1) → (169, 1)"
    assert given_by(wider, x).isfinite().all()


@pytest.mark.parametrize(
    ("file", "model", "make"),
    [
        ("SENet50_TSX.pth", "se-resnet50-sarhub", SENet50),
        ("MobileNetV3_BEN.pth", "mobilenetv3-small-sarhub", MobileNetV3Small),
    ],
)
def test_sarhub_s_own_networks_compute_the_same_function_of_one_band(
    tmp_path: Path, file: str, model: str, make: Callable[[int], nn.Module]
) -> None:
    source = lively(make(32))
    state = {f"module.{name}": value for name, value in source.state_dict().items()}
    encoder, told = into(model, saved(tmp_path, file, state), ("HH",), 64)
    x = images(1, 64)
    torch.testing.assert_close(given_by(encoder, x), feature(source, x.repeat(1, 3, 1, 1)), rtol=1e-4, atol=1e-4)
    assert told.family == "sar-hub"
    assert told.channels == {"HH": "sum of grey / 1"}


def test_a_network_of_sarhub_names_the_model_that_goes_with_it(tmp_path: Path) -> None:
    spec = saved(tmp_path, "SENet50_TSX.pth", SENet50(2).state_dict())
    with pytest.raises(UsageError, match="expected `model=se-resnet50-sarhub`, found se-resnet50"):
        into("se-resnet50", spec, ("VV",))


def test_mtp_gives_its_plain_part_to_a_vit_without_a_class_token(tmp_path: Path) -> None:
    plain = {"class_token": False, "global_pool": "avg", "fc_norm": False}
    source = vit(3, **plain)
    rotated = {
        "blocks.0.attn.sampling_offsets.2.weight": torch.zeros(2),
        "blocks.0.attn.rel_pos_h": torch.zeros(2),
        "blocks.2.attn.full_attn_rel_pos_w": torch.zeros(2),
        "fpn1.0.weight": torch.zeros(2),
    }
    state = {f"encoder.{name}": value for name, value in {**source.state_dict(), **rotated}.items()}
    content = {"state_dict": state, "loss_pretrain": np.float64(0.5), "curve": np.arange(3.0)}
    spec = saved(tmp_path, "last_vit_b_rvsa_ss_is_rd_pretrn_model_encoder.pth", content)
    bare = vit(3, **plain)
    encoder = Backbone(bare, "tiny-gap", ("R", "G", "B"), 32)
    told = load(encoder, spec, pooling="mean", normalize=None)
    norm = nn.LayerNorm(192, eps=1e-6)
    with torch.no_grad():
        tokens = source.forward_features(images(3))
    assert set(told.dropped) == {*rotated, "norm.weight", "norm.bias"}
    assert told.fresh == ("fc_norm.weight", "fc_norm.bias")
    assert not torch.equal(given_by(encoder, images(3)), norm(tokens.mean(dim=1)))
    with pytest.raises(UsageError, match=r"missing: cls_token.*take a ViT without one, such as vit-b-gap"):
        into(VIT, spec, ("R", "G", "B"))


@pytest.mark.parametrize("name", ["vit-b-gap", "vit-l-gap"])
def test_a_vit_without_a_class_token_has_one_pooling_and_a_final_norm(name: str) -> None:
    with torch.device("meta"):
        encoder = backbone(name, DUAL, image_size=224)
        assert list(encoder(torch.empty(1, 2, 224, 224))) == ["mean"]
    names = encoder.net.state_dict()
    assert "norm.weight" in names
    assert "cls_token" not in names


def test_satmae_for_red_green_and_blue_is_adapted(tmp_path: Path) -> None:
    source = vit(3)
    spec = saved(tmp_path, "fmow_pretrain.pth", {"model": source.state_dict()})
    encoder, told = into(VIT, spec)
    assert told.family == "satmae"
    assert told.channels == {"VV": "rgb: repeated × 3/2", "VH": "rgb: repeated × 3/2"}
    x = images(1).repeat(1, 2, 1, 1)
    weight = source.patch_embed.proj.weight
    with torch.no_grad():
        source.patch_embed.proj.weight.copy_(weight[:, [0, 1, 1]] * torch.tensor([1.5, 0.75, 0.75])[:, None, None])
    torch.testing.assert_close(given_by(encoder, x, "cls"), feature(source, x[:, :1].repeat(1, 3, 1, 1)))


def test_satmae_in_groups_of_channels_is_refused_by_name(tmp_path: Path) -> None:
    state = {f"patch_embed.{i}.proj.weight": torch.zeros(2) for i in range(3)} | {"channel_embed": torch.zeros(1, 3, 2)}
    with pytest.raises(UsageError, match="groups of channels"):
        into(VIT, saved(tmp_path, "pretrain-vit-large-e199.pth", {"model": state}))


def test_scale_mae_gets_computed_positions_for_the_run_s_grid(tmp_path: Path) -> None:
    state = {**vit(3, 32).state_dict(), "mask_token_decoder": torch.zeros(1), "fcn_high.0.weight": torch.zeros(1)}
    encoder, told = into(VIT, saved(tmp_path, "renamed.pth", {"model": state}), ("R", "G", "B"), 48, stem="rgb")
    positions = encoder.net.pos_embed[0].detach()
    assert told.resized == {"pos_embed": "computed for (3, 3)"}
    assert not positions[0].any()
    for row in range(3):
        for column in range(3):
            # The published rule, number by number: sines then cosines of the column, then of the row.
            rates = [1 / 10000 ** (i / 48) for i in range(48)]
            expected = [
                function(place * rate) for place in (column, row) for function in (math.sin, math.cos) for rate in rates
            ]
            torch.testing.assert_close(positions[1 + 3 * row + column], torch.tensor(expected))


def test_softcon_s_dinov2_is_loaded_with_its_layer_scales(tmp_path: Path) -> None:
    source = lively(timm.create_model("vit_small_patch14_dinov2", in_chans=2, num_classes=0, img_size=28))
    state = {**source.state_dict(), "mask_token": torch.zeros(1, 384)}
    encoder, _ = into("vit-s14", saved(tmp_path, "B2_vits14_softcon_enc.pth", state), DUAL, 28)
    torch.testing.assert_close(given_by(encoder, images(2, 28), "cls"), feature(source, images(2, 28)))


def test_timm_s_own_names_of_any_network_are_taken(tmp_path: Path) -> None:
    source = lively(timm.create_model("convnext_atto", in_chans=2, num_classes=0))
    encoder, told = into("convnext_atto", saved(tmp_path, "mine.pth", source.state_dict()), stem="VV,VH")
    torch.testing.assert_close(given_by(encoder, images()), feature(source, images()))
    assert told.layout == "timm"


def test_a_checkpoint_of_this_house_brings_its_bands_and_its_normalization(tmp_path: Path) -> None:
    first = backbone(RESNET, ("VH", "VV"), image_size=32)
    lively(first.net)
    model = {f"encoder.{name}": value for name, value in first.state_dict().items()} | {"head.0.weight": torch.ones(1)}
    spec = saved(tmp_path, "best.pt", {"model": model, "channels": ["VH", "VV"], "normalize": "zscore", "epoch": 3})
    encoder, told = into(RESNET, spec, normalize="zscore")
    torch.testing.assert_close(given_by(encoder, images()), given_by(first, images()[:, [1, 0]]))
    assert (told.checkpoint_channels, told.normalize) == (("VH", "VV"), ("zscore",))
    assert told.dropped == ("head.0.weight",)


def test_safetensors_are_read_and_give_the_same(tmp_path: Path) -> None:
    source = vit()
    save_file(source.state_dict(), tmp_path / "B2_vits16_mae_ep99.safetensors")
    encoder, told = into(VIT, str(tmp_path / "B2_vits16_mae_ep99.safetensors"))
    torch.testing.assert_close(given_by(encoder, images(), "cls"), feature(source, images()))
    assert told.part == ""


# What happens between a checkpoint's shapes and an encoder's.


def test_positions_are_interpolated_bicubically_and_the_class_token_s_is_kept(tmp_path: Path) -> None:
    source = vit(2, 64)
    encoder, told = into(VIT, saved(tmp_path, "B2_vits16_mae_ep99.pth", source.state_dict()), DUAL, 96)
    before, after = source.pos_embed.detach(), encoder.net.pos_embed.detach()
    assert told.resized == {"pos_embed": "(1, 17, 192) → (1, 37, 192)"}
    torch.testing.assert_close(after[:, 0], before[:, 0])
    grid = before[:, 1:].reshape(1, 4, 4, 192).permute(0, 3, 1, 2)
    wide = nn.functional.interpolate(grid, size=(6, 6), mode="bicubic", align_corners=False)
    torch.testing.assert_close(after[:, 1:], wide.flatten(2).transpose(1, 2))


def test_fc_norm_starts_afresh_for_the_mean_and_the_final_norm_is_left_out(tmp_path: Path) -> None:
    source = vit()
    spec = saved(tmp_path, "B2_vits16_mae_ep99.pth", source.state_dict())
    encoder, told = into(VIT, spec, pooling="mean")
    assert encoder.settled == "mean"
    assert told.fresh == ("fc_norm.weight", "fc_norm.bias")
    assert told.dropped == ("norm.bias", "norm.weight")
    source.norm = nn.Identity()
    with torch.no_grad():
        tokens = source.forward_features(images())[:, 1:]
    torch.testing.assert_close(
        given_by(encoder, images()), nn.functional.layer_norm(tokens.mean(dim=1), (192,), eps=1e-6)
    )


def test_a_trained_fc_norm_is_loaded_and_only_for_the_mean(tmp_path: Path) -> None:
    source = vit(global_pool="avg")
    assert "norm.weight" not in source.state_dict()
    spec = saved(tmp_path, "B2_vits16_mae_ep99.pth", source.state_dict())
    encoder, told = into(VIT, spec, pooling="mean")
    torch.testing.assert_close(given_by(encoder, images()), feature(source, images()))
    assert told.fresh == ()
    with pytest.raises(UsageError, match=r"missing: norm.bias, norm.weight: .*take `pooling=mean`"):
        into(VIT, spec, pooling="cls")


def test_weights_that_have_only_a_norm_of_the_mean_are_probed_on_the_mean(tmp_path: Path) -> None:
    source = vit(global_pool="avg")
    encoder, told = into(VIT, saved(tmp_path, "B2_vits16_mae_ep99.pth", source.state_dict()), pooling=None)
    assert (encoder.poolings, encoder.settled, told.fresh) == (("mean",), "mean", ())
    torch.testing.assert_close(given_by(encoder, images()), feature(source, images()))


@pytest.mark.parametrize("name", ["convnext_atto", VIT])
def test_an_encoder_of_masks_has_no_last_norm_and_the_error_says_whose_it_is(name: str, tmp_path: Path) -> None:
    source = backbone(name, ("VV", "VH"), image_size=48)
    source.settle("levels")
    with pytest.raises(UsageError, match=r"on masks or boxes, and is for `segment` and `detect`"):
        into(name, saved(tmp_path, "mine.pth", source.net.state_dict()), ("VV", "VH"), 48, pooling=None, stem="VV,VH")


def test_an_encoder_for_feature_maps_leaves_out_what_comes_after_them(tmp_path: Path) -> None:
    source = vit()
    encoder, told = into(VIT, saved(tmp_path, "B2_vits16_mae_ep99.pth", source.state_dict()), pooling="levels")
    assert told.dropped == ("norm.bias", "norm.weight")
    with torch.no_grad():
        expected = source.forward_intermediates(images(), indices=[3, 5, 7, 11], intermediates_only=True)
        torch.testing.assert_close(encoder.levels(images()), expected)


def test_a_missing_encoder_key_is_an_error_that_lists_it(tmp_path: Path) -> None:
    state = vit().state_dict()
    del state["blocks.3.attn.qkv.bias"], state["cls_token"]
    encoder = backbone(VIT, DUAL, image_size=32)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with pytest.raises(UsageError, match=r"missing: blocks\.3\.attn\.qkv\.bias, cls_token"):
        load(encoder, saved(tmp_path, "B2_vits16_mae_ep99.pth", state), pooling=None, normalize=None)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gone=st.sets(st.sampled_from(sorted(resnet().state_dict())), min_size=1, max_size=4))
def test_any_missing_key_but_a_count_of_batches_is_listed(tmp_path: Path, gone: set[str]) -> None:
    state = {name: value for name, value in resnet().state_dict().items() if name not in gone}
    spec = saved(tmp_path, "B2_rn50_decur.pth", state)
    listed = sorted(name for name in gone if not name.endswith("num_batches_tracked"))
    if not listed:
        into(RESNET, spec)
        return
    with pytest.raises(UsageError) as raised:
        into(RESNET, spec)
    assert f"missing: {', '.join(listed)}: " in str(raised.value)


def test_an_unexpected_key_and_a_wrong_shape_are_listed(tmp_path: Path) -> None:
    state = {**vit().state_dict(), "blocks.0.attn.gate": torch.zeros(1), "norm.weight": torch.zeros(5)}
    with pytest.raises(UsageError, match=r"unexpected: blocks\.0\.attn\.gate; of another shape: norm\.weight \(5,\)"):
        into(VIT, saved(tmp_path, "B2_vits16_mae_ep99.pth", state))


def test_another_kind_of_network_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected weights of vit_tiny.*another kind of network") as raised:
        into(VIT, saved(tmp_path, "B2_rn50_moco.pth", resnet().state_dict()))
    assert len(str(raised.value)) < 400


# The first layer.


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(["VV", "VH", "HH", "HV"]), taken=st.integers(1, 4))
def test_bands_are_found_by_name_in_any_order(tmp_path: Path, order: list[str], taken: int) -> None:
    source = resnet(4)
    spec = saved(tmp_path, "own.pth", source.state_dict())
    encoder, told = into(RESNET, spec, order[:taken], stem="VV,VH,HH,HV")
    x = images(taken)
    whole = torch.zeros(2, 4, 32, 32)
    for i, name in enumerate(order[:taken]):
        whole[:, ["VV", "VH", "HH", "HV"].index(name)] = x[:, i]
    torch.testing.assert_close(given_by(encoder, x), feature(source, whole))
    assert list(told.channels) == order[:taken]


def test_a_band_that_the_checkpoint_never_saw_is_an_error_unless_adapted(tmp_path: Path) -> None:
    spec = saved(tmp_path, "B2_rn50_moco.pth", resnet().state_dict())
    with pytest.raises(UsageError, match=r"saw \(VV, VH\), found HH in the run: .*`stem=adapt`"):
        into(RESNET, spec, ("HH",))
    encoder, told = into(RESNET, spec, ("HH",), stem="adapt")
    torch.testing.assert_close(given_by(encoder, images(1)), feature(resnet(), images(1).repeat(1, 2, 1, 1)))
    assert told.channels == {"HH": "all: sum of all"}


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_red_green_and_blue_are_adapted_as_timm_does(tmp_path: Path, count: int) -> None:
    source = resnet(3)
    spec = saved(tmp_path, "rsp-resnet-50-ckpt.pth", {"model": source.state_dict()})
    encoder, _ = into(RESNET, spec, [f"B{i}" for i in range(count)])
    expected = timm.models.adapt_input_conv(count, source.conv1[0].weight.detach())
    torch.testing.assert_close(encoder.net.conv1[0].weight.detach(), expected)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_three_equal_channels_are_summed_and_shared_by_the_bands(tmp_path: Path, count: int) -> None:
    source = resnet(3)
    state = {f"module.{name}": value for name, value in source.state_dict().items()}
    encoder, _ = into(RESNET, saved(tmp_path, "ResNet18_TSX.pth", state), ("VV", "VH", "HH")[:count])
    x = images(1)
    torch.testing.assert_close(given_by(encoder, x.repeat(1, count, 1, 1)), feature(source, x.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize(("channels", "bands"), [(2, DUAL), (3, ("VV", "VH", "VV-VH")), (1, ("HH",))])
def test_unknown_bands_are_asked_for(tmp_path: Path, channels: int, bands: tuple[str, ...]) -> None:
    spec = saved(tmp_path, "own.pth", resnet(channels).state_dict())
    with pytest.raises(UsageError, match=f"takes {channels} channels, and neither its name nor the file says which"):
        into(RESNET, spec, bands)
    encoder, _ = into(RESNET, spec, bands, stem=",".join(bands))
    torch.testing.assert_close(given_by(encoder, images(channels)), feature(resnet(channels), images(channels)))


def test_a_stem_of_another_number_of_bands_is_refused(tmp_path: Path) -> None:
    spec = saved(tmp_path, "own.pth", resnet().state_dict())
    with pytest.raises(UsageError, match="expected the 2 channels"):
        into(RESNET, spec, stem="rgb")


def test_a_known_name_with_other_channels_is_not_believed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes 13 channels, and neither its name"):
        into(RESNET, saved(tmp_path, "B2_rn50_moco.pth", resnet(13).state_dict()))


# What is said of it.


@pytest.mark.parametrize(
    ("file", "normalize", "warned"),
    [
        ("B2_vits16_fgmae_ep99.pth", "fgmae-uint8", False),
        ("B2_vits16_fgmae_ep99.pth", "zscore", True),
        ("B2_vits16_mae_ep99.pth", None, True),
        ("B2_vits16_dino_ep99.pth", "zscore", False),
    ],
)
def test_a_normalization_that_the_weights_do_not_expect_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, normalize: str | None, warned: bool
) -> None:
    with caplog.at_level(logging.WARNING, "sar_data.train"):
        into(VIT, saved(tmp_path, file, vit().state_dict()), normalize=normalize)
    assert [record.name for record in caplog.records] == ["sar_data.train"] * warned
    assert all("expect images normalized by fgmae-uint8" in record.message for record in caplog.records)


def test_weights_of_images_in_db_warn_of_a_build_in_other_units(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = saved(tmp_path, "B2_vits16_dino_ep99.pth", vit().state_dict())
    into(VIT, spec, normalize="zscore", units=["dB", "dB"])
    assert not caplog.records
    into(VIT, spec, normalize="zscore", units=["power", "amplitude"])
    (record,) = caplog.records
    assert "expect images in dB, this build's are in amplitude and power" in record.message
    into(RESNET, saved(tmp_path, "rsp-resnet-50-ckpt.pth", resnet(3).state_dict()), normalize="zscore", units=["8-bit"])
    assert caplog.records == [record]


def test_optical_weights_expect_no_normalization_of_sar(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, told = into(RESNET, saved(tmp_path, "rsp-resnet-50-ckpt.pth", resnet(3).state_dict()), normalize="zscore")
    assert not caplog.records
    assert told.normalize == ()


def test_the_provenance_is_plain_and_names_the_very_bytes(tmp_path: Path) -> None:
    spec = saved(tmp_path, "B2_vits16_fgmae_ep99.pth", {"model": vit().state_dict()})
    _, told = into(VIT, spec, ("VH", "VV"))
    plain = json.loads(json.dumps(told.to_json()))
    assert plain["file"] == "B2_vits16_fgmae_ep99.pth"
    assert len(plain["sha256"]) == 64
    assert plain["channels"] == {"VH": "VH (1)", "VV": "VV (0)"}
    assert plain["figures"] == {"VV": [-12.59, 5.26], "VH": [-20.26, 5.91]}
    assert isinstance(told, Provenance)
    (tmp_path / "B2_vits16_fgmae_ep99.pth").write_bytes((tmp_path / "B2_vits16_fgmae_ep99.pth").read_bytes() + b" ")
    _, again = into(VIT, spec, ("VH", "VV"))
    assert again.sha256 != told.sha256
