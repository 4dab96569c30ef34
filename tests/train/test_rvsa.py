"""RVSA: the dossier's sizes and names, plain windows where nothing is sampled, and the windows that its paper means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import Attention, VisionTransformer
from torch import Tensor, nn

from sar_data.train.models import backbone
from sar_data.train.models.encoder import Backbone
from sar_data.train.models.rvsa import RotatedWindows, rotate_windows
from sar_data.train.weights import load
from tests.train.test_weights import lively

DIM, HEADS = 8, 2


def small(side: int, seed: int = 0) -> Backbone:
    """Make RVSA with eight blocks, every second of which attends to the whole map."""
    torch.manual_seed(seed)
    net: Any = VisionTransformer(
        img_size=side, patch_size=4, embed_dim=DIM, depth=8, num_heads=HEADS, num_classes=0, class_token=False,
        global_pool="avg", fc_norm=False,
    )  # fmt: skip
    net.pretrained_cfg = {"first_conv": "patch_embed.proj"}
    rotate_windows(net)
    return Backbone(net, "small-rvsa", ("R", "G", "B"), side)


def windows(grid: tuple[int, int]) -> Any:
    return lively(RotatedWindows(Attention(DIM, num_heads=HEADS, qkv_bias=True), grid))


@torch.no_grad()
def attended(net: Any, tokens: Tensor) -> Tensor:
    """Compute RVSA a window, a head and a pixel at a time, with bilinear values of its own; tokens are [h·w, dim]."""
    (height, width), size = net.grid, DIM // HEADS
    top, left = (-height % 7) // 2, (-width % 7) // 2
    tall, wide = height + -height % 7, width + -width % 7
    canvas = torch.zeros(tall, wide, DIM)
    canvas[top : top + height, left : left + width] = tokens.reshape(height, width, DIM)
    qkv = torch.zeros(tall, wide, 3 * DIM)
    qkv[top : top + height, left : left + width] = net.qkv(tokens).reshape(height, width, 3 * DIM)
    found = torch.zeros(tall, wide, DIM)

    def value(part: int, head: int, x: float, y: float) -> Tensor:
        total = torch.zeros(size)
        for row in (int(y // 1), int(y // 1) + 1):
            for column in (int(x // 1), int(x // 1) + 1):
                if 0 <= row < tall and 0 <= column < wide:
                    at = qkv[row, column, part * DIM + head * size :][:size]
                    total += at * max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
        return total

    for row in range(0, tall, 7):
        for column in range(0, wide, 7):
            mean = nn.functional.leaky_relu(canvas[row : row + 7, column : column + 7].mean((0, 1)))[
                None, :, None, None
            ]
            moved, scaled, turned = (
                branch[2](mean).flatten() for branch in (net.sampling_offsets, net.sampling_scales, net.sampling_angles)
            )
            for head in range(HEADS):
                angle, keys, values = turned[head], [], []
                for y in range(-3, 4):
                    for x in range(-3, 4):
                        a, b = (
                            2 * x / (wide - 1) * (1 + scaled[2 * head]),
                            2 * y / (tall - 1) * (1 + scaled[2 * head + 1]),
                        )
                        u = a * angle.cos() - b * angle.sin() + moved[2 * head] / max(1, height // 7)
                        v = b * angle.cos() + a * angle.sin() + moved[2 * head + 1] / max(1, width // 7)
                        place = float(column + 3 + u * (wide - 1) / 2), float(row + 3 + v * (tall - 1) / 2)
                        keys.append(value(1, head, *place))
                        values.append(value(2, head, *place))
                for i in range(49):
                    y, x = divmod(i, 7)
                    query = qkv[row + y, column + x, head * size :][:size]
                    scores = []
                    for j, key in enumerate(keys):
                        down, along = y - j // 7 + 6, x - j % 7 + 6
                        bias = net.relative_position_bias_table[13 * down + along, head]
                        scores.append(
                            query @ key / size**0.5 + query @ (net.rel_pos_h[down] + net.rel_pos_w[along]) + bias
                        )
                    shares = torch.stack(scores).softmax(0)
                    found[row + y, column + x, head * size :][:size] = shares @ torch.stack(values)
    kept = found[top : top + height, left : left + width].reshape(-1, DIM)
    result: Tensor = net.proj(kept)
    return result


@pytest.mark.parametrize(("name", "parameters"), [("vit-b-rvsa", 86_208_064), ("vit-l-rvsa", 305_038_720)])
def test_sizes_are_those_of_mtp(name: str, parameters: int) -> None:
    with torch.device("meta"):
        encoder = backbone(name, ("R", "G", "B"), image_size=224)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters
    kinds = ["full" if hasattr(block.attn, "full_attn_rel_pos_h") else "windows" for block in encoder.net.blocks]
    full = {"vit-b-rvsa": [2, 5, 8, 11], "vit-l-rvsa": [5, 11, 17, 23]}[name]
    assert [place for place, kind in enumerate(kinds) if kind == "full"] == full


@torch.no_grad()
def test_windows_that_are_not_moved_are_plain_ones() -> None:
    net = windows((28, 28))
    for branch in (net.sampling_offsets, net.sampling_scales, net.sampling_angles):
        branch[2].weight.zero_()
        branch[2].bias.zero_()
    tokens = torch.randn(2, 28 * 28, DIM, generator=torch.Generator().manual_seed(3)) / 4
    query, key, value = (
        net.qkv(tokens).reshape(2, 4, 7, 4, 7, 3, HEADS, -1).permute(5, 0, 1, 3, 6, 2, 4, 7).flatten(5, 6)
    )
    place = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    down, along = (place[:, None] - place[None] + 6).unbind(-1)
    scores = query @ key.mT / (DIM // HEADS) ** 0.5 + net.relative_position_bias_table[13 * down + along].permute(
        2, 0, 1
    )
    scores += (query[..., :, None, :] * (net.rel_pos_h[down] + net.rel_pos_w[along])).sum(-1)
    plain = (scores.softmax(-1) @ value).unflatten(-2, (7, 7)).permute(0, 1, 4, 2, 5, 3, 6).reshape(2, 784, DIM)
    torch.testing.assert_close(net(tokens), net.proj(plain), atol=1e-5, rtol=0)


@pytest.mark.parametrize("grid", [(5, 5), (7, 17)])
def test_windows_are_moved_scaled_and_turned_as_their_mean_says(grid: tuple[int, int]) -> None:
    net = windows(grid)
    tokens = torch.randn(2, grid[0] * grid[1], DIM, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        found = net(tokens)
    torch.testing.assert_close(found[1], attended(net, tokens[1]), atol=2e-5, rtol=1e-4)


def test_every_use_trains_every_parameter_at_any_size() -> None:
    for use, side in (("mean", 20), ("levels", 36)):
        encoder = small(side)
        with torch.no_grad():  # where windows are plain, nothing says yet how to turn them
            lively(encoder.net)
        encoder.settle(use)
        images = torch.randn(2, 3, side, side)
        if use == "levels":
            maps = encoder.levels(images)
            assert [tuple(level.shape) for level in maps] == [(2, DIM, 9, 9)] * 4
            torch.stack([level.square().mean() for level in maps]).sum().backward()
        else:
            encoder(images)["mean"].pow(3).sum().backward()
        assert not [name for name, value in encoder.named_parameters() if value.grad is None or not value.grad.any()]


def test_a_file_of_mtp_gives_an_encoder_for_every_job_at_another_size(tmp_path: Path) -> None:
    source = small(28, seed=1)
    lively(source.net)
    buffers = {"blocks.0.attn.relative_position_index": torch.zeros(49, 49), "fpn1.0.weight": torch.zeros(2)}
    state = {f"module.encoder.{name}": value for name, value in {**source.net.state_dict(), **buffers}.items()}
    token = torch.zeros(1, 1, DIM)
    state["module.encoder.pos_embed"] = torch.cat([token, source.net.pos_embed.detach()], dim=1)
    path = tmp_path / "last_vit_b_rvsa_ss_is_rd_pretrn_model_encoder.pth"
    torch.save({"state_dict": state}, path)
    images = torch.randn(1, 3, 28, 28)
    encoder = small(28, seed=2).eval()
    told = load(encoder, str(path), pooling=None, normalize=None)
    with torch.no_grad():
        torch.testing.assert_close(encoder(images)["mean"], source.eval()(images)["mean"])
    assert (told.family, set(told.dropped), told.fresh) == ("mtp", set(buffers), ())
    larger = small(44)
    told = load(larger, str(path), pooling="levels", normalize=None)
    assert told.resized["blocks.1.attn.full_attn_rel_pos_h"] == "(13, 4) → (21, 4)"
    assert told.resized["pos_embed"] == "(1, 50, 8) → (1, 121, 8)"
    assert not [name for name in told.resized if "full" not in name and name != "pos_embed"]
