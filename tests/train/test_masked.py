"""A masked autoencoder by its laws, and what it predicts by slow oracles: pixels, HOG, gradients by ratio."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from sar_data.errors import UsageError
from sar_data.train.augment.draws import draws, seeds
from sar_data.train.models import backbone
from sar_data.train.models.positions import sine_cosine
from sar_data.train.pretrain.autoencoder import Autoencoder
from sar_data.train.pretrain.hog import histograms
from sar_data.train.pretrain.masking import order, seen
from sar_data.train.pretrain.mgf import gradients
from sar_data.train.pretrain.patches import cut, join, standardize
from sar_data.train.pretrain.targets import Target

Floats = npt.NDArray[np.float64]
SIDE, PATCH = 64, 16
SMALL = {"width": 32, "depth": 1, "heads": 2}
PIXELS = Target("pixel", PATCH, 2, (), standardize=True)


def autoencoder(values: int = 72, ratio: float = 0.75) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(backbone("test_vit", ("VV", "VH"), image_size=SIDE), values, ratio, **SMALL)


def images(count: int = 4, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((count, 2, SIDE, SIDE), np.float32))


def slow_histograms(plane: Floats, cell: int) -> Floats:
    """Return [rows, columns, 9] of cells, pixel by pixel."""
    height, width = plane.shape
    wide = np.pad(plane, 1, mode="reflect")
    found = np.zeros((height // cell, width // cell, 9))
    smooth = np.array([1, 2, 1])
    window = np.exp(-0.5 * ((np.arange(16) - 7.5) / 8) ** 2)
    for y in range(height):
        for x in range(width):
            part = wide[y : y + 3, x : x + 3]
            along, down = smooth @ part[:, 0] - smooth @ part[:, 2], part[0] @ smooth - part[2] @ smooth
            angle = math.atan2(along, down)
            weight = window[y % 16] * window[x % 16] / window.sum() ** 2
            found[y // cell, x // cell, math.floor(angle / math.pi * 9) % 9] += weight * math.hypot(along, down)
    return found / np.maximum(np.linalg.norm(found, axis=2, keepdims=True), 1e-12)


@pytest.mark.parametrize("patch", [16, 8])
@pytest.mark.parametrize("grey", [False, True])
def test_histograms_equal_those_that_are_counted_pixel_by_pixel(patch: int, grey: bool) -> None:
    drawn = np.random.default_rng(1).random((2, 2, 32, 48))
    drawn = np.round(drawn * 255) / 255 if grey else drawn
    found = histograms(torch.from_numpy(drawn).float(), patch).numpy()
    assert found.shape == (2, (32 // patch) * (48 // patch), 72)
    for image, said in zip(drawn.astype(np.float32).astype(np.float64), found, strict=True):
        cells = np.stack([slow_histograms(plane, patch // 2) for plane in image])  # [channel, row, column, bin]
        for number, values in enumerate(said.reshape(-1, 2, 9, 2, 2)):
            row, column = 2 * (number // (48 // patch)), 2 * (number % (48 // patch))
            expected = cells[:, row : row + 2, column : column + 2].transpose(0, 3, 1, 2)
            np.testing.assert_allclose(values, expected, atol=1e-6)


def test_a_gain_and_an_offset_change_no_histogram() -> None:
    drawn = images(1)
    torch.testing.assert_close(histograms(drawn * 4 + 2, PATCH), histograms(drawn, PATCH), atol=2e-5, rtol=0)


def slow_gradient(plane: Floats, radius: int) -> Floats:
    """Return [y, x] by the means of both halves of each pixel's own window."""
    wide, found = np.pad(plane, radius, mode="reflect") + 1e-2, np.zeros_like(plane)
    for y, x in np.ndindex(plane.shape):
        part = wide[y : y + 2 * radius + 1, x : x + 2 * radius + 1]
        along = math.log(part[:, : radius + 1].mean() / part[:, radius:].mean())
        down = math.log(part[: radius + 1].mean() / part[radius:].mean())
        found[y, x] = math.hypot(along, down)
    return found


def test_gradients_by_ratio_equal_those_of_each_window() -> None:
    drawn = np.random.default_rng(2).gamma(4, 1 / 20, (1, 2, 24, 40)).astype(np.float32)
    found = gradients(torch.from_numpy(drawn), (2, 5, 9)).numpy()[0].reshape(2, 3, 24, 40)
    for channel in range(2):
        for scale, radius in enumerate((2, 5, 9)):
            expected = slow_gradient(drawn[0, channel].astype(np.float64), radius)
            np.testing.assert_allclose(found[channel, scale], expected, atol=2e-6)


def test_gradients_by_ratio_of_large_images_keep_their_precision() -> None:
    plane = np.random.default_rng(3).random((1, 1, 512, 512), np.float32)
    found = gradients(torch.from_numpy(plane), (13,))[0, 0]
    corner = slow_gradient(plane[0, 0, -60:, -60:].astype(np.float64), 13)
    np.testing.assert_allclose(found[-40:, -40:].numpy(), corner[-40:, -40:], atol=2e-6)


