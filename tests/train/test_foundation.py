"""Foundation models: files with their publishers' names give what networks written here from their equations give."""

from __future__ import annotations

import logging
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from sar_data.errors import UsageError
from sar_data.train.families import families
from sar_data.train.models import CHANGES, backbone
from sar_data.train.models.encoder import Backbone
from sar_data.train.weights import load
from sar_data.train.weights.foundation import croma, of_product, terramind
from tests.train.test_weights import feature, given_by, images, into, lively, resnet, saved

WIDTH, HEADS, DEPTH, PATCH, SIDE = 24, 2, 4, 4, 16
State = dict[str, Tensor]


def small(name: str, channels: tuple[str, ...] = ("VV", "VH"), **options: Any) -> Backbone:
    """Make the encoder of a family with few parameters."""
    plain = {"class_token": False, "global_pool": "avg", "fc_norm": False}
    torch.manual_seed(0)
    net: Any = VisionTransformer(
        img_size=SIDE, patch_size=PATCH, in_chans=len(channels), num_classes=0, embed_dim=WIDTH, depth=DEPTH,
        num_heads=HEADS, **(plain | options),
    )  # fmt: skip
    net.pretrained_cfg = {"first_conv": "patch_embed.proj"}
    CHANGES.get(name, lambda _net: None)(net)
    return Backbone(net, name, channels, SIDE).eval()


def numbers(shapes: dict[str, tuple[int, ...]]) -> State:
    draw = torch.Generator().manual_seed(3)
    return {
        name: torch.randn(shape, generator=draw) / math.sqrt(shape[-1] if shape else 1)
        for name, shape in shapes.items()
    }


def linear(state: State, name: str, values: Tensor) -> Tensor:
    return F.linear(values, state[f"{name}.weight"], state.get(f"{name}.bias"))


def norm(state: State, name: str, tokens: Tensor, eps: float) -> Tensor:
    return F.layer_norm(tokens, tokens.shape[-1:], state[f"{name}.weight"], state.get(f"{name}.bias"), eps)


def attended(qkv: Tensor, heads: int, bias: Tensor | float = 0.0) -> Tensor:
    """Attend with queries, keys and values side by side, each of them head by head."""
    batch, count, _ = qkv.shape
    query, key, value = (part.reshape(batch, count, heads, -1).transpose(1, 2) for part in qkv.chunk(3, dim=-1))
    scores = query @ key.mT / math.sqrt(query.shape[-1]) + bias
    return (scores.softmax(-1) @ value).transpose(1, 2).reshape(batch, count, -1)


def patches(image: Tensor) -> list[Tensor]:
    """Cut images into patches [B, C, 4, 4], row by row."""
    return [part for row in image.split(PATCH, dim=2) for part in row.split(PATCH, dim=3)]


def image(channels: int = 2) -> Tensor:
    return torch.randn(2, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(7))


# TerraMind


def terramind_shapes(width: int, depth: int, pixels: int, tokens: int, *, gated: bool) -> dict[str, tuple[int, ...]]:
    inner = int(2 * 4 * width / 3) if gated else 4 * width
    found: dict[str, tuple[int, ...]] = {"encoder_norm.weight": (width,)}
    for product in ("sen1grd", "sen1rtc", "sen2l2a"):
        home = f"encoder_embeddings.untok_{product}@224"
        found |= {
            f"{home}.proj.weight": (width, pixels),
            f"{home}.mod_emb": (1, 1, width),
            f"{home}.pos_emb": (1, tokens, width),
        }
    for i in range(depth):
        home = f"encoder.{i}"
        found |= {f"{home}.norm1.weight": (width,), f"{home}.norm2.weight": (width,)}
        layers = {
            "attn.qkv": (3 * width, width),
            "attn.proj": (width, width),
            "mlp.fc1": (inner, width),
            "mlp.fc2": (width, inner),
        }
        if gated:
            layers["mlp.fc3"] = (inner, width)
        for name, shape in layers.items():
            found[f"{home}.{name}.weight"] = shape
            if not gated:
                found[f"{home}.{name}.bias"] = shape[:1]
    found |= {"decoder.0.norm1.weight": (width,), "decoder_embeddings.tok_dem@224.to_logits.weight": (3, width)}
    return found


