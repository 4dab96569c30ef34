"""A run from first to last, cut and gone on with, refused and repeated."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sar_data.errors import BuildError, RunError, UsageError
from sar_data.train import training as run
from sar_data.train.data import Data
from sar_data.train.metrics import headline
from sar_data.train.predictions import read, scores, targets
from sar_data.train.ranks import Ranks
from sar_data.train.run import checkpoint
from sar_data.train.run.halt import Halted
from sar_data.train.settings import Finetune, Probe
from tests.mini import invented
from tests.train import cut
from tests.train.conftest import TINY, Finished
from tests.views.figures import texts

pytestmark = pytest.mark.usefixtures("unrendered")


def trained(build: str, out: Path, **chosen: Any) -> dict[str, Any]:
    return run.run("finetune", build, out, Finetune(**{**TINY, **chosen}), say=lambda line: None)


def weights(out: Path, name: str = checkpoint.LAST) -> dict[str, Any]:
    state = checkpoint.load(out / "checkpoints" / name)
    assert state is not None
    return state


def assert_same(a: Any, b: Any) -> None:
    """Compare two states to the last bit."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            if name not in ("samples_s", "waiting"):
                assert_same(a[name], b[name])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    else:
        assert a == b


def test_a_run_leaves_its_options_metrics_predictions_log_and_checkpoints(finished: Finished) -> None:
    out, metrics = finished.out, finished.metrics
    config = json.loads((out / "config.json").read_text())
    assert config["settings"]["model"] == "test_vit"
    left = {name: config["settings"][name] for name in ("bands", "task", "pooling", "loss", "device")}
    assert left == {"bands": ["VV", "VH"], "task": "cover", "pooling": "cls", "loss": "ce", "device": "cpu"}
    assert config["build"]["samples"] == {"train": 87, "val": 8, "test": 8}
    assert config["parameters"]["trained"] == config["parameters"]["total"] > 0
    assert json.loads((out / "metrics.json").read_text()) == metrics
    tables, names = read(out / "predictions.parquet")
    assert {split: len(table) for split, table in tables.items()} == {"val": 8, "test": 8}
    assert names == ("water", "wood", "field", "town")
    assert [json.loads(line)["epoch"] for line in (out / "log.jsonl").read_text().splitlines()] == [1, 2]
    assert metrics["test"]["count"] == 8


def test_a_finished_run_is_left_as_it_is(classes: str, finished: Finished, out: Path) -> None:
    before = (finished.copied(out) / "checkpoints" / "last.pt").stat().st_mtime_ns
    assert trained(classes, out) == finished.metrics
    assert (out / "checkpoints" / "last.pt").stat().st_mtime_ns == before


