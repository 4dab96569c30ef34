"""Pretraining on images alone: what is drawn and masked, an exact resume, and an encoder that other jobs take."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.image import imread
from timm.models.vision_transformer import Block, PatchEmbed
from torch import Tensor, nn

import sar_data.train
from sar_data import catalog
from sar_data.errors import RunError, UsageError
from sar_data.train import training as runs
from sar_data.train.builds import Together
from sar_data.train.data import Data
from sar_data.train.inference.embedding import EmbedRequest
from sar_data.train.inference.embedding import carry_out as embed
from sar_data.train.inference.finished import opened
from sar_data.train.models import backbone
from sar_data.train.models.encoder import Backbone
from sar_data.train.pretrain import Pretraining
from sar_data.train.pretrain.autoencoder import Autoencoder
from sar_data.train.pretrain.hog import histograms
from sar_data.train.pretrain.masking import errors, order
from sar_data.train.pretrain.sheet import strokes
from sar_data.train.pretrain.targets import Target
from sar_data.train.ranks import Ranks
from sar_data.train.run.halt import Halted
from sar_data.train.run.schedule import optimiser
from sar_data.train.settings import JOBS, Pretrain
from tests.mini import changes
from tests.mini.builds import make
from tests.train import cut
from tests.train.conftest import SEGMENT, TINY, Finished
from tests.train.test_run import assert_same, weights

ALONE = Ranks(0, 1, torch.device("cpu"))
SMALL: dict[str, Any] = {
    "model": "test_vit",
    "image_size": 32,
    "mask_ratio": 0.5,
    "decoder_width": 32,
    "decoder_depth": 1,
    "decoder_heads": 2,
    "batch_size": 8,
    "epochs": 2,
    "threads": 1,
    "device": "cpu",
}
HOG = {**SMALL, "target": "hog", "normalize": "fgmae-uint8", "noise": "speckle:4"}


@pytest.fixture(scope="module")
def seasons(tmp_path_factory: pytest.TempPathFactory) -> str:
    """20 places in four seasons, 17 of them in train; one place in five lacks the last season."""
    folder = tmp_path_factory.mktemp("seasons")
    catalog.synthesise("ssl4eo-s12")(folder / "raw", count=20, seed=1)
    split = "random:train=0.8,val=0.1,test=0.1"
    return str(make(catalog.pipeline("ssl4eo-s12"), folder / "raw", folder / "builds", split=split).path)


@pytest.fixture(scope="module")
def pretrained(seasons: str, classes: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on seasons, with noise, that watches a build of classes."""
    out = tmp_path_factory.mktemp("pretrained") / "run"
    trained(seasons, out, **HOG, accumulate=2, watch=classes, watch_every=2)
    return out


def trained(build: str | list[str], out: Path, together: Together | None = None, **chosen: Any) -> dict[str, Any]:
    settings = Pretrain(**{**SMALL, **chosen})
    return runs.run("pretrain", build, out, settings, say=lambda line: None, together=together)


@pytest.fixture
def data(seasons: str) -> Iterator[Data]:
    found = Data(seasons, Pretrain(**HOG), ALONE)
    yield found
    found.close()


def test_a_target_that_is_seen_has_no_gradient() -> None:
    where, target = order(torch.arange(3), 16), torch.rand(3, 16, 5, requires_grad=True)
    errors(torch.zeros(3, 16, 5), target, where, 4).sum().backward()
    assert target.grad is not None
    moved = target.grad.abs().sum(dim=2) > 0
    assert not moved.gather(1, where[:, :4]).any()
    assert moved.gather(1, where[:, 4:]).all()


def test_eight_images_can_be_learnt_by_heart(data: Data) -> None:
    torch.manual_seed(0)
    settings = Pretrain(**{**HOG, "decoder_width": 64, "decoder_heads": 4}, lr=3e-3)
    job = Pretraining(backbone("test_vit", data.channels, image_size=32), data, settings)
    batch = next(iter(data.training()))
    steps, losses = optimiser(job.model, job.encoder, settings), []
    for _ in range(150):
        steps.zero_grad()
        loss = job.value(job.sums(job.model, batch))
        loss.backward()
        steps.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]


