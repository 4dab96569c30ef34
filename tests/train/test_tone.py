"""Tone mapping is SAR-HUB's, and rotation torchvision's."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the extra train: pip install 'sar-data[train]'")
torchvision = pytest.importorskip("torchvision", reason="it is in the extra train")

from torchvision.transforms import functional as TF  # noqa: E402

from sar_data.train.augment.rotation import rotate, rotate_masks  # noqa: E402
from sar_data.train.augment.tone import compress, stretch  # noqa: E402


@pytest.mark.parametrize(("percent", "chance"), [(2.0, 0.5), (2.0, 0.9), (3.0, 0.1), (2.0, 0.0)])
def test_a_percentile_stretch_is_numpy_s_of_the_valid_pixels(percent: float, chance: float) -> None:
    images = torch.randn(3, 2, 20, 30, generator=torch.Generator().manual_seed(0)) * 5 - 15
    images[0, :, 3:9] = torch.nan
    found = stretch(images, torch.full((3,), chance), percent)
    for image, mine in zip(images.flatten(0, 1).numpy(), found.flatten(0, 1).numpy(), strict=True):
        low, high = np.nanpercentile(image, [chance * percent, 100 - chance * percent])
        expected = (np.clip(image, low, high) - low) / (high - low)
        np.testing.assert_allclose(mine, expected, atol=2e-6)


def test_constant_images_become_zero_and_masked_ones_stay_so() -> None:
    images = torch.full((2, 1, 4, 4), 3.0)
    images[1] = torch.nan
    found = stretch(images, torch.full((2,), 0.5), 2.0)
    assert not found[0].any()
    assert found[1].isnan().all()


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.77])
def test_highlights_are_compressed_by_the_published_formula(chance: float) -> None:
    images = torch.rand(4, 1, 9, 9, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05
    found = compress(images, torch.full((4,), chance))
    for image, mine in zip(images.double().numpy(), found.numpy(), strict=True):
        adapted = 1e-4 * image + (1 - 1e-4) * 0.169
        power = 0.3 + 0.7 * ((1 - 0.169) / (1 - image.min())) ** 1.4
        np.testing.assert_allclose(mine, image / (image + ((3.5 + chance) * adapted) ** power), rtol=1e-5)


def test_compressed_amplitudes_keep_their_order_their_range_and_their_masked_pixels() -> None:
    images = torch.linspace(0, 1.5, 64).view(1, 1, 8, 8)
    images[0, 0, 0, :3] = torch.nan
    found = compress(images, torch.tensor([0.5])).flatten()
    assert found[:3].isnan().all()
    assert (found[3:].diff() >= 0).all()
    assert found[3:].max() <= 1
    assert found[3:].min() >= 0
    assert compress(torch.ones(1, 1, 2, 2), torch.tensor([0.5])).isfinite().all()


@pytest.mark.parametrize("size", [(32, 32), (20, 45)], ids=str)
def test_rotations_are_torchvision_s(size: tuple[int, int]) -> None:
    images = torch.rand(5, 2, *size, generator=torch.Generator().manual_seed(0))
    degrees = torch.tensor([-10.0, -3.3, 0.0, 4.7, 9.1])
    found = rotate(images, degrees, -2.0)
    for image, mine, angle in zip(images, found, degrees.tolist(), strict=True):
        expected = TF.rotate(image, angle, fill=[-2.0, -2.0])
        same = (mine - expected).abs() < 1e-6
        assert same.float().mean() > 0.99  # pixels half-way between two may fall to either
    assert torch.equal(found[2], images[2])


def test_masks_are_rotated_with_their_images_and_ignored_outside() -> None:
    masks = torch.randint(0, 9, (4, 16, 16), generator=torch.Generator().manual_seed(0))
    degrees = torch.tensor([-9.0, 2.0, 5.0, 10.0])
    found = rotate_masks(masks, degrees)
    assert torch.equal(found.float(), rotate(masks[:, None].float(), degrees, 255.0)[:, 0])
    assert found.dtype == torch.int64
    assert set(found.unique().tolist()) == {*range(9), 255}