def terramind_of(state: State, product: str, pictures: Tensor) -> Tensor:
    home = f"encoder_embeddings.untok_{product}@224"
    flat = torch.stack([part.permute(0, 2, 3, 1).flatten(1) for part in patches(pictures)], dim=1)
    tokens = linear(state, f"{home}.proj", flat) + state[f"{home}.pos_emb"] + state[f"{home}.mod_emb"]
    for i in range(DEPTH):
        one = f"encoder.{i}"
        qkv = linear(state, f"{one}.attn.qkv", norm(state, f"{one}.norm1", tokens, 1e-6))
        tokens = tokens + linear(state, f"{one}.attn.proj", attended(qkv, HEADS))
        seen = norm(state, f"{one}.norm2", tokens, 1e-6)
        inner = linear(state, f"{one}.mlp.fc1", seen)
        gated = f"{one}.mlp.fc3.weight" in state
        inner = F.silu(inner) * linear(state, f"{one}.mlp.fc3", seen) if gated else F.gelu(inner)
        tokens = tokens + linear(state, f"{one}.mlp.fc2", inner)
    return norm(state, "encoder_norm", tokens, 1e-6)


@pytest.mark.parametrize(("model", "gated"), [("terramind-b", True), ("terramind-t", False)])
@pytest.mark.parametrize("product", ["sen1grd", "sen1rtc"])
def test_terramind_answers_as_its_equations_do(tmp_path: Path, model: str, gated: bool, product: str) -> None:
    state = numbers(terramind_shapes(WIDTH, DEPTH, 2 * PATCH**2, (SIDE // PATCH) ** 2, gated=gated))
    spec = saved(tmp_path, "TerraMind_v1_base.pt", state)
    encoder = small(model, **({"qkv_bias": False, "proj_bias": False} if gated else {}))
    told = load(encoder, spec, pooling=None, normalize="terramind-s1grd", stem=product.replace("sen", "s"))
    torch.testing.assert_close(given_by(encoder, image()), terramind_of(state, product, image()).mean(1))
    assert (told.family, told.checkpoint_channels, told.licence) == ("terramind", ("VV", "VH"), "Apache-2.0")
    turned = small(model, ("VH", "VV"), **({"qkv_bias": False, "proj_bias": False} if gated else {}))
    load(turned, spec, pooling=None, normalize="terramind-s1grd", stem=product.replace("sen", "s"))
    torch.testing.assert_close(given_by(turned, image().flip(1)), given_by(encoder, image()))


def test_terramind_asks_which_product_is_embedded_and_says_what_is_missing(tmp_path: Path) -> None:
    state = numbers(terramind_shapes(WIDTH, DEPTH, 2 * PATCH**2, (SIDE // PATCH) ** 2, gated=False))
    spec = saved(tmp_path, "TerraMind_v1_tiny.pt", state)
    with pytest.raises(UsageError, match=r"expected `stem=s1grd` or `stem=s1rtc`, by the calibration.*found none"):
        load(small("terramind-t"), spec, pooling=None, normalize=None)
    del state["encoder_embeddings.untok_sen1grd@224.mod_emb"], state["encoder.2.attn.qkv.weight"]
    spec = saved(tmp_path, "TerraMind_v1_tiny.pt", state)
    with pytest.raises(UsageError, match="found no mod_emb of it"):
        load(small("terramind-t"), spec, pooling=None, normalize=None, stem="s1grd")
    with pytest.raises(UsageError, match=r"missing: blocks\.2\.attn\.qkv\.weight"):
        load(small("terramind-t"), spec, pooling=None, normalize=None, stem="s1rtc")


# CROMA


def croma_shapes(width: int, depth: int, pixels: int) -> dict[str, tuple[int, ...]]:
    found = {"linear_input.weight": (width, pixels), "linear_input.bias": (width,)}
    sizes: dict[str, tuple[int, ...]] = {"transformer.norm_out": (width,)}
    for i in range(depth):
        home = f"transformer.layers.{i}"
        sizes |= {
            f"{home}.0.input_norm": (width,),
            f"{home}.0.to_out": (width, width),
            f"{home}.1.input_norm": (width,),
        }
        sizes |= {f"{home}.1.net.0": (4 * width, width), f"{home}.1.net.3": (width, 4 * width)}
        found[f"{home}.0.to_qkv.weight"] = (3 * width, width)
    return found | {f"{n}.weight": s for n, s in sizes.items()} | {f"{n}.bias": s[:1] for n, s in sizes.items()}


def croma_of(state: State, pictures: Tensor) -> Tensor:
    tokens = linear(state, "linear_input", torch.stack([part.flatten(1) for part in patches(pictures)], dim=1))
    side = SIDE // PATCH
    bias = torch.zeros(HEADS, side**2, side**2)
    for i in range(side**2):
        for j in range(side**2):
            apart = math.dist((i // side, i % side), (j // side, j % side))
            bias[:, i, j] = -apart * torch.tensor([2**-4, 2**-8])  # the slopes of ALiBi for two heads
    for i in range(DEPTH):
        one, two = f"transformer.layers.{i}.0", f"transformer.layers.{i}.1"
        qkv = linear(state, f"{one}.to_qkv", norm(state, f"{one}.input_norm", tokens, 1e-5))
        tokens = tokens + linear(state, f"{one}.to_out", attended(qkv, HEADS, bias))
        inner = F.gelu(linear(state, f"{two}.net.0", norm(state, f"{two}.input_norm", tokens, 1e-5)))
        tokens = tokens + linear(state, f"{two}.net.3", inner)
    return norm(state, "transformer.norm_out", tokens, 1e-5)


@pytest.mark.parametrize("flat", [False, True])
def test_croma_answers_as_its_equations_do(tmp_path: Path, flat: bool) -> None:
    state = numbers(croma_shapes(WIDTH, DEPTH, 2 * PATCH**2))
    others = {"s1_GAP_FFN": {"0.weight": torch.zeros(2)}, "s2_encoder": {"linear_input.bias": torch.zeros(2)}}
    content = (
        {f"s1_encoder.{name}": value for name, value in state.items()} if flat else {"s1_encoder": state, **others}
    )
    spec = saved(tmp_path, "CROMA_base.pt", content)
    encoder = small("croma-b", pos_embed="none", qkv_bias=False)
    told = load(encoder, spec, pooling=None, normalize="fgmae-uint8")
    torch.testing.assert_close(given_by(encoder, image()), croma_of(state, image()).mean(1))
    assert (told.family, told.layout, told.licence, told.fresh) == ("croma", "croma", "MIT", ())
    with pytest.raises(UsageError, match=r"expected `model=croma-b or croma-l`, found vit_tiny_patch16_224"):
        into("vit_tiny_patch16_224", spec)


# DOFA


def dofa_state(dim: int = 32) -> tuple[State, nn.TransformerEncoder]:
    torch.manual_seed(5)
    layer = nn.TransformerEncoderLayer(dim, 4, 64, activation="gelu", dropout=0.0)
    encoder = lively(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False))
    sizes = {
        "weight_generator.fc_weight": (PATCH**2 * WIDTH, dim), "weight_generator.fc_bias": (WIDTH, dim),
        "fclayer.w1": (dim, dim), "fclayer.w2": (dim, dim),
    }  # fmt: skip
    shapes = {f"{n}.weight": s for n, s in sizes.items()} | {f"{n}.bias": s[:1] for n, s in sizes.items()}
    shapes |= {"weight_generator.weight_tokens": (128, dim), "weight_generator.bias_token": (1, dim)}
    state = numbers(shapes)
    state["weight_generator.fc_weight.weight"] *= 20
    inside = {f"weight_generator.transformer_encoder.{name}": value for name, value in encoder.state_dict().items()}
    return {f"patch_embed.{name}": value for name, value in (state | inside).items()}, encoder


@torch.no_grad()
def dofa_tokens(state: State, generator: nn.TransformerEncoder, pictures: Tensor) -> Tensor:
    dim, count = 32, pictures.shape[1]
    angles = torch.tensor([5405 / 10000 ** (i / (dim / 2)) for i in range(dim // 2)])
    waves = torch.cat([angles.sin(), angles.cos()]).expand(count, dim)
    waves = (
        waves + linear(state, "patch_embed.fclayer.w2", linear(state, "patch_embed.fclayer.w1", waves).relu()).relu()
    )
    home = "patch_embed.weight_generator"
    seen = generator(torch.cat([state[f"{home}.weight_tokens"], waves, state[f"{home}.bias_token"]]))
    kernels = linear(state, f"{home}.fc_weight", seen[128:-1] + waves).view(count, PATCH, PATCH, WIDTH) / 100
    bias = linear(state, f"{home}.fc_bias", seen[-1]) / 100
    maps = F.conv2d(pictures, kernels.permute(3, 0, 1, 2), bias, stride=PATCH, padding=1)
    return maps.flatten(2).transpose(1, 2)


@torch.no_grad()
def vit_of(state: State, tokens: Tensor, heads: int, depth: int) -> Tensor:
    """Return the tokens of a plain ViT with a class token, before the final norm."""
    tokens = torch.cat([state["cls_token"].expand(len(tokens), -1, -1), tokens], dim=1) + state["pos_embed"]
    for i in range(depth):
        one = f"blocks.{i}"
        qkv = linear(state, f"{one}.attn.qkv", norm(state, f"{one}.norm1", tokens, 1e-6))
        tokens = tokens + linear(state, f"{one}.attn.proj", attended(qkv, heads))
        inner = F.gelu(linear(state, f"{one}.mlp.fc1", norm(state, f"{one}.norm2", tokens, 1e-6)))
        tokens = tokens + linear(state, f"{one}.mlp.fc2", inner)
    return tokens


@pytest.mark.parametrize("bands", [("VV", "VH"), ("HH",)])
@pytest.mark.parametrize("final", [True, False])
def test_dofa_answers_as_its_equations_do(tmp_path: Path, bands: tuple[str, ...], final: bool) -> None:
    encoder = small("dofa-b", bands, class_token=True, global_pool="token", fc_norm=None)
    body = {n: v for n, v in lively(encoder.net, 1).state_dict().items() if not n.startswith("patch_embed")}
    if not final:  # as torchgeo publishes it
        body = {name: value for name, value in body.items() if not name.startswith("norm.")}
    embedding, generator = dofa_state()
    extra = {
        "mask_token": torch.zeros(1, 1, 2),
        "projector.weight": torch.zeros(2, 2),
        "decoder_blocks.0.x": torch.zeros(2),
    }
    spec = saved(tmp_path, "DOFA_ViT_base_e100.pth", {**body, **embedding, **extra})
    fresh = small("dofa-b", bands, class_token=True, global_pool="token", fc_norm=None)
    told = load(fresh, spec, pooling=None, normalize="minmax")
    tokens = vit_of(body, dofa_tokens(embedding, generator, image(len(bands))), HEADS, DEPTH)
    expected = (
        norm(body, "norm", tokens, 1e-6)[:, 1:].mean(1)
        if final
        else F.layer_norm(tokens[:, 1:].mean(1), (WIDTH,), eps=1e-6)
    )
    torch.testing.assert_close(given_by(fresh, image(len(bands))), expected, rtol=1e-4, atol=1e-5)
    assert told.checkpoint_channels == bands
    assert told.fresh == (() if final else ("fc_norm.weight", "fc_norm.bias"))


# Files that are timm's or torchvision's but for what lies around them.


def test_sarmae_gives_its_encoder_of_sar_alone_and_allows_no_commerce(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = small("plain", ("a", "b", "c"), class_token=True, global_pool="token", fc_norm=None)
    state = {name: value.clone() for name, value in lively(source.net, 2).state_dict().items()}
    model = {f"sar_encoder.{name}": value for name, value in state.items()}
    model |= {"sar_encoder.decoder_pred.weight": torch.zeros(2), "optical_encoder.cls_token": torch.zeros(2)}
    spec = saved(tmp_path, "SARMAE_vitb_checkpoint-last", {"model": model, "epoch": 299})
    encoder = small("plain", ("HH",), class_token=True, global_pool="token", fc_norm=None)
    with caplog.at_level(logging.WARNING):
        told = load(encoder, spec, pooling=None, normalize="minmax")
    grey = image(1)
    patched = F.conv2d(
        grey.expand(-1, 3, -1, -1), state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], PATCH
    )
    tokens = vit_of(state, patched.flatten(2).transpose(1, 2), HEADS, DEPTH)
    torch.testing.assert_close(
        given_by(encoder, grey, "cls"), norm(state, "norm", tokens, 1e-6)[:, 0], rtol=1e-4, atol=1e-5
    )
    assert told.family == "sarmae"
    assert "allows no commercial use" in caplog.text


@pytest.mark.parametrize(
    ("name", "wrapped", "family"),
    [
        ("moco_tp.pth.tar", "module.encoder_q.", "geoaware"),
        ("geoaware_resnet50_convert.pth", "backbone.", "geoaware"),
        ("CMID_ResNet50_bk_200ep.pth", "", "cmid"),
        ("CMID_ResNet50_bk_200ep_convert.pth", "backbone.", "cmid"),
    ],
)
def test_converted_and_original_names_of_optical_resnets_load(
    tmp_path: Path, name: str, wrapped: str, family: str
) -> None:
    source = resnet(3)
    state = {f"{wrapped}{key}": value for key, value in source.state_dict().items()}
    if wrapped.startswith("module."):
        state |= {"module.encoder_k.conv1.weight": torch.zeros(2), "module.queue": torch.zeros(2)}
        state |= {"module.encoder_q.fc.0.weight": torch.zeros(2)}
    encoder, told = into("test_resnet", saved(tmp_path, name, {"state_dict": state}), ("R", "G", "B"))
    torch.testing.assert_close(given_by(encoder, images(3)), feature(source, images(3)))
    assert (told.family, told.licence) == (family, "unknown")


def test_version_1_1_of_ssl4eo_knows_its_bands(tmp_path: Path) -> None:
    source = small("plain", class_token=True, global_pool="token", fc_norm=None)
    lively(source.net, 4)
    spec = saved(tmp_path, "ssl4eo_s12_v1.1_vits16_mae_s1grd.pth", {"model": source.net.state_dict()})
    encoder = small("plain", ("VH", "VV"), class_token=True, global_pool="token", fc_norm=None)
    told = load(encoder, spec, pooling=None, normalize="zscore")
    torch.testing.assert_close(given_by(encoder, image().flip(1), "cls"), given_by(source, image(), "cls"))
    assert told.checkpoint_channels == ("VV", "VH")


# What is published, and what does not load.


@pytest.mark.parametrize("name", ["terramind-t", "terramind-s", "terramind-b", "terramind-l", "croma-b", "croma-l"])
def test_every_size_has_the_names_and_shapes_of_its_file(name: str) -> None:
    width, depth = {"t": (192, 12), "s": (384, 12), "b": (768, 12), "l": (1024, 24)}[name[-1]]
    with torch.device("meta"):
        net = backbone(name, ("VV", "VH"), image_size=224).net
        own = {key: tuple(value.shape) for key, value in net.state_dict().items()}
        if name.startswith("croma"):
            found = croma({k: torch.empty(s) for k, s in croma_shapes(width, depth // 2, 128).items()}, net)
        else:
            sizes = terramind_shapes(width, depth, 512, 196, gated=name[-1] in "bl")
            found = terramind(of_product({k: torch.empty(s) for k, s in sizes.items()}, "s1grd"), net)
    assert {key: tuple(value.shape) for key, value in found.items()} == own


def test_families_that_do_not_load_say_why_before_a_byte_is_read(tmp_path: Path) -> None:
    for name, file in {
        "saratr-x": "SARATR-X.pth",
        "olmoearth": "OlmoEarth-v1-Base.pth",
        "internimage": "last_internimage_xl_mtp.pth",
    }.items():
        path = tmp_path / file
        path.write_bytes(b"nothing that is read")
        with pytest.raises(UsageError, match=f"weights of {name} do not load: {re.escape(families()[name].why)}"):
            load(small("plain"), str(path), pooling=None, normalize=None)


def test_a_file_that_is_not_the_published_one_of_its_name_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = small("plain", class_token=True, global_pool="token", fc_norm=None)
    spec = saved(tmp_path, "B2_vitb16_mae_ep99.pth", {"model": source.net.state_dict()})
    with caplog.at_level(logging.WARNING):
        load(source, spec, pooling=None, normalize="fgmae-uint8")
    assert "expected the published file of this name (sha256 400fc36b" in caplog.text
