"""Whole batches, augmented by named steps: the same for a sample in whatever batch, its targets with it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sar_data.errors import UsageError
from sar_data.sealed.documents import Applied
from sar_data.sealed.manifest import Manifest
from tests.mini import invented
from tests.places import ROOT

torch = pytest.importorskip("torch", reason="torch is in the extra train: pip install 'sar-data[train]'")
stats = pytest.importorskip("scipy.stats", reason="scipy comes with scikit-learn, which is in the extra dev")

from torch import Tensor  # noqa: E402

from sar_data.torch import loader  # noqa: E402
from sar_data.train.augment import Augment  # noqa: E402
from sar_data.train.augment.draws import draws  # noqa: E402
from sar_data.train.augment.mixup import Mixup, mix  # noqa: E402
from sar_data.train.augment.steps import STEPS, parse, physical  # noqa: E402

CHANNELS = ("VV", "VH")


def manifest_of(path: str | Path) -> Manifest:
    """Return a build's manifest, as if it were geocoded and of both passes."""
    both = ["azimuth-flip", "range-flip"]
    return Manifest.load(Path(path)).model_copy(update={"symmetries": both, "range_axis": "mixed"})


def batches(path: str | Path, **options: Any) -> list[dict[str, Any]]:
    """Return all batches as augmentation takes them: pixels without data are NaN."""
    told = {"fill": None, **options}
    with loader(str(path), batch_size=8, bands=CHANNELS, shuffle=None, **told) as found:
        return list(found)


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmentation of 60 samples of 12 × 12."""
    folder = tmp_path_factory.mktemp("fields")
    for seed in range(60):
        (folder / f"s{seed:04d}.json").write_text(json.dumps({"seed": seed, "height": 12, "width": 12}))
    made = invented.pipeline("segmentation", shape=(12, 12))
    return invented.sealed(made, folder, tmp_path_factory.mktemp("builds")).path


@pytest.fixture(scope="module")
def ships(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detection of 60 samples, a quarter of them without any object."""
    folder = tmp_path_factory.mktemp("ships")
    made = invented.pipeline("detection")
    return invented.sealed(made, invented.archive(folder / "raw", 60), folder / "builds").path


def parts(batch: dict[str, Any], *cuts: slice) -> Iterator[dict[str, Any]]:
    for cut in cuts:
        yield {name: values[cut] for name, values in batch.items()}