def test_pixels_are_cut_by_rows_and_joined_again() -> None:
    drawn = images()
    patches = cut(drawn, PATCH)
    assert patches.shape == (4, 16, PATCH**2 * 2)
    expected = drawn[1, :, 16:32, 32:48].permute(1, 2, 0).flatten()
    assert torch.equal(patches[1, 4 + 2], expected)
    assert torch.equal(join(patches, PATCH), drawn)
    values = standardize(patches)
    torch.testing.assert_close(values.mean(-1), torch.zeros(4, 16), atol=1e-6, rtol=0)
    torch.testing.assert_close(values.var(-1), torch.ones(4, 16), atol=1e-4, rtol=0)


def test_a_patch_without_any_contrast_is_a_target_of_zeros() -> None:
    for name, values in (("pixel", 512), ("hog", 72), ("mgf", 1024)):
        target = Target(name, PATCH, 2, (5, 9), standardize=True)
        assert target.values == values
        torch.testing.assert_close(target(torch.zeros(1, 2, SIDE, SIDE)), torch.zeros(1, 16, values), atol=1e-6, rtol=0)


def test_targets_say_what_they_are_not_made_for() -> None:
    with pytest.raises(UsageError, match=r"windows of 16 pixels tile.*found images of 40"):
        Target("hog", 8, 2, (), standardize=True).check(40, "minmax")
    with pytest.raises(UsageError, match=r"expected images from 0 to 1.*`normalize=zscore`"):
        Target("mgf", 16, 2, (9,), standardize=True).check(64, "zscore")
    with pytest.raises(UsageError, match="mgf_radii 17: expected less than the side of an image, 16"):
        Target("mgf", 16, 2, (9, 17), standardize=True).check(16, "minmax")


@pytest.mark.parametrize(("patches", "ratio", "kept"), [(196, 0.7, 58), (196, 0.75, 49), (256, 0.7, 76), (16, 0.75, 4)])
def test_as_many_patches_are_seen_as_published(patches: int, ratio: float, kept: int) -> None:
    assert seen(patches, ratio) == kept


@pytest.mark.parametrize("ratio", [0.0, 0.95])
def test_some_patches_are_seen_and_some_are_not(ratio: float) -> None:
    with pytest.raises(UsageError, match="mask_ratio"):
        seen(16, ratio)


def test_every_place_is_seen_as_often_as_any_other() -> None:
    first = order(seeds(draws(1, 0, 0, 20_000, columns=2)), 49)[:, :12]
    assert (first.sort(dim=1).values.diff(dim=1) > 0).all()
    counts = torch.bincount(first.flatten(), minlength=49)
    # Counts of 12 different places out of 49 vary less than those of 12 draws, by this factor.
    assert chisquare(counts.numpy() / (1 - 12 / 49)).pvalue > 0.001


def test_a_sample_is_masked_alike_in_every_batch() -> None:
    chosen = torch.tensor([5, 1 << 40, 3])
    assert torch.equal(order(chosen, 196)[1:2], order(chosen[1:2], 196))


def test_the_encoder_sees_exactly_its_share_and_nothing_of_the_rest() -> None:
    model, drawn = autoencoder().eval(), images()
    how = order(torch.arange(4), 16)
    assert model.encode(drawn, how).shape == (4, 1 + 4, model.encoder.width)
    hidden = cut(drawn, PATCH).scatter(1, how[:, 4:, None].expand(-1, -1, 512), 9.0)
    assert torch.equal(model(join(hidden, PATCH), how), model(drawn, how))


def test_an_encoder_that_sees_all_is_the_network_that_others_use() -> None:
    model, drawn = autoencoder().eval(), images()
    model.seen = 16
    tokens = model.encode(drawn, torch.arange(16).expand(4, -1))
    torch.testing.assert_close(tokens, model.encoder.net.forward_features(drawn), atol=1e-5, rtol=1e-5)


def test_positions_are_fixed_and_those_of_the_published_code() -> None:
    model = autoencoder()
    assert "encoder.net.pos_embed" in model.state_dict()
    assert not any("pos_embed" in name for name, _ in model.named_parameters())
    table = sine_cosine((3, 4), 8, prefix=1)[0]
    assert torch.equal(table[0], torch.zeros(8))
    row, column = 2, 3
    expected = [f(place * rate) for place in (column, row) for f in (math.sin, math.cos) for rate in (1, 0.01)]
    torch.testing.assert_close(table[1 + 4 * row + column], torch.tensor(expected))


@pytest.mark.parametrize(("name", "why"), [("resnet18", "plain ViT"), ("vit-b-gap", "plain ViT")])
def test_an_encoder_that_cannot_leave_patches_out_is_refused(name: str, why: str) -> None:
    with torch.device("meta"), pytest.raises(UsageError, match=why):
        Autoencoder(backbone(name, ("VV", "VH"), image_size=64), 72, 0.75, **SMALL)
