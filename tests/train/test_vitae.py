"""ViTAEv2-S: RSP's keys and sizes, and the answers of its equations, which are written here once more."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sar_data.errors import UsageError
from sar_data.train.models import backbone
from sar_data.train.segment.decoders import segmenter
from sar_data.train.weights import load

# Each stage of the published network: channels of PRM and PCM, of tokens, stride, dilations, heads of RC and NC, groups
# of RC and NC, normal cells.
STAGES = [
    (64, 64, 4, (1, 2, 3, 4), (1, 1), (1, 1), 2),
    (64, 128, 2, (1, 2, 3), (1, 2), (16, 32), 2),
    (128, 256, 2, (1, 2), (2, 4), (32, 64), 8),
    (256, 512, 2, (1, 2), (4, 8), (64, 128), 2),
]
State = dict[str, Tensor]


def shapes(channels: int = 3, classes: int = 51) -> dict[str, tuple[int, ...]]:
    """List the names and shapes of RSP's checkpoint, from the published sizes."""
    found: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *shape: int, bias: bool = True) -> None:
        found[f"{name}.weight"] = shape
        if bias:
            found[f"{name}.bias"] = shape[:1]

    def convolutions(name: str, widths: tuple[int, ...], groups: int) -> None:
        for place, (inputs, outputs) in zip((0, 3, 6), pairwise(widths), strict=True):
            layer(f"{name}.{place}", outputs, inputs // groups, 3, 3)
            if place < 6:
                layer(f"{name}.{place + 1}", outputs)
                for leaf, shape in (
                    ("running_mean", (outputs,)),
                    ("running_var", (outputs,)),
                    ("num_batches_tracked", ()),
                ):
                    found[f"{name}.{place + 1}.{leaf}"] = shape

    def attention(name: str, inputs: int, width: int, heads: int, *, windowed: bool, bias: bool) -> None:
        layer(f"{name}.qkv", 3 * width, inputs, bias=bias)
        layer(f"{name}.proj", width, width)
        if windowed:
            found[f"{name}.relative_position_bias_table"] = (169, heads)
            found[f"{name}.relative_position_index"] = (49, 49)

    for i, (embed, width, _, dilations, heads, groups, cells) in enumerate(STAGES):
        side, windowed = (7 if i == 0 else 3), i < 2
        for d in range(len(dilations)):
            layer(f"layers.{i}.RC.PRM.convs.{d}.0", embed, channels, side, side)
        convolutions(f"layers.{i}.RC.PCM", (channels, embed, embed, width), groups[0])
        home, seen = f"layers.{i}.RC.attn", embed * len(dilations)
        layer(f"{home}.norm1", seen)
        attention(f"{home}.attn", seen, width, heads[0], windowed=windowed, bias=windowed)
        layer(f"{home}.norm2", width)
        for one in ("fc1", "fc2"):
            layer(f"{home}.mlp.{one}", width, width)
        for j in range(cells):
            home = f"layers.{i}.NC.{j}"
            layer(f"{home}.norm1", width)
            layer(f"{home}.norm2", width)
            attention(f"{home}.attn", width, width, heads[1], windowed=windowed, bias=True)
            layer(f"{home}.mlp.fc1", 4 * width, width)
            layer(f"{home}.mlp.fc2", width, 4 * width)
            convolutions(f"{home}.PCM", (width, 4 * width, width, width), groups[1])
        channels = width
    layer("head", classes, width)
    return found


def numbers(named: dict[str, tuple[int, ...]]) -> State:
    draw, found = torch.Generator().manual_seed(5), State()
    for name, shape in named.items():
        if name.endswith(("index", "tracked")):
            found[name] = torch.zeros(shape, dtype=torch.int64)
        elif len(shape) == 1:
            found[name] = torch.rand(shape, generator=draw) + 0.5
        else:
            found[name] = torch.randn(shape, generator=draw) / math.sqrt(math.prod(shape[1:]))
    return found


def attended(state: State, home: str, tokens: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Return what tokens [B, N, C] give, and their values, with the table's biases where there is one."""
    batch, count, _ = tokens.shape
    qkv = F.linear(tokens, state[f"{home}.qkv.weight"], state.get(f"{home}.qkv.bias"))
    query, key, value = qkv.reshape(batch, count, 3, heads, -1).permute(2, 0, 3, 1, 4)
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    if (table := state.get(f"{home}.relative_position_bias_table")) is not None:
        rows, columns = torch.arange(49) // 7, torch.arange(49) % 7
        index = (rows[:, None] - rows + 6) * 13 + columns[:, None] - columns + 6
        scores = scores + table[index].permute(2, 0, 1)
    seen = (scores.softmax(-1) @ value).transpose(1, 2).reshape(batch, count, -1)
    found = F.linear(seen, state[f"{home}.proj.weight"], state[f"{home}.proj.bias"])
    return found, value.transpose(1, 2).reshape(batch, count, -1)


def everywhere(state: State, home: str, maps: Tensor, heads: int) -> tuple[Tensor, Tensor | None]:
    """Attend on maps [B, H, W, C], in windows where the attention has a table."""
    batch, height, width, _ = maps.shape
    if f"{home}.relative_position_bias_table" not in state:
        found, values = attended(state, home, maps.reshape(batch, height * width, -1), heads)
        return found.reshape(batch, height, width, -1), values.reshape(batch, height, width, -1)
    padded = F.pad(maps, (0, 0, 0, -width % 7, 0, -height % 7))
    rows = []
    for top in range(0, height, 7):
        windows = [padded[:, top : top + 7, left : left + 7] for left in range(0, width, 7)]
        seen = [
            attended(state, home, part.reshape(batch, 49, -1), heads)[0].reshape(batch, 7, 7, -1) for part in windows
        ]
        rows.append(torch.cat(seen, dim=2))
    return torch.cat(rows, dim=1)[:, :height, :width], None


def norm(state: State, home: str, tokens: Tensor, eps: float) -> Tensor:
    return F.layer_norm(tokens, tokens.shape[-1:], state[f"{home}.weight"], state[f"{home}.bias"], eps)


def mlp(state: State, home: str, tokens: Tensor) -> Tensor:
    inner = F.gelu(F.linear(tokens, state[f"{home}.fc1.weight"], state[f"{home}.fc1.bias"]))
    return F.linear(inner, state[f"{home}.fc2.weight"], state[f"{home}.fc2.bias"])


def convolved(state: State, home: str, maps: Tensor, strides: tuple[int, ...], groups: int) -> Tensor:
    for place, stride in zip((0, 3, 6), strides, strict=True):
        weight, bias = state[f"{home}.{place}.weight"], state[f"{home}.{place}.bias"]
        maps = F.conv2d(maps, weight, bias, stride, 1, groups=groups)
        if place < 6:
            own = f"{home}.{place + 1}"
            mean, variance = state[f"{own}.running_mean"], state[f"{own}.running_var"]
            maps = F.silu(F.batch_norm(maps, mean, variance, state[f"{own}.weight"], state[f"{own}.bias"]))
    return maps.permute(0, 2, 3, 1)


@torch.no_grad()
def maps_of(state: State, images: Tensor) -> list[Tensor]:
    found, maps = [], images
    for i, (_, _, stride, dilations, heads, groups, cells) in enumerate(STAGES):
        side, home = (7 if i == 0 else 3), f"layers.{i}.RC"
        parts = []
        for d, dilation in enumerate(dilations):
            padding = math.ceil(((side - 1) * dilation + 1 - stride) / 2)
            conv = f"{home}.PRM.convs.{d}.0"
            parts.append(
                F.gelu(F.conv2d(maps, state[f"{conv}.weight"], state[f"{conv}.bias"], stride, padding, dilation))
            )
        dilated = torch.cat(parts, dim=1).permute(0, 2, 3, 1)
        seen, values = everywhere(
            state, f"{home}.attn.attn", norm(state, f"{home}.attn.norm1", dilated, 1e-5), heads[0]
        )
        tokens = seen if values is None else seen + values
        tokens = tokens + convolved(state, f"{home}.PCM", maps, (2, 2, 1) if stride == 4 else (2, 1, 1), groups[0])
        tokens = tokens + mlp(state, f"{home}.attn.mlp", norm(state, f"{home}.attn.norm2", tokens, 1e-5))
        for j in range(cells):
            home = f"layers.{i}.NC.{j}"
            beside = convolved(state, f"{home}.PCM", tokens.permute(0, 3, 1, 2), (1, 1, 1), groups[1])
            seen, _ = everywhere(state, f"{home}.attn", norm(state, f"{home}.norm1", tokens, 1e-6), heads[1])
            tokens = tokens + seen + beside
            tokens = tokens + mlp(state, f"{home}.mlp", norm(state, f"{home}.norm2", tokens, 1e-6))
        maps = tokens.permute(0, 3, 1, 2)
        found.append(maps)
    return found


@pytest.fixture(scope="module")
def state() -> State:
    return numbers(shapes())


@pytest.fixture(scope="module")
def published(state: State, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("rsp") / "rsp-vitaev2-s-ckpt.pth"
    torch.save({"model": {f"module.{name}": value for name, value in state.items()}, "epoch": 100}, path)
    return str(path)


def test_names_and_sizes_are_those_of_rsp(state: State) -> None:
    counted = {name: value.numel() for name, value in state.items() if not name.endswith(("index", "tracked"))}
    counted = {name: size for name, size in counted.items() if "running" not in name}
    assert (len(state), sum(counted.values())) == (538, 18_870_203)
    with torch.device("meta"):
        own = backbone("vitaev2-s", ("R", "G", "B"), image_size=224).net
    extra = {name for name in state if name.endswith("relative_position_index")} | {"head.weight", "head.bias"}
    assert {name: tuple(value.shape) for name, value in own.state_dict().items()} == {
        name: tuple(value.shape) for name, value in state.items() if name not in extra
    }
    parts = [sum(p.numel() for p in stage.parameters()) for stage in own.layers]
    assert parts == [942_331, 729_229, 7_724_032, 9_448_448]


def test_a_file_of_rsp_gives_the_answers_of_its_equations(state: State, published: str) -> None:
    encoder = backbone("vitaev2-s", ("R", "G", "B"), image_size=96).eval()
    told = load(encoder, published, pooling=None, normalize=None)
    images = torch.randn(1, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    expected = maps_of(state, images)
    with torch.no_grad():
        found, mean = encoder.levels(images), encoder(images)["mean"]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(mean, expected[-1].mean((2, 3)), rtol=1e-3, atol=1e-4)
    assert (told.family, told.layout, told.fresh) == ("rsp", "vitaev2", ())
    assert len(told.dropped) == 8


def test_bands_of_a_run_go_into_every_convolution_that_sees_them(state: State, published: str) -> None:
    encoder = backbone("vitaev2-s", ("VV",), image_size=32).eval()
    load(encoder, published, pooling="levels", normalize=None)
    image = torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        found = encoder.levels(image)
    torch.testing.assert_close(found[-1], maps_of(state, image.repeat(1, 3, 1, 1))[-1], rtol=1e-3, atol=1e-4)


def test_upernet_on_vitaev2_trains_every_parameter_at_any_size() -> None:
    encoder: Any = backbone("vitaev2-s", ("VV", "VH"), image_size=40, drop_path=0.3)
    model = segmenter(encoder, 3, head="upernet", channels=16)
    (logits,) = model(torch.randn(2, 2, 40, 40))
    assert logits.shape == (2, 3, 40, 40)
    encoder.eval()  # drops nothing
    (logits,) = model(torch.randn(2, 2, 40, 40))
    logits.square().mean().backward()
    assert not [name for name, value in model.named_parameters() if value.grad is None]
    assert sorted(map(id, encoder.parameters())) == sorted(id(p) for group in encoder.layers() for p in group)
    assert len(encoder.layers()) == 1 + 3 + 14 + 1  # the stem, reduction cells, normal cells, and nothing behind them


def test_weights_of_another_network_end_in_a_sentence(published: str) -> None:
    with pytest.raises(UsageError, match="expected `model=vitaev2-s`, found resnet18"):
        load(backbone("resnet18", ("VV",), image_size=32), published, pooling=None, normalize=None)