def flat(value: Any) -> list[Tensor]:
    """Return all tensors of a batch, in order."""
    if isinstance(value, Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [tensor for part in inner for tensor in flat(part)]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    """Say whether tensors are equal bit by bit, NaN being equal to NaN."""
    return all(torch.equal(a.nan_to_num(nan=-9e9), b.nan_to_num(nan=-9e9)) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("normalize", ["zscore", "fgmae-uint8"])
@pytest.mark.parametrize("kind", ["classes", "several", "fields", "ships"])
def test_a_sample_is_augmented_alike_in_every_batch(request: pytest.FixtureRequest, kind: str, normalize: str) -> None:
    path = request.getfixturevalue(kind)
    names = ["flips", "quarter-turn", "crop", "speckle"]
    names += {"classes": ["mixup", "rotate"], "several": ["mixup", "rotate"], "fields": ["rotate"]}.get(kind, [])
    augment = Augment(names, manifest_of(path), CHANNELS, normalize=normalize, image_size=16)
    assert augment.physical == (normalize == "fgmae-uint8")
    told = {"normalize": None} if augment.physical else {"normalize": normalize}
    batch = batches(path, **told)[1]
    whole = augment(batch, draws(5, 2, 40, 8))
    halves = [
        augment(part, draws(5, 2, 40 + start, stop - start))
        for (start, stop), part in zip([(0, 2), (2, 8)], parts(batch, slice(0, 2), slice(2, 8)), strict=True)
    ]
    assert whole["image"].shape == (8, 2, 16, 16)
    assert whole["image"].dtype == torch.float32
    assert torch.equal(whole["image"], torch.cat([half["image"] for half in halves]))
    together, apart = flat(whole["target"]), [flat(half["target"]) for half in halves]
    if kind == "ships":
        assert same(together, apart[0] + apart[1])
    else:
        assert torch.equal(together[0], torch.cat([apart[0][0], apart[1][0]]))
    assert not torch.equal(whole["image"], augment(batch, draws(5, 3, 40, 8))["image"])
    assert whole["key"] == batch["key"]


def test_a_batch_that_is_given_stays_as_it_was(ships: Path, fields: Path) -> None:
    for path in (ships, fields):
        augment = Augment(["flips", "crop", "speckle"], manifest_of(path), CHANNELS, image_size=9)
        batch = batches(path)[0]
        before = [tensor.clone() for tensor in flat(batch)]
        augment(batch, draws(0, 0, 0, 8))
        assert same(before, flat(batch))


def test_masks_move_with_their_images(fields: Path) -> None:
    batch = batches(fields, normalize=None)[0]
    batch["image"] = batch["target"][:, None].float().repeat(1, 2, 1, 1)
    for names in (["flips"], ["flips", "quarter-turn"]):
        found = Augment(names, manifest_of(fields), CHANNELS)(batch, draws(0, 0, 0, 8))
        assert torch.equal(found["image"][:, 0].long(), found["target"])
        assert not torch.equal(found["target"], batch["target"])
    # Of a mask without corners, interpolated values round to the nearest pixel's.
    ramp = torch.arange(12).expand(8, 12, 12) + torch.arange(12)[:, None]
    smooth = batch | {"target": ramp, "image": ramp[:, None].float().repeat(1, 2, 1, 1)}
    found = Augment(["flips", "crop:0.3"], manifest_of(fields), CHANNELS, image_size=40)(smooth, draws(0, 0, 0, 8))
    assert found["target"].shape == (8, 40, 40)
    assert (found["image"][:, 0] - found["target"]).abs().max() <= 1


@pytest.mark.parametrize("how", ["fgmae-uint8", "sarhub"])
def test_images_that_come_in_physical_units_are_normalized_as_the_loader_would(classes: str, how: str) -> None:
    """Speckle of ever so many looks changes nothing; what is left is the loader's own normalization."""
    augment = Augment(["speckle:1e12"], manifest_of(classes), CHANNELS, normalize=how)
    assert augment.physical
    for raw, expected in zip(batches(classes, normalize=None), batches(classes, normalize=how, fill=0.0), strict=True):
        torch.testing.assert_close(augment.prepare(raw)["image"], expected["image"], rtol=0, atol=1e-6)
        off = (augment(raw, draws(0, 0, 0, 8))["image"] - expected["image"]).abs()
        assert off.max() <= 1.01 / 255
        assert (off > 1e-5).float().mean() < 0.01
        assert augment(raw, draws(0, 0, 0, 8))["image"].isfinite().all()


def test_drae_is_random_in_training_and_the_sarhub_preset_in_evaluation(classes: str) -> None:
    augment = Augment(["drae"], manifest_of(classes), CHANNELS, normalize="sarhub")
    raw, expected = batches(classes, normalize=None)[0], batches(classes, normalize="sarhub", fill=0.0)[0]
    torch.testing.assert_close(augment.prepare(raw)["image"], expected["image"], rtol=0, atol=2e-6)
    found = augment(raw, draws(0, 0, 0, 8))["image"]
    assert not torch.equal(found, expected["image"])
    assert found.min() == 0
    assert found.max() == 1


def test_drae_of_amplitudes_compresses_what_minmax_framed(classes: str) -> None:
    manifest = manifest_of(classes)
    bands = [band.model_copy(update={"unit": "amplitude"}) for band in manifest.bands]
    augment = Augment(["drae"], manifest.model_copy(update={"bands": bands}), CHANNELS, normalize="minmax")
    assert not augment.physical
    batch = next(one for one in batches(classes, normalize="minmax") if one["image"].isnan().any())
    midpoint = augment(batch, torch.full((8, 32), 0.5))["image"]
    assert torch.equal(midpoint, augment.prepare(batch)["image"])
    assert not torch.equal(midpoint, augment(batch, draws(0, 0, 0, 8))["image"])
    assert not midpoint[batch["image"].isnan()].any()


def test_evaluation_has_the_published_geometry_and_no_chance(fields: Path) -> None:
    augment = Augment(["flips", "crop", "speckle", "rotate"], manifest_of(fields), CHANNELS, image_size=28)
    batch = batches(fields, fill=0.0)[0]
    found = augment.prepare(batch, 0.875)  # 12 pixels become 32, of which the central 28 stay
    whole = torch.nn.functional.interpolate(batch["image"], (32, 32), mode="bilinear", antialias=True)
    torch.testing.assert_close(found["image"], whole[..., 2:30, 2:30], rtol=0, atol=1e-5)
    target = torch.nn.functional.interpolate(batch["target"][:, None].float(), (32, 32), mode="nearest-exact")
    assert torch.equal(found["target"], target[:, 0, 2:30, 2:30].long())
    plain = Augment([], manifest_of(fields), CHANNELS)
    assert torch.equal(plain.prepare(batch)["image"], batch["image"])
    assert plain.prepare(batch, 0.5)["image"].shape == (8, 2, 12, 12)


def test_without_a_crop_training_images_are_resized(classes: str) -> None:
    augment = Augment([], manifest_of(classes), CHANNELS, image_size=32)
    batch = batches(classes)[0]
    assert batch["image"].shape == (8, 2, 6, 5)
    assert torch.equal(augment(batch, draws(0, 0, 0, 8))["image"], augment.prepare(batch)["image"])


def test_mixup_mixes_neighbours_and_their_targets_by_the_same_share(classes: str) -> None:
    augment = Augment(["mixup:0.4"], manifest_of(classes), CHANNELS)
    batch = batches(classes)[0]
    found = augment(batch, draws(0, 0, 0, 8))
    share = Mixup(0.4).shares(draws(0, 0, 0, 8)[:, 29:31])
    hard = torch.nn.functional.one_hot(batch["target"], 4).float()
    for own, other in ((0, 1), (1, 0), (6, 7), (7, 6)):
        for values, mixture in ((batch["image"], found["image"]), (hard, found["target"])):
            expected = share[own] * values[own] + (1 - share[own]) * values[other]
            torch.testing.assert_close(mixture[own], expected, rtol=0, atol=1e-6)
    assert (found["target"].sum(1) - 1).abs().max() < 1e-6


def test_shares_of_mixtures_are_beta_distributed_and_the_odd_one_stays_whole() -> None:
    share = Mixup(0.8).shares(draws(1, 0, 0, 8001)[:, :2])
    assert torch.equal(share[:-1:2], share[1::2])
    assert share[-1] == 1
    assert stats.kstest(share[:-1:2].double(), stats.beta(0.8, 0.8).cdf).pvalue > 0.01
    values = torch.randn(5, 3)
    assert torch.equal(mix(values, Mixup(0.2).shares(torch.zeros(5, 2)))[-1], values[-1])


def test_a_step_more_does_not_change_what_the_others_draw(fields: Path) -> None:
    batch, chance = batches(fields)[0], draws(0, 0, 0, 8)
    few = Augment(["flips", "crop"], manifest_of(fields), CHANNELS)(batch, chance)
    more = Augment(["crop", "speckle", "flips"], manifest_of(fields), CHANNELS)(batch, chance)
    assert torch.equal(few["target"], more["target"])
    assert not torch.equal(few["image"], more["image"])


def test_what_goes_beyond_the_declaration_is_logged_and_noted(classes: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        augment = Augment(["hflip", "quarter-turn", "rotate"], manifest_of(classes), CHANNELS)
        assert Augment(["flips", "crop"], manifest_of(classes), CHANNELS).notes == ()
    assert [record.getMessage() for record in caplog.records] == list(augment.notes)
    assert [note.partition(":")[0] for note in augment.notes] == ["hflip", "quarter-turn", "rotate"]
    assert "invented declares azimuth-flip, range-flip, range axis mixed" in augment.notes[1]
    assert "as in published recipes" in augment.notes[0]


def test_names_may_carry_a_number() -> None:
    assert parse(["flips", "crop", " crop:0.8".replace("crop", "speckle"), "mixup:1"]) == {
        "flips": 0,
        "crop": 0.08,
        "speckle": 0.8,
        "mixup": 1,
    }
    assert physical(["speckle"], "fgmae-uint8")
    assert not physical(["crop"], "fgmae-uint8")
    assert not physical(["speckle"], "zscore")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("flip", "unknown augmentation 'flip'. Did you mean 'flips'\\? There are 12, such as azimuth-flip, flips"),
        ("speckle:0", "'speckle:0': expected speckle with a number above 0, found '0'"),
        ("speckle:nan", "found 'nan'"),
        ("mixup:much", "found 'much'"),
        ("mixup:", "found ''"),
        ("flips:2", "expected flips with no number, found '2'"),
        ("crop:1.5", "smallest share of the area, at most 1"),
        ("drae:50", "below 50"),
    ],
)
def test_steps_that_do_not_exist_are_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse([name])


def test_a_step_named_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="'crop' is named twice"):
        parse(["crop", "crop:0.5"])