def test_a_finished_run_is_drawn_again_in_another_format_without_training(
    classes: str, finished: Finished, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # these pictures are looked at
    before = (finished.copied(out) / "checkpoints" / "last.pt").stat().st_mtime_ns
    pictures = {path.stem for path in out.glob("*.png")}
    assert trained(classes, out, picture_format="svg") == finished.metrics
    assert {path.stem for path in out.glob("*.svg")} == pictures > {"curves", "confusion-test", "predictions-val"}
    assert (out / "checkpoints" / "last.pt").stat().st_mtime_ns == before
    title = texts(out / "predictions-test.svg")[0]
    assert " · test_vit · test: OA " in title
    assert "val loss" in " ".join(texts(out / "curves.svg"))


def test_the_loss_of_val_is_the_mean_cross_entropy_of_its_predictions(finished: Finished) -> None:
    table = read(finished.out / "predictions.parquet")[0]["val"]
    chosen = finished.metrics["selection"]["epoch"]
    row = json.loads((finished.out / "log.jsonl").read_text().splitlines()[chosen - 1])
    logits, target = (torch.tensor(of(table)) for of in (scores, targets))
    assert row["val_loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, target)), rel=1e-5)


def test_other_options_in_the_same_folder_are_refused_by_name(classes: str, finished: Finished, out: Path) -> None:
    finished.copied(out)
    with pytest.raises(UsageError, match=r"lr was 0\.01, now 0\.02"):
        trained(classes, out, lr=0.02)


def test_a_finished_run_is_scored_as_fgmae_does_from_its_predictions(
    classes: str, finished: Finished, out: Path
) -> None:
    before = finished.metrics
    assert "fgmae_batched" not in before["test"]
    after = trained(classes, finished.copied(out), metrics="fgmae-batched")
    assert after == json.loads((out / "metrics.json").read_text())
    whole = trained(classes, out.with_name("other"), metrics="fgmae-batched")
    assert after == whole
    for split in ("val", "test"):
        assert after[split].pop("fgmae_batched")["batch"] == 16
    assert after == before


def test_a_figure_that_was_chosen_on_test_says_so_wherever_it_is_shown(classes: str, out: Path) -> None:
    told: list[str] = []
    settings = Finetune(**{**TINY, "select": "test", "epochs": 1})
    metrics = run.run("finetune", classes, out, settings, say=told.append)
    assert metrics["test"]["chosen_on"] == "test (as published)"
    assert "chosen_on" not in metrics["val"]
    assert any("test_oa" in line and "as published" in line for line in told)
    assert headline("test", "oa", metrics["test"]).endswith(", chosen on test (as published)")
    assert headline("val", "oa", metrics["val"]) == f"val: OA {metrics['val']['oa']:.3f}"


def test_another_job_in_the_same_folder_is_told_as_that(classes: str, finished: Finished, out: Path) -> None:
    finished.copied(out)
    with pytest.raises(UsageError, match="another run: job was finetune, now probe"):
        run.run("probe", classes, out, Probe(model="test_vit", image_size=32, device="cpu"), say=print)


def test_a_folder_of_other_files_is_not_written_into(classes: str, out: Path) -> None:
    out.mkdir()
    (out / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match="found other files"):
        trained(classes, out)
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_stopped_after_every_step_goes_on_to_the_same_bits(
    classes: str, out: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[int, Path], accumulate: int
) -> None:
    """Each start takes the next step and is stopped in it; the last one finds all steps taken."""
    told = {"accumulate": accumulate, "drop_path": 0.2}
    steps = 10 // accumulate if accumulate == 1 else 6  # of 5 batches an epoch, two by two
    for step in range(steps):
        with monkeypatch.context() as patch:
            patch.setattr(run, "Data", cut.at(0, cut.stop))
            with pytest.raises(Halted):
                trained(classes, out, **told)
        assert weights(out)["progress"]["step"] == step + 1
        assert not (out / "metrics.json").exists()
    trained(classes, out, **told)
    assert_same(weights(out), weights(whole[accumulate]))
    assert_same(weights(out, checkpoint.BEST), weights(whole[accumulate], checkpoint.BEST))
    for name in ("metrics.json", "predictions.parquet"):
        assert (out / name).read_bytes() == (whole[accumulate] / name).read_bytes()


def test_a_run_stopped_while_it_evaluates_goes_on_to_the_same_bits(
    classes: str, out: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[int, Path]
) -> None:
    """Passes 0 and 1 are of val, after each epoch; 2 and 3 of val and test, at the end. Each start gets one further."""
    for number in range(4):
        with monkeypatch.context() as patch:
            patch.setattr(run, "Data", cut.judging(min(number, 1), cut.stop))
            with pytest.raises(Halted):
                trained(classes, out, drop_path=0.2)
        state = weights(out)
        assert state["progress"]["step"] == (5 if number == 0 else 10)
        assert len(state["progress"]["rows"]) == min(number, 2)  # what was not evaluated yet is not closed
    trained(classes, out, drop_path=0.2)
    assert_same(weights(out), weights(whole[1]))
    assert_same(weights(out, checkpoint.BEST), weights(whole[1], checkpoint.BEST))
    assert (out / "metrics.json").read_bytes() == (whole[1] / "metrics.json").read_bytes()


@pytest.fixture(scope="module")
def whole(classes: str, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Uninterrupted runs of 10 batches, by how many make a step."""
    found = {count: tmp_path_factory.mktemp("whole") / "run" for count in (1, 2)}
    for count, out in found.items():
        trained(classes, out, accumulate=count, drop_path=0.2)
    return found


def test_a_checkpoint_inside_an_epoch_is_gone_on_from(
    classes: str, out: Path, whole: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(batch: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "Data", cut.at(4, fail))
        with pytest.raises(KeyboardInterrupt):
            trained(classes, out, drop_path=0.2, checkpoint_every=3)
    assert weights(out)["progress"]["step"] == 3
    trained(classes, out, drop_path=0.2, checkpoint_every=3)
    assert_same(weights(out)["model"], weights(whole[1])["model"])


def test_a_loss_that_is_no_number_stops_with_the_keys_of_its_samples(
    classes: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "Data", cut.at(3, cut.poison))
    with pytest.raises(RunError, match=r"loss became nan in step 4: .*s00\d\d") as raised:
        trained(classes, out)
    assert re.search(r"(s\d{4}, ){4}s\d{4} and 11 more$", str(raised.value))
    assert weights(out)["progress"]["step"] == 0 if (out / "checkpoints" / "last.pt").exists() else True


def test_a_damaged_image_ends_the_training_and_is_named(classes: str, out: Path, tmp_path: Path) -> None:
    build = Path(shutil.copytree(classes, tmp_path / "damaged"))
    path = next(path for path in (build / "train/image/c").rglob("*") if path.is_file())
    data = bytearray(path.read_bytes())
    data[1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BuildError, match=r"train/image/c/\d/0/0/0: s\d+: expected xxh3"):
        trained(str(build), out, epochs=1)


def test_a_torn_checkpoint_is_named(classes: str, finished: Finished, out: Path) -> None:
    path = finished.copied(out) / "checkpoints" / "last.pt"
    (out / "metrics.json").unlink()
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"last\.pt: expected a checkpoint"):
        trained(classes, out)


def test_several_classes_are_learnt_with_a_figure_of_precision(several: str, out: Path) -> None:
    metrics = trained(several, out, select="val")
    assert 0 <= metrics["val"]["map_micro"] <= 1
    assert metrics["test"]["thresholds"]["chosen_on"] == metrics["thresholds"]["chosen_on"] == "val"
    assert "thresholds" not in metrics["val"]
    assert metrics["test"]["calibration"]["ece"] >= 0
    assert (out / "reliability-test.png").is_file()


def test_a_frozen_encoder_keeps_its_weights_and_statistics(classes: str, out: Path) -> None:
    trained(classes, out, model="test_resnet", freeze=True, epochs=1, head="bn-linear")
    config = json.loads((out / "config.json").read_text())
    assert config["parameters"]["trained"] == 4 * (96 + 1)
    state = weights(out)["model"]
    tracked = [value for name, value in state.items() if name.startswith("encoder") and name.endswith("running_mean")]
    assert tracked
    assert not any(value.any() for value in tracked)


def test_a_runs_checkpoint_is_another_runs_weights(several: str, finished: Finished, out: Path) -> None:
    made = out.with_name("again")
    trained(
        several, made, weights=str(finished.out / "checkpoints" / "best.pt"), freeze=True, bands=("VH", "VV"), epochs=1
    )
    told = json.loads((made / "config.json").read_text())["weights"]
    assert told["checkpoint_channels"] == ["VV", "VH"]
    before, after = weights(finished.out, checkpoint.BEST)["model"], weights(made)["model"]
    stem = "encoder.net.patch_embed.proj.weight"
    torch.testing.assert_close(after.pop(stem), before.pop(stem)[:, [1, 0]])
    for name, value in after.items():
        if name.startswith("encoder"):
            assert torch.equal(value, before[name]), name


def test_an_image_that_only_the_test_has_too_large_is_told_before_training(out: Path, tmp_path: Path) -> None:
    made, raw = invented.pipeline(shape=None), invented.archive(tmp_path / "raw", 60)
    rows = invented.sealed(made, raw, tmp_path / "even", format="lmdb").index().to_pylist()
    key = next(row["key"] for row in rows if row["split"] == "test")
    facts = json.loads((raw / f"{key}.json").read_text())
    (raw / f"{key}.json").write_text(json.dumps({**facts, "height": 40}))
    build = str(invented.sealed(made, raw, tmp_path / "uneven", format="lmdb").path)
    with pytest.raises(UsageError, match="take `pad=40`"):
        trained(build, out, pad=32)
    assert not out.exists()


def test_the_control_permutes_what_is_learnt_and_chosen_on_and_leaves_test_alone(classes: str) -> None:
    found = {}
    for control in ("none", "shuffled-labels"):
        data = Data(classes, Finetune(**{**TINY, "control": control}), Ranks(0, 1, torch.device("cpu")))
        for split in ("train", "val", "test"):
            samples = data.loader(split).collection
            found[control, split] = samples.labels(np.arange(len(samples)))["target"].tolist()
        data.close()
    for split in ("train", "val", "test"):
        true, given = found["none", split], found["shuffled-labels", split]
        assert sorted(given) == sorted(true)
        assert (given == true) == (split == "test")
