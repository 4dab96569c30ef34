"""A finished run used again: its model in Python, judged on other builds, and its features."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import sar_data
import sar_data.train
from sar_data import catalog
from sar_data.cli import main
from sar_data.errors import BuildError, RunError, UsageError
from sar_data.record import IGNORE
from sar_data.sealed.files import open_files
from sar_data.sealed.opened import Build
from sar_data.stream.collection import open_collection
from sar_data.train import comparison, predictions
from sar_data.train.detect.truth import Truth
from sar_data.train.inference import agreement, leakage
from sar_data.train.inference import features as feature_file
from sar_data.train.inference.finished import opened
from sar_data.train.inference.neighbours import draw, nearest
from sar_data.train.matching import Matching
from sar_data.train.pictures import masks
from sar_data.train.settings import Finetune, Probe
from sar_data.train.training import run
from tests.mini import invented
from tests.mini.builds import make
from tests.train.conftest import TINY, Finished, sizes

pytestmark = pytest.mark.usefixtures("unrendered")


def images(build: str, split: str, **options: Any) -> dict[str, torch.Tensor]:
    """Return key → image [1, C, H, W] in physical units, NaN where there is no data."""
    found = open_collection(build, split=split, normalize=None, fill=None, **options)
    batches = [found.batch(np.array([row])) for row in range(len(found))]
    cut = [batch["window"][0, 2:] if "window" in batch else (None, None) for batch in batches]
    parts = zip(batches, cut, strict=True)
    made = {batch["key"][0]: torch.from_numpy(batch["image"].copy())[..., :h, :w] for batch, (h, w) in parts}
    found.close()
    return made


def answers(out: Path, split: str) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in predictions.read(out / predictions.NAME)[0][split].to_pylist()}


def test_the_model_says_of_physical_images_what_the_run_said(finished: Finished, classes: str) -> None:
    model = sar_data.train.load(finished.out)
    assert not model.training
    assert (model.channels, model.kind, model.classes) == (
        ("VV", "VH"),
        "multiclass",
        ("water", "wood", "field", "town"),
    )
    said = answers(finished.out, "test")
    for key, image in images(classes, "test").items():
        with torch.inference_mode():
            logits, shares = model(image)[0], model.probabilities(image)[0]
        np.testing.assert_allclose(logits, said[key]["scores"], atol=1e-4)
        np.testing.assert_allclose(shares, torch.softmax(logits, 0), atol=1e-6)


@pytest.mark.parametrize(
    "chosen", [{"normalize": "fgmae-uint8"}, {"normalize": "sarhub", "augment": ("drae",)}], ids=str
)
def test_a_stretch_of_each_image_is_inside_the_model(chosen: dict[str, Any], classes: str, out: Path) -> None:
    run("finetune", classes, out, Finetune(**{**TINY, "epochs": 1, **chosen}), say=lambda line: None)
    model, said = sar_data.train.load(out), answers(out, "test")
    for key, image in images(classes, "test").items():
        np.testing.assert_allclose(model(image)[0].detach(), said[key]["scores"], atol=1e-4)


def test_masks_are_those_of_the_run_and_no_data_stays_no_data(segmented: Path, squares: str) -> None:
    model, said = sar_data.train.load(segmented), answers(segmented, "test")
    for key, image in images(squares, "test").items():
        with torch.inference_mode():
            np.testing.assert_array_equal(model.masks(image.nan_to_num(0.0))[0].shape, (32, 32))
            found = model.masks(image)[0]
        known = torch.isfinite(image[0]).any(0)
        np.testing.assert_array_equal(found[known], masks.decode(said[key]["mask"])[known])
        assert (found[~known] == IGNORE).all()


def test_boxes_are_those_of_the_run_in_pixels_of_the_image(detected: Path, few: Build) -> None:
    model, said = sar_data.train.load(detected), answers(detected, "test")
    for key, image in images(str(few.path), "test", pad=1024).items():
        with torch.inference_mode():
            found = model(image)[0]
        assert len(found["boxes"]) == len(said[key]["boxes"]) > 0
        np.testing.assert_allclose(found["scores"], said[key]["box_scores"], atol=1e-4)
        np.testing.assert_allclose(found["boxes"], said[key]["boxes"], atol=0.1)
    with pytest.raises(UsageError, match="found one of boxes"):
        model.probabilities(image)


def test_the_run_records_what_its_model_takes(finished: Finished, classes: str) -> None:
    recorded = json.loads((finished.out / "config.json").read_text())["input"]
    train = Build.open(Path(classes)).manifest.normalization
    assert train is not None
    assert recorded["units"] == {"VV": "dB", "VH": "dB"}
    assert recorded["figures"] == {name: [train.mean[name], train.std[name]] for name in ("VV", "VH")}
    assert recorded["resized"]


def test_a_run_of_an_earlier_version_reads_its_build_or_says_that_it_is_gone(
    finished: Finished, tmp_path: Path
) -> None:
    out = finished.copied(tmp_path / "run")
    config = json.loads((out / "config.json").read_text())
    del config["input"]
    (out / "config.json").write_text(json.dumps(config))
    assert opened(out).input == opened(finished.out).input
    config["build"]["path"] = str(tmp_path / "gone")
    (out / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=r"left the figures .* to the run's build, which cannot be read: .*gone"):
        opened(out)


def _far(config: dict[str, Any]) -> None:
    del config["input"]
    config["build"]["path"] = "http://127.0.0.1:9/build"


EDITED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "classes": (lambda config: config["input"].update(classes=[str(i) for i in range(10**6)]), "some [0-9,]+ bytes"),
    "sides": (lambda config: config["settings"].update(image_size=10**9), "less than or equal to 32768"),
    "server": (_far, "found the address of a server"),
    "digest": (lambda config: config["build"].pop("content_digest"), "build.content_digest: Field required"),
    "path": (lambda config: config["build"].update(path=7), "build.path: Input should be a valid string"),
    "depth": (lambda config: config.update(more=json.loads("[" * 99 + "]" * 99)), "without end"),
}


@pytest.mark.parametrize("name", EDITED)
def test_a_strangers_config_is_looked_at_before_it_is_used(finished: Finished, tmp_path: Path, name: str) -> None:
    out, (change, reason) = finished.copied(tmp_path / "run"), EDITED[name]
    config = json.loads((out / "config.json").read_text())
    change(config)
    (out / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=reason):
        sar_data.train.load(out)


def test_a_pipe_in_the_place_of_a_document_hangs_nobody(finished: Finished, tmp_path: Path) -> None:
    out = finished.copied(tmp_path / "run")
    (out / "metrics.json").unlink()
    os.mkfifo(out / "metrics.json")
    with pytest.raises(RunError, match="expected a regular file, found"):
        sar_data.train.load(out)


def test_what_is_no_model_is_answered_in_a_sentence(finished: Finished, classes: str, tmp_path: Path) -> None:
    out = finished.copied(tmp_path / "run")
    best = out / "checkpoints" / "best.pt"
    best.write_bytes(bytes(1 << 21))
    with pytest.raises(RunError, match="expected a checkpoint of a run"):
        sar_data.train.load(out)
    best.unlink()
    with pytest.raises(RunError, match=r"best\.pt: expected the weights of this run, found nothing"):
        sar_data.train.load(out)
    (out / "metrics.json").unlink()
    with pytest.raises(RunError, match="expected the folder of a finished run, found not finished"):
        sar_data.train.load(out)
    with pytest.raises(RunError, match="found no run"):
        sar_data.train.load(tmp_path)
    probe = Probe(
        **{
            **{name: TINY[name] for name in TINY if name != "lr"},
            "lrs": (0.1,),
            "heads": ("linear",),
            "knn": (),
            "logistic": (),
            "augment": (),
        }
    )
    run("probe", classes, tmp_path / "probe", probe, say=lambda line: None)
    with pytest.raises(RunError, match="found a probe, which leaves the head that it chose and no network"):
        sar_data.train.load(tmp_path / "probe")


def test_images_of_another_shape_are_answered_in_a_sentence(finished: Finished) -> None:
    model = sar_data.train.load(finished.out)
    with pytest.raises(UsageError, match=r"expected \[B, 2, H, W\] of VV in dB, VH in dB, found \[1, 3, 8, 8\]"):
        model(torch.zeros(1, 3, 8, 8))


def judged(run: Path, build: str | Path, out: Path, **chosen: Any) -> tuple[dict[str, Any], list[str]]:
    lines: list[str] = []
    found = sar_data.train.evaluate(run, build, out=out, device="cpu", say=lines.append, **chosen)
    return found, lines


def test_the_own_test_split_has_the_runs_own_figures(
    finished: Finished, classes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = finished.copied(tmp_path / "run")
    with pytest.raises(SystemExit) as ended:
        main(["train", "evaluate", str(out), classes, "--device", "cpu"])
    assert not ended.value.code
    (folder,) = (out / "evaluations").iterdir()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert folder.name == f"invented-{Build.open(Path(classes)).manifest.content_digest[:8]}-test"
    assert metrics["test"] == json.loads(json.dumps(finished.metrics["test"]))
    assert metrics["leakage"]["key"] == {"value": 0.0, "of": 8, "reason": ""}
    assert metrics["leakage"]["touching"]["reason"] == "the samples have no footprint"
    assert answers(folder, "test") == answers(out, "test")
    assert (folder / "confusion-test.csv").is_file()
    printed, said = capsys.readouterr()
    assert printed.startswith(f"test  oa {metrics['test']['oa']:.4f}")
    assert "leakage: 0.0 % of 8 samples have the key of a sample of the model's train split" in said
    assert "model test_vit" in comparison.markdown(comparison.opened([out, folder]))  # as of both
    again, lines = judged(out, classes, folder, picture_format="svg")
    assert again == metrics
    assert (folder / "confusion-test.svg").is_file()
    assert "is finished" in lines[-1]
    with pytest.raises(UsageError, match="split was test, now val"):
        judged(out, classes, folder, split="val")


def test_a_test_that_chose_the_epoch_says_so_of_its_own_build_alone(
    finished: Finished, classes: str, tmp_path: Path
) -> None:
    out = finished.copied(tmp_path / "run")
    config = json.loads((out / "config.json").read_text())
    config["settings"]["select"] = "test"
    (out / "config.json").write_text(json.dumps(config))
    found, _ = judged(out, classes, tmp_path / "own")
    assert found["test"]["chosen_on"] == "test (as published)"
    elsewhere, _ = judged(out, other(tmp_path, bands=("HH", "VH", "VV")), tmp_path / "out")
    assert "chosen_on" not in elsewhere["test"]


def test_the_train_split_is_one_that_the_model_knows(finished: Finished, classes: str, out: Path) -> None:
    found, lines = judged(finished.out, classes, out, split="train")
    assert found["train"]["count"] == 87
    assert found["leakage"]["key"]["value"] == found["leakage"]["duplicate"]["value"] == 1.0
    assert any(
        "100.0 % of 87 samples have the same pixels as a sample of the model's train split" in line for line in lines
    )


def other(folder: Path, kind: Any = "multiclass", *, classes: tuple[str, ...] = invented.CLASSES, **chosen: Any) -> str:
    """Build the same 103 samples with bands, classes or a unit of another dataset."""
    made = invented.pipeline(kind, **chosen)
    task = dataclasses.replace(made.spec.tasks[0], classes=classes)
    made = dataclasses.replace(made, spec=dataclasses.replace(made.spec, tasks=(task,)))
    return str(invented.sealed(made, invented.archive(folder / "raw", 103), folder / "builds").path)


def test_another_build_is_matched_by_names_and_normalized_by_the_runs_figures(
    finished: Finished, tmp_path: Path
) -> None:
    build = other(tmp_path, bands=("HH", "VH", "VV"), classes=("Town", "water", "ice", "wood"))
    found, lines = judged(finished.out, build, tmp_path / "out", split="val")
    whole = json.loads((Path(build) / "manifest.json").read_text())["splits"]["val"]
    known = round(whole["count"] * (1 - whole["class_shares"]["ice"]))
    assert found["val"]["count"] == known < whole["count"]
    assert found["matching"] == [
        "classes that the model does not know: ice; samples of these classes are left out",
        "classes of the model that the build does not have: field; they have no figures",
    ]
    assert set(found["matching"]) <= set(lines)
    model, said = sar_data.train.load(finished.out), answers(tmp_path / "out", "val")
    index = Build.open(Path(build)).index().to_pylist()
    names = {row["key"]: row["labels"][0].lower() for row in index if row["split"] == "val"}
    shown = images(build, "val", bands=("VV", "VH"))
    for key, row in said.items():
        assert invented.CLASSES[row["target"]] == names[key]
        np.testing.assert_allclose(model(shown[key])[0].detach(), row["scores"], atol=1e-4)
    assert set(said) == {key for key, name in names.items() if name != "ice"}
    own, _ = judged(finished.out, build, tmp_path / "own", split="val", normalize_by="build")
    assert answers(tmp_path / "own", "val") != said
    assert own["val"]["count"] == known


def test_values_in_another_unit_are_converted_or_refused(finished: Finished, classes: str, tmp_path: Path) -> None:
    power = sar_data.convert(classes, out=tmp_path / "power", unit="power", runner="serial").path
    found, lines = judged(finished.out, power, tmp_path / "converted")
    assert any("expected values in dB, as the model takes, found power: they are converted" in line for line in lines)
    assert found["test"]["oa"] == finished.metrics["test"]["oa"]
    for key, row in answers(tmp_path / "converted", "test").items():
        np.testing.assert_allclose(row["scores"], answers(finished.out, "test")[key]["scores"], atol=1e-3)
    grey = other(tmp_path, unit="8-bit", dtype="uint8")
    with pytest.raises(
        UsageError, match=r"expected values in dB, as the model takes, found 8-bit: `normalize_by=build`"
    ):
        judged(finished.out, grey, tmp_path / "grey")
    judged(finished.out, grey, tmp_path / "own", normalize_by="build")


def test_a_build_that_was_normalized_by_its_own_figures_is_normalized_by_the_runs(
    finished: Finished, classes: str, tmp_path: Path
) -> None:
    baked = sar_data.convert(classes, out=tmp_path / "baked", normalize="zscore", runner="serial").path
    judged(finished.out, baked, tmp_path / "out")
    for key, row in answers(tmp_path / "out", "test").items():
        np.testing.assert_allclose(row["scores"], answers(finished.out, "test")[key]["scores"], atol=1e-4)


def test_masks_of_other_classes_are_ignored(segmented: Path, squares: str, tmp_path: Path) -> None:
    own, _ = judged(segmented, squares, tmp_path / "own")
    assert own["test"] == json.loads((segmented / "metrics.json").read_text())["test"]
    made = invented.pipeline("segmentation", shape=(32, 32))
    task = dataclasses.replace(made.spec.tasks[0], classes=("town", "field", "wood", "lake"))
    made = dataclasses.replace(made, spec=dataclasses.replace(made.spec, tasks=(task,)))
    build = invented.sealed(made, sizes(tmp_path / "raw", [(32, 32)] * 39), tmp_path / "builds").path
    found, _ = judged(segmented, build, tmp_path / "out")
    before, after = answers(tmp_path / "own", "test"), answers(tmp_path / "out", "test")
    assert before.keys() == after.keys()
    for key, row in after.items():  # the same pixels under other names: water was 0 and is town, which is 3
        counts = np.reshape(before[key]["pixels"], (4, 4))
        expected = np.zeros_like(counts)
        expected[[3, 2, 1]] = counts[[0, 1, 2]]
        np.testing.assert_array_equal(np.reshape(row["pixels"], (4, 4)), expected)
    assert found["matching"][0] == "classes that the model does not know: lake; their pixels are ignored"


def test_boxes_of_the_own_split_have_the_runs_figures(detected: Path, few: Build, tmp_path: Path) -> None:
    found, _ = judged(detected, few.path, tmp_path / "out")
    assert found["test"] == json.loads((detected / "metrics.json").read_text())["test"]


def test_what_cannot_be_judged_is_answered_in_a_sentence(
    finished: Finished, segmented: Path, classes: str, squares: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=r"expected a multiclass task, which the model is for, found cover \(segm"):
        judged(finished.out, squares, out)
    with pytest.raises(UsageError, match=r"the model takes VV, VH: unknown band 'VH'"):
        judged(finished.out, other(tmp_path / "a", bands=("VV", "HH")), out)
    with pytest.raises(UsageError, match=r"expected some of those that the model knows, water, .* found a, b, c, d"):
        judged(finished.out, other(tmp_path / "b", classes=("a", "b", "c", "d")), out)
    with pytest.raises(UsageError, match=r"unknown split 'tset'\. Did you mean 'test'"):
        judged(finished.out, classes, out, split="tset")
    with pytest.raises(UsageError, match=r"unknown normalize_by 'me'"):
        judged(finished.out, classes, out, normalize_by="me")
    ragged = invented.archive(tmp_path / "ragged", 103, ragged=True)
    many = invented.sealed(invented.pipeline(shape=None), ragged, tmp_path / "c", format="webdataset").path
    with pytest.raises(UsageError, match="expected images of one size, which the model resizes to 32, found images of"):
        judged(finished.out, many, out)
    assert not out.exists()


def test_images_of_another_size_are_extended_where_the_model_sees_them_as_they_are_or_refused(
    finished: Finished, classes: str, tmp_path: Path
) -> None:
    out = finished.copied(tmp_path / "run")
    config = json.loads((out / "config.json").read_text())
    config["input"]["resized"] = False
    (out / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UsageError, match=r"images of 32 × 32 pixels, which test_vit of .* takes, found 6 × 5: `convert"
    ):
        judged(out, classes, tmp_path / "out")
    ragged = invented.archive(tmp_path / "ragged", 103, ragged=True)
    build = invented.sealed(invented.pipeline(shape=None), ragged, tmp_path / "c", format="webdataset")
    lines: list[str] = []
    fitting = agreement.sized(opened(out), build.manifest, open_files(build.path), "train", lines.append)
    assert (fitting.pad, lines) == (10, ["images are extended to 10 pixels (`pad=10`)"])


def test_labels_and_objects_take_the_models_numbers(few: Build) -> None:
    labels = Matching("multilabel", ("a", "b", "c"), ("C", "x", "a"))
    found = labels.targets(torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    assert found.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert labels.sentences() == [
        "classes that the model does not know: x; these labels are not scored",
        "classes of the model that the build does not have: b; they have no figures",
    ]
    index = few.path / "index.parquet"
    keys = [row["key"] for row in few.index().to_pylist() if row["objects"]][:2]
    before, after, none = (Truth(index, "scene", numbers).columns(keys) for numbers in (None, (4,), (None,)))
    assert {label for image in after["true_labels"].to_pylist() for label in image} == {4}
    assert after["true_boxes"] == before["true_boxes"]
    assert none["true_boxes"].to_pylist() == none["true_areas"].to_pylist() == [[], []]


@pytest.mark.parametrize(
    ("model", "build", "numbers"),
    [
        (("cargo", "Cargo"), ("cargo", "Cargo"), (0, 1)),
        (("cargo", "Cargo"), ("Cargo", "cargo"), (1, 0)),
        (("cargo", "Cargo"), ("Cargo", "ship"), (1, None)),
        (("cargo",), ("cargo", "Cargo"), (0, None)),
        (("ship", "-x", "x"), ("x", "Ship"), (2, 0)),
        (("sea_ice", "land"), ("Land", "sea-ice"), (1, 0)),
        (("land", "SHIP", "Ship"), ("ship", "land"), (None, 0)),  # of two that are equally near, none
    ],
)
def test_names_that_differ_in_case_alone_stay_two_classes(
    model: tuple[str, ...], build: tuple[str, ...], numbers: tuple[int | None, ...]
) -> None:
    assert Matching("multiclass", model, build).numbers == numbers


def test_leakage_that_cannot_be_looked_at_says_why(finished: Finished, classes: str) -> None:
    build = json.loads((finished.out / "config.json").read_text())["build"]
    gone = leakage.leakage(build | {"path": "/gone"}, Path(classes) / "index.parquet", ["s0001"])
    (sentence,) = leakage.sentences(gone)
    assert sentence.startswith("leakage: samples against the model's train split: not looked at: /gone: expected a")
    far = leakage.leakage(build | {"path": "http://127.0.0.1:9/x"}, Path(classes) / "index.parquet", ["s0001"])
    assert "found the address of a server" in far["key"].reason
    changed = leakage.leakage(build | {"content_digest": "0"}, Path(classes) / "index.parquet", ["s0001"])
    assert changed["key"].value is None
    assert "expected the build that the run was trained on" in changed["key"].reason


def test_samples_beside_the_train_split_touch_it(tmp_path: Path) -> None:
    catalog.synthesise("eurosat-sar")(tmp_path / "raw", count=40, seed=1)
    build = make(catalog.pipeline("eurosat-sar"), tmp_path / "raw", tmp_path / "out", split="stratified")
    index = build.index().to_pylist()
    train, test = ([row for row in index if row["split"] == split] for split in ("train", "test"))
    document = {"path": str(build.path), "content_digest": build.manifest.content_digest}
    found = leakage.leakage(document, build.path / "index.parquet", [row["key"] for row in test])
    near = [any(_meet(one, row) for one in train) for row in test]
    assert any(near)
    assert found["touching"].value == pytest.approx(sum(near) / len(test))
    assert found["key"].value == 0


def _meet(one: dict[str, Any], other: dict[str, Any]) -> bool:
    a, b = one["footprint"], other["footprint"]
    return one["crs"] == other["crs"] and all(a[i] <= b[i + 2] and b[i] <= a[i + 2] for i in (0, 1))


def features(path: Path) -> tuple[list[str], npt.NDArray[Any], dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        table = file.read()
    flat = table["features"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return table["key"].to_pylist(), flat.reshape(len(table), -1), json.loads(table.schema.metadata[b"sar-data"])


def test_features_are_those_of_the_runs_encoder_by_key(
    finished: Finished, classes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "features.parquet"
    typed = ["train", "embed", str(finished.out), classes, "--out", str(path), "--device", "cpu", "--dtype", "float32"]
    with pytest.raises(SystemExit) as ended:
        main([*typed, "--like", "s0003", "--picture-format", "svg"])
    assert not ended.value.code
    assert capsys.readouterr().out == f"{path}\n"
    keys, vectors, made = features(path)
    assert (len(keys), vectors.dtype, vectors.shape[1]) == (103, np.float32, 64)
    model = sar_data.train.load(finished.out)
    said = answers(finished.out, "test")
    with torch.inference_mode():
        for key in said:
            logits = model.network.head(torch.from_numpy(vectors[keys.index(key)][None].copy()))[0]  # type: ignore
            np.testing.assert_allclose(logits, said[key]["scores"], atol=1e-4)
    assert (made["pooling"], made["normalize"], made["splits"]) == ("cls", "zscore", ["train", "val", "test"])
    assert made["build"]["content_digest"] == Build.open(Path(classes)).manifest.content_digest
    assert (tmp_path / "features-like-s0003.svg").is_file()
    before = path.stat().st_mtime_ns
    assert sar_data.train.embed(finished.out, classes, out=path, dtype="float32", device="cpu") == path
    assert path.stat().st_mtime_ns == before
    with pytest.raises(UsageError, match=r"holds other features: dtype was float32, now float16"):
        sar_data.train.embed(finished.out, classes, out=path, device="cpu")
    with pytest.raises(UsageError, match=r"`like=nobody`: expected a key of .* among 103"):
        sar_data.train.embed(finished.out, classes, out=path, dtype="float32", device="cpu", like="nobody")


def test_features_of_weights_are_those_of_the_run_that_they_are_of(
    finished: Finished, classes: str, tmp_path: Path
) -> None:
    settings = {"model": "test_vit", "image_size": 32, "batch_size": 16}
    weights = finished.out / "checkpoints" / "best.pt"
    for source, chosen in ((finished.out, None), (weights, settings)):
        out = tmp_path / f"{source.name}.parquet"
        sar_data.train.embed(source, classes, out=out, split="test", device="cpu", settings=chosen)
    (keys, run, _), (same, other, made) = features(tmp_path / "run.parquet"), features(tmp_path / "best.pt.parquet")
    assert keys == same
    assert run.dtype == np.float16
    np.testing.assert_array_equal(run, other)
    assert made["splits"] == ["test"]


def test_a_segmenters_features_are_the_means_of_its_coarsest_map(segmented: Path, squares: str, tmp_path: Path) -> None:
    out = sar_data.train.embed(segmented, squares, out=tmp_path / "f.parquet", split="test", device="cpu")
    keys, vectors, made = features(out)
    assert (made["pooling"], len(keys)) == ("levels", 3)
    assert vectors.std(axis=0).max() > 0


def test_features_that_no_run_wrote_are_refused_in_a_sentence(finished: Finished, classes: str, tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    names, vectors = {"key": ["a", "b"], "split": ["train"] * 2}, pa.array([[1.0], [2.0]])
    for wrong in (
        names,
        names | {"features": ["x", "y"]},
        names | {"features": pa.array([[1.0], [1.0, 2.0]])},
        names | {"features": vectors.cast(pa.list_(pa.float64(), 1)), "key": [1, 2]},
        names | {"features": pa.array([[1.0], None], pa.list_(pa.float32(), 1))},
        {name: pa.array([], kind) for name, kind in {"key": pa.string(), "split": pa.string()}.items()}
        | {"features": pa.array([], pa.list_(pa.float32(), 4))},
    ):
        pq.write_table(pa.table(wrong), path)
        with pytest.raises(BuildError, match=rf"{path}: "):
            draw(path.with_suffix(".png"), path, "a", "Invented", classes, Finetune(**TINY), {"VV": "dB"})
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UsageError, match="expected no file or one of features"):
        sar_data.train.embed(finished.out, classes, out=path, device="cpu")


@pytest.mark.parametrize("job", ["finetune", "segment"])
def test_a_grid_has_the_features_of_every_place(
    job: str, finished: Finished, classes: str, segmented: Path, squares: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(feature_file, "GROUP", 1 << 12)  # so that the file has several groups of rows
    source, build, pooling = (finished.out, classes, "mean") if job == "finetune" else (segmented, squares, "levels")
    chosen: dict[str, Any] = {"dtype": "float32", "device": "cpu"}
    grid = sar_data.train.embed(source, build, out=tmp_path / "grid.parquet", pooling="grid", **chosen)
    pooled = sar_data.train.embed(source, build, out=tmp_path / "pooled.parquet", pooling=pooling, **chosen)
    keys, vectors, _ = features(pooled)
    with pq.ParquetFile(grid) as file:
        assert file.num_row_groups > 1
        rows, made = file.read().to_pylist(), json.loads(file.schema_arrow.metadata[b"sar-data"])
    side = 2 if job == "finetune" else 1  # of 32 pixels in patches of 16, and at stride 32
    assert [row["key"] for row in rows] == keys
    assert {(row["rows"], row["columns"], len(row["features"])) for row in rows} == {(side, side, side * side)}
    np.testing.assert_allclose([np.mean(row["features"], axis=0) for row in rows], vectors, atol=1e-5)
    assert made["pooling"] == "grid"
    assert made["columns"].keys() == rows[0].keys()
    with pytest.raises(UsageError, match=r"`like=s0003`: expected one vector an image, found `pooling=grid`"):
        sar_data.train.embed(source, build, out=grid, pooling="grid", like="s0003", **chosen)


def test_the_nearest_have_the_highest_cosine() -> None:
    vectors = np.array([[1, 0], [0, 2], [3, 0.3], [-1, 0], [0, 0]], np.float16)
    found = nearest(vectors, 0, 4)
    assert [row for row, _ in found] == [0, 2, 1, 4]
    assert [share for _, share in found] == pytest.approx([1, 10 / 101**0.5, 0, 0], abs=1e-3)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"pooling": "max"}, "unknown pooling of test_vit 'max'"),
        ({"dtype": "float64"}, "unknown dtype 'float64'"),
        ({"split": "tset"}, "unknown split 'tset'"),
        ({"settings": {"model": "resnet18"}}, "model: of weights; a run has its own"),
        ({"settings": {"lr": 1}}, "unknown option of weights 'lr'"),
    ],
    ids=str,
)
def test_features_that_cannot_be_had_are_refused_in_a_sentence(
    chosen: dict[str, Any], said: str, finished: Finished, classes: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        sar_data.train.embed(finished.out, classes, out=tmp_path / "f.parquet", device="cpu", **chosen)
    assert not (tmp_path / "f.parquet").exists()
