"""Segmentation from build to sheet: it learns what single pixels do not tell, and answers alike however it is run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from matplotlib.image import imread
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from sar_data.errors import UsageError
from sar_data.record import IGNORE
from sar_data.stream.dataset import Stream
from sar_data.train import losses, preset
from sar_data.train import training as run
from sar_data.train.data import Data
from sar_data.train.metrics.areas import count_confusions, segmentation
from sar_data.train.models import backbone
from sar_data.train.predictions import confusions, read
from sar_data.train.ranks import Ranks
from sar_data.train.run import checkpoint
from sar_data.train.run.evaluate import evaluate
from sar_data.train.segment import Segmentation, masks
from sar_data.train.settings import Finetune, Segment
from sar_data.views.palette import palette
from tests.mini import invented
from tests.train import cut
from tests.train.conftest import SEGMENT as TINY
from tests.train.conftest import WINDOWS, sizes

pytestmark = pytest.mark.usefixtures("unrendered")

ALONE = Ranks(0, 1, torch.device("cpu"))
Masks = npt.NDArray[Any]


def trained(build: str, out: Path, **chosen: Any) -> dict[str, Any]:
    return run.run("segment", build, out, Segment(**{**TINY, **chosen}), say=lambda line: None)


def samples(build: str, split: str) -> tuple[Masks, Masks]:
    with Stream(build, split=split, batch_size=64, shuffle=False) as stream:
        batches = [(batch["image"].copy(), batch["target"].copy()) for batch in stream]
    images, targets = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return images, targets


def miou(target: Masks, predicted: Masks) -> float:
    counts = count_confusions(target, predicted.astype(np.uint8), 8).sum(axis=0)
    found = segmentation(counts, [str(i) for i in range(8)])["miou"]
    assert isinstance(found, float)
    return found


@pytest.mark.learn
def test_it_learns_what_no_threshold_on_the_two_bands_tells(landcover: str, tmp_path: Path) -> None:
    images, truth = samples(landcover, "train")
    tested, target = samples(landcover, "test")
    pixels, asked = (array.transpose(0, 2, 3, 1).reshape(-1, 2)[::16] for array in (images, tested))
    labels, target_of = truth.ravel()[::16], target.reshape(-1, 1)[::16]
    by_pixel = [
        miou(target_of[None], model.fit(pixels, labels).predict(asked).reshape(1, -1, 1))
        for model in (DecisionTreeClassifier(max_depth=8, random_state=0), LogisticRegression(max_iter=200))
    ]
    longer = {"crop": 64, "batch_size": 12, "epochs": 40, "lr": 0.008, "warmup": 3}
    found = trained(landcover, tmp_path / "run", **WINDOWS, **longer)["test"]["miou"]
    assert 0.3 < max(by_pixel) < 0.45
    assert found > max(by_pixel) + 0.1


def test_a_few_epochs_tell_more_than_any_one_class(landcover: str, short: Path) -> None:
    _, target = samples(landcover, "test")
    constant = max(miou(target, np.full_like(target, label)) for label in range(8))
    assert constant < 0.05
    assert json.loads((short / "metrics.json").read_text())["test"]["miou"] > constant + 0.1


def test_metrics_are_those_of_the_masks_that_were_written(landcover: str, short: Path) -> None:
    tables, names = read(short / "predictions.parquet")
    table = tables["test"]
    metrics = json.loads((short / "metrics.json").read_text())["test"]
    with Stream(landcover, split="test", batch_size=64, shuffle=False) as stream:
        target = {key: mask for batch in stream for key, mask in zip(batch["key"], batch["target"].copy(), strict=True)}
    found = {key: masks.decode((short / "masks" / "test" / f"{key}.png").read_bytes()) for key in target}
    assert sorted(target) == table["key"].to_pylist()
    assert [masks.decode(png).tolist() for png in table["mask"].to_pylist()] == [
        found[key].tolist() for key in sorted(target)
    ]
    counts = count_confusions(
        np.stack([target[k] for k in sorted(target)]), np.stack([found[k] for k in sorted(target)]), 8
    )
    assert np.array_equal(counts, confusions(table))
    assert segmentation(counts.sum(axis=0), names)["miou"] == metrics["miou"]
    assert metrics["pixel_accuracy"] == np.trace(counts.sum(axis=0)) / counts.sum()


def test_sheets_and_confusions_are_drawn(short: Path) -> None:
    for split in ("val", "test"):
        for name in (f"predictions-{split}.png", f"confusion-{split}.png"):
            picture = imread(short / name)
            assert min(picture.shape[:2]) > 300
            assert picture[..., :3].std() > 0.05


def test_a_mask_is_shown_in_its_classes_colours_and_read_back_as_their_numbers(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).integers(0, 8, (20, 30), np.uint8)
    mask[0, 0] = IGNORE
    png = masks.encode(mask, 8)
    assert np.array_equal(masks.decode(png), mask)
    (tmp_path / "mask.png").write_bytes(png)
    shown = (imread(tmp_path / "mask.png")[..., :3] * 255).round().astype(np.uint8)
    assert np.array_equal(shown, palette(8)[mask])
    for classes in (8, 20, 43):
        assert len(np.unique(palette(classes)[:classes], axis=0)) == classes


@pytest.mark.parametrize("shape", [(5, 7), (3, 4), (20, 10)])
def test_a_resized_mask_takes_the_nearest_pixels(shape: tuple[int, int]) -> None:
    mask = np.arange(70, dtype=np.uint8).reshape(10, 7)
    expected = torch.nn.functional.interpolate(torch.from_numpy(mask)[None, None], size=shape, mode="nearest-exact")
    assert np.array_equal(masks.resize(mask, shape), expected[0, 0].numpy())


def job(build: str, **chosen: Any) -> tuple[Segmentation, Data]:
    settings = Segment(**{**TINY, **chosen})
    data = Data(build, settings, ALONE)
    torch.manual_seed(0)
    encoder = backbone(settings.model, data.channels, image_size=data.side)
    return Segmentation(encoder, data, settings), data


@pytest.fixture
def opened() -> Iterator[list[Data]]:
    found: list[Data] = []
    yield found
    for data in found:
        data.close()


@pytest.mark.parametrize("loss", ["ce", "focal", "dice", "dice+0.4ce"])
@pytest.mark.parametrize("auxiliary", [0.0, 0.4])
def test_gradients_of_two_halves_are_those_of_the_whole_batch(
    squares: str, opened: list[Data], loss: str, auxiliary: float
) -> None:
    made, data = job(squares, loss=loss, auxiliary=auxiliary)
    opened.append(data)
    made.model.train().double()
    for module in made.model.modules():  # batch statistics differ between halves, as dropout does
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.Dropout2d):
            module.eval()
    batch = next(data.training())
    batch["image"] = batch["image"].double()
    batch["target"][:3, 8:] = IGNORE  # one half knows more pixels than the other
    whole = made.sums(made.model, batch)
    losses.backward(whole, whole.detach(), made.value, 1).backward()
    expected = [parameter.grad.clone() for parameter in made.model.parameters() if parameter.grad is not None]
    assert len(expected) == len(list(made.model.parameters()))
    made.model.zero_grad()
    halves = [{name: values[part] for name, values in batch.items()} for part in (slice(4), slice(4, None))]
    for half in halves:
        losses.backward(made.sums(made.model, half), whole.detach(), made.value, 1).backward()
    for parameter, gradient in zip(made.model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-6, atol=1e-6 * float(gradient.abs().max()))
    known = sum(made.known(half) for half in halves)
    assert made.linear == ("dice" not in loss)
    torch.testing.assert_close(known, made.known(batch))
    assert known.shape == whole.shape
    if made.linear:
        torch.testing.assert_close(known[1::2], whole.detach()[1::2])


def test_the_loss_is_torchs_and_the_auxiliary_one_counts_by_its_weight(squares: str, opened: list[Data]) -> None:
    made, data = job(squares, auxiliary=0.4)
    opened.append(data)
    made.model.train()
    batch = next(data.training())
    torch.manual_seed(1)
    found = made.value(made.sums(made.model, batch))
    torch.manual_seed(1)
    main, auxiliary = (
        torch.nn.functional.cross_entropy(logits, batch["target"], ignore_index=IGNORE)
        for logits in made.model(batch["image"])
    )
    torch.testing.assert_close(found.float(), main + 0.4 * auxiliary)
    assert main != auxiliary


@pytest.mark.parametrize(("loss", "tile"), [("ce", None), ("dice+0.4ce", None), ("ce", 32)])
def test_the_loss_of_a_split_is_that_of_all_its_logits_at_once(
    squares: str, opened: list[Data], loss: str, tile: int | None
) -> None:
    """Of 4 images in batches of 3: the last is filled with copies that do not count."""
    made, data = job(squares, loss=loss, auxiliary=0.4, tile=tile, batch_size=3)
    opened.append(data)
    made.model.eval()
    table = evaluate(made, data, "val", ALONE, lambda done: None)
    whole = job(squares, batch_size=4)[1]
    opened.append(whole)
    (batch,) = whole.evaluation("val")
    with torch.no_grad():
        logits, target = made.model(batch["image"])[0], batch["target"]
    assert (target == IGNORE).any()
    expected = torch.nn.functional.cross_entropy(logits, target, ignore_index=IGNORE)
    if "dice" in loss:
        dice = losses.loss("dice", 4, "segmentation")
        expected = dice.value(dice.sums(logits, target)) + 0.4 * expected
    assert made.loss(table) == pytest.approx(float(expected), rel=1e-5)
    assert made.loss(table.slice(0, 0)) is None


def test_images_of_several_sizes_are_evaluated_whole_and_keep_their_size(tmp_path: Path) -> None:
    shapes = [(20 + 7 * (i % 9), 90 - 8 * (i % 7)) for i in range(30)]
    made = invented.pipeline("segmentation", shape=None)
    build = invented.sealed(
        made,
        sizes(tmp_path / "raw", shapes),
        tmp_path / "builds",
        container="webdataset",
        split="random:train=0.5,val=0.3,test=0.2",
    )
    metrics = trained(str(build.path), tmp_path / "run", crop=32, epochs=1, batch_size=4)
    tables, _ = read(tmp_path / "run" / "predictions.parquet")
    assert len({shapes[int(key[1:])] for table in tables.values() for key in table["key"].to_pylist()}) > 10
    for table in tables.values():
        for key, png, counts in zip(
            table["key"].to_pylist(), table["mask"].to_pylist(), confusions(table), strict=True
        ):
            seed = int(key[1:])
            assert masks.decode(png).shape == shapes[seed]
            truth = invented.mask("segmentation", seed, shapes[seed])
            assert counts.sum(axis=1).tolist() == np.bincount(truth.ravel(), minlength=256)[:4].tolist()
    assert metrics["val"]["pixel_accuracy"] is not None


def test_a_resized_image_is_predicted_at_the_models_size_and_drawn_at_its_own(squares: str, tmp_path: Path) -> None:
    trained(squares, tmp_path / "run", model="test_vit", image_size=48, epochs=1, head="upernet-diary")
    table = read(tmp_path / "run" / "predictions.parquet")[0]["val"]
    assert {masks.decode(png).shape for png in table["mask"].to_pylist()} == {(48, 48)}
    assert (tmp_path / "run" / "predictions-val.png").exists()


def test_a_frozen_encoder_stays_as_it_is_and_its_decoder_learns(squares: str, tmp_path: Path) -> None:
    trained(squares, tmp_path / "run", freeze=True, epochs=1, auxiliary=0.4)
    trained(squares, tmp_path / "longer", freeze=True, epochs=2, auxiliary=0.4)
    one, two = (checkpoint.load(tmp_path / name / "checkpoints" / "last.pt") for name in ("run", "longer"))
    assert one is not None
    assert two is not None
    for name, value in one["model"].items():
        learns = not name.startswith("encoder.") and value.is_floating_point()
        assert torch.equal(value, two["model"][name]) != learns or name.endswith("num_batches_tracked"), name


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    squares: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"auxiliary": 0.4, "loss": "dice+ce", "augment": ("flips",), "layer_decay": 0.7, "accumulate": 2}
    cut.assert_resumes(lambda out: trained(squares, out, **told), tmp_path, monkeypatch, 3)


def test_options_that_do_not_go_together_are_refused_with_a_way_out(squares: str, classes: str) -> None:
    for chosen, message in (
        ({"batch_size": 1}, r"2 samples a batch or more.*`head=fpn`"),
        ({"centre": 0.9}, r"evaluates whole images"),
        ({"image_size": 64, "tile": 32}, r"omit `image_size=…`"),
        ({"model": "test_vit", "tile": 64}, r"expected `tile=32`, found 64"),
        ({"head": "segnet"}, r"unknown head 'segnet'"),
        ({"loss": "mini-cbl"}, r"unknown loss|expected one for"),
    ):
        with pytest.raises(UsageError, match=message):
            job(squares, **chosen)
    with pytest.raises(UsageError, match="segment takes masks"):
        job(classes)
    settings = Segment(**{**TINY, "image_size": 32, "model": "test_vit"})
    data = Data(classes, Finetune(model="test_vit", image_size=32, batch_size=4), ALONE)
    data.task = data.task.model_copy(update={"kind": "segmentation"})
    encoder = backbone("test_vit", data.channels, image_size=32)
    with pytest.raises(UsageError, match="expected square images, found 6 × 5"):
        Segmentation(encoder, data, settings)


@pytest.mark.parametrize(
    "name",
    ["dfc2020-upernet", "dfc2020-upernet-copernicus-split", "copernicus-bench-dfc2020-s1", "sarhub-segmentation"],
)
def test_presets_name_settings_that_exist_and_a_head_that_fits_their_model(name: str) -> None:
    found = preset.find(name)
    settings = preset.resolved("segment", found, {})
    assert isinstance(settings, Segment)
    assert set(found.settings) <= set(Segment.model_fields)
    with torch.device("meta"):
        encoder = backbone(settings.model, ("VV", "VH"), image_size=64)
    assert encoder.kind == ("cnn" if settings.head == "deeplabv3-mmseg" else "vit")


@pytest.mark.parametrize("name", ["dfc2020-upernet", "copernicus-bench-dfc2020-s1"])
def test_a_preset_runs_with_a_smaller_model(landcover: str, tmp_path: Path, name: str) -> None:
    small = {"model": "test_vit", "image_size": 64, "channels": 16, "epochs": 1, "batch_size": 12, "device": "cpu"}
    found = preset.find(name)
    settings = preset.resolved("segment", found, small)
    metrics = run.run("segment", landcover, tmp_path / "run", settings, preset=found, say=lambda line: None)
    assert metrics["test"]["count"] == 12
    assert json.loads((tmp_path / "run" / "config.json").read_text())["preset"] == name