def test_steps_that_do_not_fit_the_task_or_the_normalization_are_refused(
    classes: str, fields: Path, ships: Path
) -> None:
    with pytest.raises(UsageError, match="mixup: expected a task of classes, found segmentation"):
        Augment(["mixup"], manifest_of(fields), CHANNELS)
    with pytest.raises(UsageError, match="rotate: boxes have no sides"):
        Augment(["rotate"], manifest_of(ships), CHANNELS)
    with pytest.raises(UsageError, match=r"drae: expected normalize 'sarhub'.*found 'minmax' for VV in dB, VH in dB"):
        Augment(["drae"], manifest_of(classes), CHANNELS, normalize="minmax")
    done = [Applied(step="normalize", parameters={"method": "sarhub"})]
    with pytest.raises(UsageError, match="drae: this build is normalized already"):
        Augment(["drae"], manifest_of(classes).model_copy(update={"applied": done}), CHANNELS, normalize="sarhub")
    with pytest.raises(UsageError, match="VV-VH is derived"):
        Augment(["speckle"], manifest_of(classes), ("VV", "VV-VH"))


def test_the_page_of_training_has_each_step_with_its_number() -> None:
    rows = (
        (name, f"{step.number.meaning}, {step.number.default:g}" if step.number else "", step.does)
        for name, step in STEPS.items()
    )
    table = "\n".join(f"| `{name}` | {number} | {does} |" for name, number, does in rows)
    assert table in (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
