"""Windows are torchvision's, sample by sample, and the same in every batch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sar_data.errors import UsageError

torch = pytest.importorskip("torch", reason="torch is in the extra train: pip install 'sar-data[train]'")
torchvision = pytest.importorskip("torchvision", reason="it is in the extra train")

from torchvision.transforms import RandomResizedCrop  # noqa: E402
from torchvision.transforms.v2 import functional as TF  # noqa: E402

from sar_data.train.augment.draws import draws  # noqa: E402
from sar_data.train.augment.power import power_of  # noqa: E402
from sar_data.train.augment.resample import Windows, central_windows, random_windows  # noqa: E402

CPU = torch.device("cpu")
SIZES = [((64, 64), (224, 224)), ((96, 70), (40, 48)), ((30, 200), (64, 64))]


def windows_of(count: int, source: tuple[int, int], size: tuple[int, int], least: float = 0.08) -> Windows:
    return random_windows(draws(0, 0, 0, count)[:, :22], source, size, (least, 1.0))


@pytest.mark.parametrize(("source", "size"), SIZES, ids=str)
def test_a_window_is_resized_as_torchvision_does_it_with_antialiasing(
    source: tuple[int, int], size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    images = torch.randn(12, 2, *source)
    windows = windows_of(12, source, size)
    found = windows.grid(CPU).images(images)
    for image, mine, low, high in zip(images, found, windows.low.int(), windows.high.int(), strict=True):
        (top, left), (height, width) = low.tolist(), (high - low).tolist()
        expected = TF.resized_crop(image, top, left, height, width, list(size), antialias=True)
        torch.testing.assert_close(mine, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("source", "size"), SIZES, ids=str)
def test_a_mask_s_window_takes_the_nearest_pixels(source: tuple[int, int], size: tuple[int, int]) -> None:
    masks = torch.randint(0, 9, (12, *source), generator=torch.Generator().manual_seed(0))
    windows = windows_of(12, source, size)
    found = windows.grid(CPU).masks(masks)
    for mask, mine, low, high in zip(masks, found, windows.low.int(), windows.high.int(), strict=True):
        (top, left), (bottom, right) = low.tolist(), high.tolist()
        cut = mask[None, None, top:bottom, left:right].float()
        assert torch.equal(mine, torch.nn.functional.interpolate(cut, size, mode="nearest-exact")[0, 0].long())


@pytest.mark.parametrize("source", [(64, 64), (128, 90), (60, 250)], ids=str)
@pytest.mark.parametrize(("side", "share"), [(56, 0.875), (224, 0.875), (33, 1.0), (40, 0.9)])
def test_evaluation_resizes_the_shorter_side_and_cuts_the_centre_out_as_torchvision_does(
    source: tuple[int, int], side: int, share: float
) -> None:
    images = torch.randn(2, 2, *source, generator=torch.Generator().manual_seed(0))
    found = central_windows(2, source, side, share).grid(CPU).images(images)
    expected = TF.center_crop(TF.resize(images, [round(side / share)], antialias=True), [side, side])
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)


def test_nothing_changes_where_nothing_is_to_be_done() -> None:
    images = torch.randn(3, 2, 9, 9)
    assert torch.equal(central_windows(3, (9, 9), 9, 1.0).grid(CPU).images(images), images)


@pytest.mark.parametrize(("source", "size"), SIZES, ids=str)
def test_pixels_without_data_weigh_nothing(source: tuple[int, int], size: tuple[int, int]) -> None:
    """What is left is the mean of the others: resampled value × valid over resampled valid, as torchvision has both."""
    random = torch.Generator().manual_seed(0)
    images, valid = (
        torch.randn(12, 2, *source, generator=random) - 15,
        torch.rand(12, 2, *source, generator=random) > 0.3,
    )
    windows = windows_of(12, source, size)
    found = windows.grid(CPU).images(images.masked_fill(~valid, torch.nan))
    there = windows.grid(CPU).masks(valid.long().flatten(0, 1)[::2])  # of the first channel
    assert torch.equal(found[:, 0].isfinite(), there.bool())
    parts = zip(images.double(), valid.double(), found, windows.low.int(), windows.high.int(), strict=True)
    for image, weight, mine, low, high in parts:
        (top, left), (height, width) = low.tolist(), (high - low).tolist()
        total, whole = (
            TF.resized_crop(part, top, left, height, width, list(size), antialias=True)
            for part in (image * weight, weight)
        )
        known = mine.isfinite()
        torch.testing.assert_close(mine[known].double(), (total / whole)[known], rtol=0, atol=1e-3)


@given(st.data())
def test_no_value_comes_from_where_there_is_no_data(data: st.DataObject) -> None:
    source, size = (data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40))) for _ in range(2))
    seed = data.draw(st.integers(0, 2**16))
    random = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 1, *source, generator=random) + 7
    images[torch.rand(images.shape, generator=random) < data.draw(st.floats(0, 1))] = torch.nan
    found = random_windows(draws(seed, 0, 0, 2)[:, :22], source, size, (0.08, 1.0)).grid(CPU).images(images)
    known = found[found.isfinite()]
    assert ((known > 7 - 1e-3) & (known < 8 + 1e-3)).all()


def test_where_all_pixels_have_data_nothing_is_divided() -> None:
    images = torch.randn(4, 2, 50, 60)
    grid = windows_of(4, (50, 60), (33, 70)).grid(CPU)
    assert torch.equal(grid.images(images), grid.complete(images))
    holed = images.clone()
    holed[0, 0, 10:20] = torch.nan
    assert torch.equal(grid.images(holed)[1:], grid.complete(images)[1:])


def test_a_sample_s_window_is_the_same_in_every_batch() -> None:
    images, chance = torch.randn(9, 2, 70, 50), draws(3, 1, 0, 9)[:, :22]
    whole = random_windows(chance, (70, 50), (32, 32), (0.08, 1.0)).grid(CPU).images(images)
    parts = [
        random_windows(chance[part], (70, 50), (32, 32), (0.08, 1.0)).grid(CPU).images(images[part])
        for part in (slice(0, 1), slice(1, 4), slice(4, 9))
    ]
    assert torch.equal(whole, torch.cat(parts))


@pytest.mark.parametrize(("source", "least"), [((64, 64), 0.08), ((50, 80), 0.8), ((40, 41), 0.2)])
def test_windows_are_distributed_as_random_resized_crop_s(source: tuple[int, int], least: float) -> None:
    count = 4000
    windows = windows_of(count, source, (32, 32), least)
    found = torch.cat([windows.low, windows.high - windows.low], dim=1)
    assert (windows.low >= 0).all()
    assert (windows.high <= torch.tensor(source)).all()
    assert torch.equal(found, found.round())
    torch.manual_seed(1)
    image = torch.empty(1, *source)
    expected = torch.tensor([RandomResizedCrop.get_params(image, (least, 1.0), (3 / 4, 4 / 3)) for _ in range(count)])
    spread = (found.var(0) / count + expected.double().var(0) / count).sqrt()
    assert ((found.mean(0) - expected.double().mean(0)).abs() < 5 * spread).all()
    for share in (0.1, 0.5, 0.9):
        gap = (found.quantile(share, dim=0) - expected.double().quantile(share, dim=0)).abs()
        assert (gap <= 2).all()


@pytest.mark.parametrize(("source", "window"), [((10, 300), (10, 13)), ((300, 10), (13, 10))])
def test_where_no_window_fits_the_largest_of_an_allowed_ratio_is_cut_from_the_centre(
    source: tuple[int, int], window: tuple[int, int]
) -> None:
    windows = windows_of(3, source, (8, 8), 0.99)
    assert (windows.high - windows.low).unique(dim=0).tolist() == [list(window)]
    middle = (windows.high + windows.low) / 2 - torch.tensor(source) / 2
    assert middle.abs().max() <= 0.5


def test_a_share_beyond_the_image_is_refused() -> None:
    with pytest.raises(UsageError, match=r"above 0 and at most 1, found 1\.2"):
        central_windows(1, (9, 9), 9, 1.2)


def test_in_power_a_pixel_is_the_mean_of_powers_and_the_mean_power_stays() -> None:
    random = torch.Generator().manual_seed(0)
    decibels = torch.randn(3, 2, 24, 24, generator=random) * 5 - 15
    units, figures = {"VV": "dB", "VH": "amplitude"}, {"VV": (-12.0, 4.5), "VH": (0.2, 0.1)}
    values = torch.stack([decibels[:, 0], 10 ** (decibels[:, 1] / 20)], dim=1)
    values[0, :, 3:9, :5] = torch.nan
    terms = torch.tensor(list(figures.values()))[:, :, None, None]
    images = (values - terms[:, 0]) / terms[:, 1]
    power = power_of("power", units, "zscore", figures)
    assert power is not None
    grid = central_windows(3, (24, 24), 12, 1.0).grid(CPU)
    found = power(images, grid.images) * terms[:, 1] + terms[:, 0]
    powers = torch.stack([10 ** (values[:, 0].double() / 10), values[:, 1].double() ** 2], dim=1)
    expected = grid.images(powers)
    torch.testing.assert_close(10 ** (found[:, 0].double() / 10), expected[:, 0], rtol=2e-5, atol=0, equal_nan=True)
    torch.testing.assert_close(found[:, 1].double() ** 2, expected[:, 1], rtol=2e-5, atol=0, equal_nan=True)
    whole, shrunk = powers[1:].mean(), expected[1:].mean()
    in_decibels = 10 ** (grid.images(values[:, :1])[1:].double() / 10)
    assert 10 * (shrunk / whole).log10() == pytest.approx(0, abs=0.05)
    assert 10 * (in_decibels.mean() / powers[1:, :1].mean()).log10() < -1  # of 5 dB of spread, halved


@pytest.mark.parametrize(
    ("units", "normalize", "augment", "words"),
    [
        ({"VV": "dB"}, "fgmae-uint8", (), "that can be undone, such as zscore, found fgmae-uint8"),
        ({"VV": "dB"}, "zscore", ("drae",), "found zscore and drae"),
        ({"VV": "8-bit"}, "zscore", (), "expected bands in dB, power, amplitude, found VV in 8-bit"),
        ({"VV": ""}, "zscore", (), "found VV in no unit"),
        ({"VV-VH": "dB"}, "zscore", (), "found VV-VH in dB"),
    ],
)
def test_what_has_no_power_is_not_resampled_in_it(
    units: dict[str, str], normalize: str, augment: tuple[str, ...], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        power_of("power", units, normalize, dict.fromkeys(units, (0.0, 1.0)), augment)
    assert power_of("dB", units, normalize, None, augment) is None