def test_seasons_without_any_data_are_never_seen(data: Data) -> None:
    for _ in range(2):
        for batch in data.training():
            assert batch["image"].flatten(1).std(dim=1).min() > 0


def test_noise_is_of_what_is_seen_and_not_of_the_target(data: Data) -> None:
    batch = next(iter(data.training()))
    assert batch["image"].shape == batch["clean"].shape == (8, 2, 32, 32)
    assert "target" not in batch
    apart = (batch["image"] - batch["clean"]).abs().flatten(1).mean(dim=1)
    assert (apart > 0.01).all()
    plain = Data(data.build, Pretrain(**{**HOG, "noise": None}), ALONE)
    try:
        assert torch.equal(next(iter(plain.training()))["image"], batch["clean"])
    finally:
        plain.close()


def test_a_run_leaves_a_curve_a_sheet_and_what_the_watched_build_says(pretrained: Path) -> None:
    rows = [json.loads(line) for line in (pretrained / "log.jsonl").read_text().splitlines()]
    assert "watch_oa" not in rows[0]
    assert 0 <= rows[1]["watch_oa"] <= 1
    found = json.loads((pretrained / "metrics.json").read_text())
    assert found["train"] == {"count": 17, "loss": rows[1]["loss"], "watch_oa": rows[1]["watch_oa"]}
    assert found["selection"]["on"] == "last"
    assert imread(pretrained / "reconstructions-train.png").std() > 0.1
    assert (pretrained / "curves.png").is_file()
    assert not (pretrained / "predictions.parquet").exists()


@pytest.mark.usefixtures("unrendered")
def test_a_stopped_run_ends_with_the_very_weights_of_one_that_was_not(
    pretrained: Path, seasons: str, classes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**HOG, "accumulate": 2, "watch": classes, "watch_every": 2}
    with monkeypatch.context() as patch:
        patch.setattr(runs, "Data", cut.at(3, cut.stop))
        with pytest.raises(Halted):
            trained(seasons, tmp_path / "run", **settings)
    trained(seasons, tmp_path / "run", **settings)
    one, other = weights(pretrained), weights(tmp_path / "run")
    assert_same(one["model"], other["model"])
    assert one["progress"]["rows"][1]["loss"] == other["progress"]["rows"][1]["loss"]


@pytest.mark.parametrize("job", ["probe", "finetune", "segment", "change"])
@pytest.mark.usefixtures("unrendered")
def test_another_job_takes_the_encoder_as_it_is(
    job: str, pretrained: Path, classes: str, squares: str, tmp_path: Path
) -> None:
    builds = {"segment": lambda: squares, "change": lambda: str(changes.sealed(changes.pipeline(), tmp_path, 24).path)}
    weighted = {"model": "test_vit", "weights": str(pretrained / "checkpoints" / "last.pt"), "epochs": 1}
    weighted |= {"normalize": "fgmae-uint8", "threads": 1, "device": "cpu"}
    if job in builds:
        build, chosen = builds[job](), {**SEGMENT, **weighted, "head": "unet"}
    else:
        build, chosen = classes, {**{name: TINY[name] for name in ("image_size", "batch_size")}, **weighted}
    metrics = runs.run(job, build, tmp_path / "run", JOBS[job](**chosen), say=lambda line: None)
    assert metrics["test"]["count"] > 0
    taken = json.loads((tmp_path / "run" / "config.json").read_text())["weights"]
    assert taken["layout"] == "vit"
    assert not taken["fresh"]
    assert not taken["resized"]
    assert all(name.startswith(("decoder.", "encoder.net.norm.", "norm.")) for name in taken["dropped"])


@pytest.mark.usefixtures("unrendered")
def test_another_pretraining_goes_on_from_it(pretrained: Path, seasons: str, tmp_path: Path) -> None:
    trained(seasons, tmp_path / "run", **{**HOG, "epochs": 1}, init=str(pretrained), lr=1e-9, weight_decay=0.0)
    before, after = weights(pretrained)["model"], weights(tmp_path / "run")["model"]
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=1e-6, rtol=0)


