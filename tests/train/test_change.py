"""Changes between dates: geometry is common, speckle is not, order counts where it should, figures are of counts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn

import sar_data.train
from sar_data.errors import UsageError
from sar_data.record import IGNORE
from sar_data.sealed.opened import Build
from sar_data.train import preset
from sar_data.train import training as runs
from sar_data.train.augment import Augment
from sar_data.train.augment.draws import draws
from sar_data.train.data import Data
from sar_data.train.inference.embedding import EmbedRequest
from sar_data.train.inference.embedding import carry_out as embed
from sar_data.train.metrics import figures, title_of
from sar_data.train.metrics.events import by_event
from sar_data.train.metrics.jackknife import intervals
from sar_data.train.models import backbone
from sar_data.train.pictures.sheets import OUTCOMES, Segments, segments
from sar_data.train.predictions import changing, confusions, gathered, pixels, read, rows
from sar_data.train.ranks import Ranks
from sar_data.train.run.halt import Halted
from sar_data.train.segment import network
from sar_data.train.segment.change import ChangeDetection
from sar_data.train.segment.unet import UNet
from sar_data.train.settings import Change, Probe, Segment
from sar_data.train.weights.stem import fit
from tests.mini import changes, invented
from tests.train import cut
from tests.train.conftest import SEGMENT
from tests.train.test_run import weights

ALONE = Ranks(0, 1, torch.device("cpu"))
ALL_FLOODED = 0.4  # F1 of the answer that everything changed: a quarter of each image did
SHORT = {**SEGMENT, "epochs": 1}
LONGER = {**SEGMENT, "channels": 64, "epochs": 8}


@pytest.fixture(scope="module")
def floods(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """48 pairs of 12 floods: 24 to train on, 12 to choose on, 12 to test on."""
    return changes.sealed(changes.pipeline(), tmp_path_factory.mktemp("floods"), 48)


@pytest.fixture(scope="module")
def learnt(floods: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("learnt") / "run"
    trained(floods, out, **LONGER)
    return out


def trained(build: Build, out: Path, **chosen: Any) -> dict[str, Any]:
    return runs.run("change", str(build.path), out, Change(**{**SHORT, **chosen}), say=lambda line: None)


def opened(build: Build, **chosen: Any) -> Data:
    return Data(str(build.path), Change(**{**SHORT, **chosen}), ALONE)


@pytest.fixture
def data(floods: Build) -> Iterator[Data]:
    found = opened(floods)
    yield found
    found.close()


def test_it_finds_floods_and_tells_each_of_them(learnt: Path) -> None:
    found = json.loads((learnt / "metrics.json").read_text())["test"]
    assert found["f1_change"] > 0.75
    assert found["f1_change"] == found["per_class"]["flooded"]["f1"]
    assert found["iou_change"] == found["per_class"]["flooded"]["iou"]
    assert sum(event["count"] for event in found["by_event"].values()) == found["count"] == 12
    assert len(found["by_event"]) == 3
    assert found["intervals"]["method"].startswith("jackknife-t on the logit over 3 groups")
    low, high = found["intervals"]["f1_change"]
    assert low < found["f1_change"] < high


@pytest.mark.usefixtures("unrendered")
def test_masks_of_other_places_teach_nothing(floods: Build, tmp_path: Path) -> None:
    found = trained(floods, tmp_path / "run", **{**LONGER, "epochs": 4}, control="shuffled-labels")["test"]
    assert found["f1_change"] < ALL_FLOODED + 0.05


def test_a_sheet_shows_both_dates_and_where_the_change_was_found(learnt: Path, tmp_path: Path) -> None:
    assert imread(learnt / "predictions-test.png").std() > 0.05
    truth = np.array([[0, 1, 1, 0], [0, IGNORE, IGNORE, 0]], np.uint8).repeat(64, 0).repeat(64, 1)
    said = np.array([[1, 1, 0, 0], [0, 1, 0, 0]], np.uint8).repeat(64, 0).repeat(64, 1)
    image = np.random.default_rng(0).normal(-12, 3, (2, 1, *truth.shape)).astype(np.float32)
    shown, names = Segments(["a"], [image], [truth], [said]), ("dry", "flooded")
    segments(tmp_path / "sheet.png", shown, names, [False, True], units={"VV": "dB"})
    drawn = imread(tmp_path / "sheet.png")[..., :3]
    for colour in OUTCOMES.values():  # one square each, and an entry of the legend
        wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        squares = (np.abs(drawn - wanted).max(axis=-1) < 0.01).sum() / drawn[..., 0].size
        assert 0.01 < squares < 0.04


@pytest.mark.usefixtures("unrendered")
def test_a_finished_run_is_judged_predicted_with_compared_and_reported(
    learnt: Path, floods: Build, tmp_path: Path
) -> None:
    before = json.loads((learnt / "metrics.json").read_text())["test"]
    judged = sar_data.train.evaluate(learnt, floods.path, out=tmp_path / "judged", device="cpu")
    assert judged["test"]["f1_change"] == before["f1_change"]
    assert judged["test"]["by_event"] == before["by_event"]
    said = sar_data.train.predict(learnt, floods.path, split="test", out=tmp_path / "said", device="cpu")
    counts = confusions(read(learnt / "predictions.parquet")[0]["test"]).sum(axis=0)
    assert said["dry"] + said["flooded"] == 12 * changes.SIDE**2
    assert counts[:, 1].sum() <= said["flooded"] <= counts[:, 1].sum() + 12 * changes.SIDE  # and a column of no truth
    table = sar_data.train.compare([learnt, tmp_path / "judged"])
    assert "test F1 of change" in table
    assert "F1 of change" in sar_data.train.report(learnt, out=tmp_path / "page.html").read_text()
    with pytest.raises(UsageError, match="expected a sealed build, in which a sample has the 2 dates"):
        sar_data.train.predict(learnt, tmp_path, out=tmp_path / "none", device="cpu")
    with pytest.raises(UsageError, match="expected a model of single images, found one of 2 dates"):
        embed(EmbedRequest(source=learnt, build=floods.path, out=tmp_path / "features"), say=print)


def test_a_model_takes_dates_in_physical_units_and_answers_as_the_run(learnt: Path, floods: Build) -> None:
    model, data = sar_data.train.load(learnt), opened(floods)
    try:
        batch = next(iter(data.evaluation("test")))
        (image, _) = data.images("test", batch["key"][:1])[0]
        expected = model.network(batch["image"])[0][0]
    finally:
        data.close()
    with torch.inference_mode():
        found = model(torch.from_numpy(image)[None])[0]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    with pytest.raises(UsageError, match=r"expected \[B, 2, 2, H, W\] of VV in dB, VH in dB, found \[1, 4, 32, 32\]"):
        model(torch.zeros(1, 4, 32, 32))


def test_a_file_of_a_model_takes_dates_as_the_run(learnt: Path, tmp_path: Path) -> None:
    sar_data.train.export(learnt, to="torchscript", out=tmp_path / "file")
    described = json.loads((tmp_path / "file" / "model.json").read_text())
    assert described["input"]["shape"] == ["batch", 2, 2, 32, 32]
    assert "says of each pixel what changed" in (tmp_path / "file" / "README.md").read_text()


@pytest.mark.parametrize("name", ["ombria-unet", "copernicus-bench-flood-s1", "sen1floods11-unet"])
def test_presets_name_options_that_exist_and_networks_that_fit(name: str) -> None:
    found = preset.find(name)
    settings = preset.resolved(found.job, found, {})
    assert isinstance(settings, Segment)
    bands = settings.bands or ()
    with torch.device("meta"):
        made = network(backbone(settings.model, settings.seen(bands, 2), image_size=64), 3, settings, 2)
        assert logits(made.eval(), torch.empty(1, 2 * len(bands), 64, 64)).shape == (1, 3, 64, 64)


def fused(how: str, dates: int = 2, head: str = "unet", model: str = "test_resnet") -> nn.Module:
    settings = Change(model=model, fusion=how, head=head, channels=64)
    torch.manual_seed(0)
    encoder = backbone(settings.model, settings.seen(("VV", "VH"), dates), image_size=64)
    return network(encoder, 2, settings, dates).eval()


def logits(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(images)[0]
    return found


@pytest.mark.parametrize("how", ["early", "concat", "diff", "abs-diff"])
def test_the_order_of_two_dates_counts_but_for_absolute_differences(how: str) -> None:
    model, images = fused(how), torch.randn(2, 4, 64, 64)
    one, other = logits(model, images), logits(model, torch.cat([images[:, 2:], images[:, :2]], dim=1))
    assert one.shape == (2, 2, 64, 64)
    assert torch.allclose(one, other, atol=1e-5) == (how == "abs-diff")


@pytest.mark.parametrize("how", ["early", "concat", "diff", "abs-diff"])
@pytest.mark.parametrize(("head", "model"), [("unet", "vit_tiny_patch16_224"), ("fpn", "test_resnet")])
def test_every_fusion_takes_three_dates_in_their_order(how: str, head: str, model: str) -> None:
    made = fused(how, 3, head, model)
    images = torch.randn(2, 6, 64, 64)
    found = logits(made, images)
    assert found.shape == (2, 2, 64, 64)
    assert not torch.allclose(found, logits(made, images[:, [2, 3, 0, 1, 4, 5]]), atol=1e-6)
    made.train()(images)[0].square().mean().backward()
    assert all(parameter.grad is not None for parameter in made.parameters())


def test_a_build_of_dates_in_another_order_has_another_digest(floods: Build, tmp_path: Path) -> None:
    made = changes.pipeline()

    def reversed_dates(tree: Any, record: Any) -> Any:
        sample = made.read(tree, record)
        return dataclasses.replace(sample, image=np.ascontiguousarray(sample.image[::-1]))

    other = changes.sealed(dataclasses.replace(made, read=reversed_dates), tmp_path, 48)
    assert other.manifest.content_digest != floods.manifest.content_digest
    assert other.index()["mask_xxh3"].to_pylist() == floods.index()["mask_xxh3"].to_pylist()


def test_no_event_stands_in_two_splits(floods: Build) -> None:
    rows = floods.index().select(["group", "split"]).to_pylist()
    assert len({(row["group"], row["split"]) for row in rows}) == len({row["group"] for row in rows}) == changes.EVENTS


def test_of_equal_dates_there_is_no_difference() -> None:
    model = fused("diff")
    found = logits(model, torch.randn(1, 2, 64, 64).repeat(1, 2, 1, 1))
    torch.testing.assert_close(found, found[..., :1, :1].expand_as(found))


def test_weights_of_one_date_give_equal_dates_the_response_to_one() -> None:
    stem = torch.randn(8, 2, 3, 3)
    one, _ = fit(stem, ("VH", "VV"), ("VV", "VH"), adapt=False)
    both, _ = fit(stem, ("VH", "VV"), ("VV", "VH", "VV", "VH"), adapt=False)
    image = torch.randn(1, 2, 9, 9)
    expected = nn.functional.conv2d(image, one)
    torch.testing.assert_close(nn.functional.conv2d(image.repeat(1, 2, 1, 1), both), expected, atol=1e-5, rtol=1e-5)
    again, _ = fit(both, ("VV", "VH") * 2, ("VV", "VH") * 2, adapt=False)
    assert torch.equal(again, both)


def test_a_u_net_is_that_of_segmentation_models() -> None:
    inputs, widths = (8, 16, 24, 32), (32, 16, 8, 8, 8)
    ours, theirs = UNet(inputs, 32).eval(), UnetDecoder((0, 0, *inputs), widths).eval()
    values = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    assert all(one.shape == other.shape for one, other in values)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    levels = [torch.randn(2, width, side, side) for width, side in zip(inputs, (16, 8, 4, 2), strict=True)]
    finer = [torch.zeros(2, 0, side, side) for side in (64, 32)]
    torch.testing.assert_close(ours(levels), theirs([*finer, *levels]))


def steps(data: Data, *names: str, **chosen: Any) -> Augment:
    return Augment(names, data.manifest, data.channels, **chosen)


def test_geometry_moves_both_dates_and_the_mask_alike(data: Data) -> None:
    augment = steps(data, "hflip", "vflip", "quarter-turn", "crop:0.3", "rotate")
    plane = torch.arange(32.0 * 32).reshape(1, 1, 1, 32, 32) / 1024
    mask = (plane[:, 0, 0] > 0.5).long()
    batch = {"image": plane.repeat(4, 2, 2, 1, 1), "target": mask.repeat(4, 1, 1), "key": list("abcd")}
    found = augment(batch, draws(0, 0, 0, 4))["image"]
    assert found.shape == (4, 4, 32, 32)
    assert not torch.equal(found[0], found[1])
    for band in range(1, 4):
        assert torch.equal(found[:, band], found[:, 0])
    asked = augment(batch, draws(0, 0, 0, 4))["target"]
    clear = (asked != IGNORE) & ((found[:, 0] - 0.5).abs() > 0.05)
    assert torch.equal(asked[clear], (found[:, 0] > 0.5).long()[clear])


@pytest.mark.parametrize("normalize", ["zscore", "fgmae-uint8"])
def test_each_date_has_its_own_speckle(data: Data, normalize: str) -> None:
    batch = {"image": torch.full((2, 2, 2, 32, 32), -12.0), "key": ["a", "b"]}
    augment = steps(data, "speckle", normalize=normalize)
    found = augment(batch, draws(0, 0, 0, 2))["image"]
    again = augment({**batch, "image": batch["image"][:1], "key": ["a"]}, draws(0, 0, 0, 1))["image"]
    assert torch.equal(found[:1], again)  # by the sample's own numbers, whatever lies beside it
    planes = found.flatten(2).double()
    for i, one in enumerate(planes[0]):
        for other in planes[0, i + 1 :]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.15


def test_dates_are_exchanged_only_where_a_change_has_no_direction(floods: Build, data: Data, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"date-exchange: invented declares azimuth-flip.*has a direction, as a flood"):
        steps(data, "date-exchange")
    with pytest.raises(UsageError, match="date-exchange"):
        trained(floods, tmp_path / "run", augment=("date-exchange",))
    three = changes.sealed(changes.pipeline(dates=3), tmp_path / "three", 24)
    with pytest.raises(UsageError, match="expected a change between two dates, found 3 of a change task"):
        opened(three, augment=("date-exchange",))
    symmetric = changes.sealed(changes.pipeline(symmetries=("date-exchange",)), tmp_path / "both", 24)
    found = opened(symmetric, augment=("date-exchange",))
    batch = {"image": torch.arange(4.0).view(1, 2, 2, 1, 1).expand(64, 2, 2, 8, 8), "key": [""] * 64}
    orders = steps(found, "date-exchange")(batch, draws(0, 0, 0, 64))["image"][:, :, 0, 0].tolist()
    found.close()
    assert {tuple(one) for one in orders} == {(0, 1, 2, 3), (2, 3, 0, 1)}
    assert 16 < orders.count([0, 1, 2, 3]) < 48


@pytest.mark.usefixtures("unrendered")
def test_a_stopped_run_goes_on_to_the_same_bits(floods: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {"epochs": 2, "augment": ("hflip", "speckle"), "fusion": "concat", "drop_path": 0.0}
    whole = trained(floods, tmp_path / "whole", **chosen)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "Data", cut.at(4, cut.stop))
        with pytest.raises(Halted):
            trained(floods, tmp_path / "cut", **chosen)
    assert trained(floods, tmp_path / "cut", **chosen) == whole
    first, second = (weights(tmp_path / name)["model"] for name in ("whole", "cut"))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def masks_of(counts: Any, groups: list[str | None], changed: list[bool]) -> Any:
    """Return gathered predictions of confusion counts [image, target, predicted]."""
    counts = np.array(counts, np.int64)
    confidence = np.zeros((len(counts), 46))
    columns = pixels(counts, confidence) | changing(changed, len(counts))
    return gathered([rows([f"{i:02d}" for i in range(len(counts))], columns, groups=groups)])


def test_figures_are_of_summed_counts_and_of_the_classes_that_changed() -> None:
    # Land, water that was there before, flood; of the second image nothing is flooded.
    counts = [[[50, 2, 3], [1, 20, 4], [6, 5, 9]], [[80, 0, 20], [0, 0, 0], [0, 0, 0]]]
    table = masks_of(counts, ["a", "b"], [False, False, True])
    found = figures(table, ("land", "water", "flood"))
    hits, false, missed = 9, 3 + 4 + 20, 6 + 5
    assert found["precision_change"] == pytest.approx(hits / (hits + false))
    assert found["recall_change"] == pytest.approx(hits / (hits + missed))
    assert found["f1_change"] == pytest.approx(2 * hits / (2 * hits + false + missed))
    assert found["iou_change"] == pytest.approx(hits / (hits + false + missed))
    first = np.mean([50 / (55 + 7), 20 / (25 + 7), 9 / (20 + 7)])
    assert found["image_miou"] == pytest.approx((first + 80 / 100) / 2)
    assert found["miou"] == pytest.approx(np.mean([130 / (155 + 7), 20 / 32, 9 / 47]))
    assert title_of("f1_change") == "F1 of change"
    by_default = figures(masks_of(counts, ["a", "b"], [False, True, True]), ("land", "water", "flood"))
    assert by_default["f1_change"] == pytest.approx(np.mean([2 * 20 / (25 + 27), found["f1_change"]]))


def test_events_are_told_apart_and_intervals_leave_them_out_as_a_whole() -> None:
    random = np.random.default_rng(0)
    counts = random.integers(1, 50, (12, 2, 2))
    groups: list[str | None] = [f"flood {i % 3}" for i in range(12)]
    table = masks_of(counts, groups, [False, True])
    events = by_event(table)
    assert list(events) == ["flood 0", "flood 1", "flood 2"]
    (_, false), (missed, hits) = counts[1::3].sum(axis=0)
    assert events["flood 1"]["f1_change"] == pytest.approx(2 * hits / (2 * hits + false + missed))
    assert events["flood 1"]["count"] == 4
    told = intervals(table, ("dry", "flooded"))
    assert (told["unit"], told["units"]) == ("group", 3)
    for name in ("f1_change", "iou_change", "precision_change", "recall_change", "miou", "image_miou"):
        low, high = told[name]
        assert low < figures(table, ("dry", "flooded"))[name] < high
    assert by_event(masks_of(counts, [*groups[:-1], None], [False, True])) == {}


def test_an_event_without_change_has_no_f1_but_false_alarms_count_in_the_whole() -> None:
    table = masks_of([[[90, 10], [0, 0]], [[50, 0], [10, 40]]], ["quiet", "flood"], [False, True])
    quiet = by_event(table)
    assert quiet == {}  # of one sample each there are no events
    table = masks_of([[[90, 10], [0, 0]]] * 2 + [[[50, 0], [10, 40]]] * 2, ["quiet"] * 2 + ["flood"] * 2, [False, True])
    assert by_event(table)["quiet"]["f1_change"] is None
    assert figures(table, ("dry", "flooded"))["f1_change"] == pytest.approx(80 / (80 + 10 + 10))


def test_what_is_not_there_to_be_compared_is_refused(floods: Build, squares: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"change takes several dates of a place.*there is `segment`"):
        runs.run("change", squares, tmp_path / "run", Change(**SHORT), say=print)
    with pytest.raises(UsageError, match="segment takes masks; there is `change`"):
        runs.run("segment", str(floods.path), tmp_path / "run", Segment(**SHORT), say=print)
    with pytest.raises(UsageError, match=r"unknown class of `changed` 'floded'. Did you mean 'flooded'"):
        trained(floods, tmp_path / "run", changed=("floded",))
    with pytest.raises(UsageError, match="expected some of the classes dry, flooded, found none"):
        trained(floods, tmp_path / "run", changed=())
    alone = changes.sealed(changes.pipeline(dates=1), tmp_path / "one", 24)
    with pytest.raises(UsageError, match="expected two dates or more a sample, found 1"):
        trained(alone, tmp_path / "run")
    seasons = invented.pipeline("multiclass", frames=2)
    build = invented.sealed(seasons, invented.archive(tmp_path / "seasons", 40), tmp_path / "builds")
    with pytest.raises(UsageError, match="expected one image a sample, found 2: only `change` takes several"):
        Data(str(build.path), Probe(batch_size=4), ALONE)


def test_another_number_of_dates_is_not_what_a_model_takes(learnt: Path, tmp_path: Path) -> None:
    three = changes.sealed(changes.pipeline(dates=3), tmp_path, 24)
    with pytest.raises(UsageError, match="expected samples of 2 dates, as the model takes, found 3"):
        sar_data.train.evaluate(learnt, three.path, out=tmp_path / "judged", device="cpu")
    with pytest.raises(UsageError, match="expected samples of 2 dates, as the model takes, found 3"):
        sar_data.train.predict(learnt, three.path, out=tmp_path / "said", device="cpu")


def test_images_that_are_constant_or_have_no_data_and_masks_without_truth_count_for_nothing(data: Data) -> None:
    settings = Change(**SHORT)
    encoder = backbone(settings.model, settings.seen(data.channels, 2), image_size=data.side)
    job = ChangeDetection(encoder, data, settings)
    job.model.eval()
    images = torch.unflatten(torch.stack([torch.zeros(4, 32, 32), torch.full((4, 32, 32), torch.nan)]), 1, (2, 2))
    batch = {"image": images, "target": torch.full((2, 32, 32), IGNORE), "key": ["a", "b"]}
    seen = data._augment.prepare(batch)
    assert torch.isfinite(seen["image"]).all()
    with torch.no_grad():
        sums = job.sums(job.model, seen)
        table = gathered([rows(["a", "b"], job.predict(job.model, seen))])
    assert float(job.value(sums)) == 0.0  # where torch's is NaN
    found = job.score(table)
    assert found["count"] == 2
    assert found["f1_change"] is None
    assert found["miou"] is None
    assert found["image_miou"] is None