def test_it_gives_features_and_no_answers(pretrained: Path, classes: str, tmp_path: Path) -> None:
    path = embed(EmbedRequest(source=pretrained, build=classes, out=tmp_path / "features", device="cpu"), say=print)
    assert path.is_file()
    for ask in (
        lambda: sar_data.train.evaluate(pretrained, classes, device="cpu"),
        lambda: sar_data.train.predict(pretrained, classes, out=tmp_path / "said", device="cpu"),
        lambda: sar_data.train.load(pretrained),
    ):
        with pytest.raises(RunError, match=r"found a pretraining, which leaves an encoder.*weights="):
            ask()


@pytest.mark.usefixtures("unrendered")
def test_several_builds_of_other_tasks_are_mixed_and_none_is_seen_twice(
    classes: str, several: str, tmp_path: Path
) -> None:
    """The images of both builds are the same, and so the second one's train samples are copies."""
    together = Together(mix=(1.0, 3.0), drop_duplicates=True)
    lines: list[str] = []
    settings = Pretrain(**{**SMALL, "epochs": 1})
    metrics = runs.run("pretrain", [classes, several], tmp_path / "run", settings, say=lines.append, together=together)
    assert metrics["duplicates"]["second_copy"] > 0
    assert any(line.startswith("mix: an epoch draws") for line in lines)
    assert any("their images alone are read" in line for line in lines)


@pytest.mark.usefixtures("unrendered")
def test_seasons_and_single_images_are_mixed(seasons: str, classes: str, tmp_path: Path) -> None:
    settings = {"crop": 6, "image_size": 32, "epochs": 1}
    metrics = trained([seasons, classes], tmp_path / "run", Together(mix=(1.0, 2.0)), **settings)
    assert metrics["train"]["count"] == 17 + 87


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("target", ["pixel", "mgf"])
def test_masks_are_not_read_and_every_target_is_learnt(target: str, squares: str, tmp_path: Path) -> None:
    chosen = {"target": target, "normalize": "minmax", "mgf_radii": (2, 5), "lr": 3e-3, "epochs": 6}
    trained(squares, tmp_path / "run", **chosen)
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < rows[0]["loss"]


@pytest.mark.usefixtures("unrendered")
def test_the_control_learns_targets_of_other_images(seasons: str, tmp_path: Path) -> None:
    assert trained(seasons, tmp_path / "run", **HOG, control="shuffled-labels")["train"]["loss"] > 0
    with pytest.raises(UsageError, match="expected 2 images a batch"):
        trained(seasons, tmp_path / "one", **{**HOG, "batch_size": 1}, control="shuffled-labels")


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"freeze": True}, "freeze: of jobs with labels"),
        ({"task": "cover"}, "task: of jobs with labels"),
        ({"noise": "gauss"}, "noise"),
        ({"decoder_heads": 3}, "decoder_width 32: expected a multiple of 3 heads"),
        ({"mgf_radii": ()}, "mgf_radii"),
    ],
)
def test_options_that_mean_nothing_are_refused(chosen: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Pretrain(**{**SMALL, **chosen})


class Theirs(nn.Module):
    """FG-MAE's network by its names, whose masks are given."""

    def __init__(self, encoder: Backbone, decoder: int) -> None:
        super().__init__()
        width, first = encoder.width, encoder.net.blocks[0]
        ratio = first.mlp.fc1.out_features / width
        block: dict[str, Any] = {"qkv_bias": True, "norm_layer": partial(nn.LayerNorm, eps=1e-6)}
        self.patch_embed = PatchEmbed(32, 16, 2, width)
        self.cls_token, self.mask_token = (nn.Parameter(torch.zeros(1, 1, size)) for size in (width, decoder))
        self.pos_embed, self.decoder_pos_embed = (nn.Parameter(torch.zeros(1, 5, size)) for size in (width, decoder))
        self.blocks = nn.ModuleList([Block(width, first.attn.num_heads, ratio, **block) for _ in encoder.net.blocks])
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.decoder_embed = nn.Linear(width, decoder)
        self.decoder_blocks = nn.ModuleList([Block(decoder, 2, 4.0, **block)])
        self.decoder_norm, self.decoder_pred = nn.LayerNorm(decoder, eps=1e-6), nn.Linear(decoder, 72)
        self.hog = nn.Module()
        for name, shape in (("weight_x", (2, 1, 3, 3)), ("weight_y", (2, 1, 3, 3)), ("gkern", (16, 16))):
            self.hog.register_buffer(name, torch.zeros(shape))

    def forward(self, images: Tensor, kept: Tensor, restored: Tensor) -> Tensor:
        x = self.patch_embed(images) + self.pos_embed[:, 1:]
        x = torch.gather(x, 1, kept.unsqueeze(-1).repeat(1, 1, x.shape[2]))
        x = torch.cat(((self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1), x), dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.decoder_embed(self.norm(x))
        masks = self.mask_token.repeat(len(x), restored.shape[1] + 1 - x.shape[1], 1)
        patches = torch.cat([x[:, 1:], masks], dim=1)
        patches = torch.gather(patches, 1, restored.unsqueeze(-1).repeat(1, 1, x.shape[2]))
        x = torch.cat([x[:, :1], patches], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            x = block(x)
        predicted: Tensor = self.decoder_pred(self.decoder_norm(x))[:, 1:]
        return predicted


def test_a_network_built_as_theirs_takes_every_tensor_and_predicts_alike(pretrained: Path, tmp_path: Path) -> None:
    path = sar_data.train.export(pretrained, to="fgmae", out=tmp_path / "theirs")
    tensors = torch.load(path, weights_only=True)["model"]
    own = opened(pretrained, answers=False).network()
    assert isinstance(own, Autoencoder)
    theirs = Theirs(own.encoder, 32)
    theirs.load_state_dict(tensors, strict=True)
    images, where = torch.rand(3, 2, 32, 32), order(torch.arange(3), 4)
    found = theirs(images, where[:, :2], where.argsort(dim=1))
    torch.testing.assert_close(found, own(images, where), atol=1e-5, rtol=1e-5)
    # The kernels are those that their HOG is computed with.
    image = torch.rand(1, 2, 32, 32)
    wide = torch.nn.functional.pad(image, (1, 1, 1, 1), mode="reflect")
    along, down = (torch.nn.functional.conv2d(wide, tensors[f"hog.weight_{axis}"], groups=2) for axis in "xy")
    length = torch.hypot(along, down) * tensors["hog.gkern"].repeat(2, 2)
    which = (torch.atan2(along, down) / math.pi * 9).floor().long() % 9
    votes = torch.zeros(1, 2, 9, 32, 32).scatter_(2, which[:, :, None], length[:, :, None])
    cells = torch.nn.functional.normalize(votes.unfold(3, 8, 8).unfold(4, 8, 8).sum((-1, -2)), dim=2)
    rows = cells.flatten(1, 2).permute(0, 2, 3, 1).unfold(1, 2, 2).unfold(2, 2, 2).flatten(1, 2).flatten(2)
    torch.testing.assert_close(histograms(image, 16), rows, atol=1e-5, rtol=0)
    described = json.loads((tmp_path / "theirs" / "model.json").read_text())
    assert described["units"] == {"VV": "dB", "VH": "dB"}


def test_what_is_no_pretraining_of_theirs_is_not_exported_so(finished: Finished, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a pretraining of pixels or HOG, found finetune"):
        sar_data.train.export(finished.out, to="fgmae", out=tmp_path / "out")


def test_a_watched_build_without_classes_is_refused_before_training(seasons: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no task to train"):
        trained(seasons, tmp_path / "run", watch=seasons)


def test_strokes_lie_along_edges() -> None:
    image = torch.zeros(1, 1, 32, 32)
    image[..., 16:] = 1  # an upright edge in the middle, which the cells on both sides of it see
    described = Target("hog", 16, 1, (), standardize=False)
    for turned in (False, True):
        drawn = strokes(described(image.transpose(2, 3) if turned else image), 16)[0]
        along = (drawn.T if turned else drawn).sum(dim=0).nonzero().flatten().tolist()
        assert set(along) <= {10, 11, 12, 13, 18, 19, 20, 21}
        assert {11, 12, 19, 20} <= set(along)
