"""Several builds as one set: classes joined by name, figures of each, what a run of them leaves."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sar_data import catalog
from sar_data.errors import UsageError
from sar_data.record import Record, Sample
from sar_data.sealed.manifest import Manifest
from sar_data.sealed.opened import Build
from sar_data.spec import Task, TaskKind, Tree
from sar_data.stream.dataset import Stream
from sar_data.train import comparison, training
from sar_data.train.builds import Together
from sar_data.train.data import Data
from sar_data.train.detect import Detection
from sar_data.train.duplicates import KINDS, Dropped
from sar_data.train.inference import evaluation
from sar_data.train.matching import joined
from sar_data.train.models import backbone
from sar_data.train.predictions import of_build, read, scores, targets
from sar_data.train.ranks import Ranks
from sar_data.train.request import EvaluateRequest, TrainRequest
from sar_data.train.run.halt import Halted
from sar_data.train.settings import JOBS, Finetune
from tests.mini import invented
from tests.mini.builds import make
from tests.train import cut, test_probe
from tests.train.conftest import DETECT, SEGMENT, TINY

pytestmark = pytest.mark.usefixtures("unrendered")

OTHERS = ("Town", "ice", "water", "fi eld")  # beside water, wood, field, town
ALONE = Ranks(0, 1, torch.device("cpu"))


def sealed(out: Path, name: str, *, count: int, kind: TaskKind = "multiclass", first: int = 0, **chosen: Any) -> str:
    """Build `count` samples of a set of this name, drawn from seeds from `first` on."""
    source = out / f"raw-{name}"
    source.mkdir(parents=True)
    for seed in range(first, first + count):
        facts = {"seed": seed, "height": 32, "width": 32}
        (source / f"{chosen.get('letter', 's')}{seed:04d}.json").write_text(json.dumps(facts))
    bands, unit = chosen.get("bands", ("VV", "VH")), chosen.get("unit", "dB")
    made = invented.pipeline(kind, shape=(32, 32), bands=bands, unit=unit)
    classes = chosen.get("classes", invented.CLASSES)
    seen = zip(made.spec.bands, chosen.get("polarizations", bands), strict=True)
    spec = replace(
        made.spec,
        name=name,
        bands=tuple(replace(band, polarization=polarization) for band, polarization in seen),
        tasks=(Task(name="cover", kind=kind, classes=classes),),
    )
    split, read = "random:train=0.7,val=0.15,test=0.15", made.read

    def brighter(tree: Tree, record: Record) -> Sample:
        sample = read(tree, record)
        return replace(sample, image=sample.image + np.float32(chosen.get("added", 0)))

    return str(make(replace(made, spec=spec, read=brighter), source, out / name, split=split).path)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two sets of 60 and 40 samples of some of the same classes and names."""
    folder = tmp_path_factory.mktemp("pair")
    return [sealed(folder, "one", count=60), sealed(folder, "two", count=40, first=30, classes=OTHERS)]


def trained(job: str, builds: Sequence[str], out: Path, together: Together | None = None, **chosen: Any) -> Any:
    lines: list[str] = []
    made = training.run(job, builds, out, JOBS[job](**chosen), say=lines.append, together=together)
    return made, lines


@pytest.fixture(scope="module")
def run(pair: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    out = tmp_path_factory.mktemp("together") / "run"
    metrics, lines = trained("finetune", pair, out, Together(mix=(1.0, 3.0)), **TINY)
    return out, metrics, lines


def test_classes_of_several_lists_are_joined_by_name() -> None:
    classes, numbers = joined([invented.CLASSES, OTHERS, ("Ice", "WATER", "oil_slick"), ("oil slick", "OIL-SLICK")])
    assert classes == ("water", "wood", "field", "town", "ice", "fi eld", "oil_slick", "oil slick", "OIL-SLICK")
    assert numbers == [(0, 1, 2, 3), (3, 4, 0, 5), (4, 0, 6), (7, 8)]


def test_a_run_on_two_builds_says_what_became_of_them(
    run: tuple[Path, dict[str, Any], list[str]], pair: list[str]
) -> None:
    out, _, lines = run
    config = json.loads((out / "config.json").read_text())
    assert config["input"]["classes"] == ["water", "wood", "field", "town", "ice", "fi eld"]
    assert config["together"] == {"mix": [1.0, 3.0], "statistics": "own", "drop_duplicates": False}
    assert [one["name"] for one in config["builds"]] == ["one", "two"]
    assert config["builds"][1]["classes"] == {"Town": "town", "ice": "ice", "water": "water", "fi eld": "fi eld"}
    assert config["build"]["dataset"] == "one+two"
    counts = [{name: split.count for name, split in Manifest.load(Path(path)).splits.items()} for path in pair]
    assert config["build"]["samples"] == {name: counts[0][name] + counts[1][name] for name in counts[0]}
    assert "2 builds, one, two: classes water, wood, field, town, ice and 1 more" in lines
    assert "two: Town is town" in lines
    one, two = (count["train"] for count in counts)
    drawn = (one + two) / 4
    (said,) = (line for line in lines if line.startswith("mix: "))
    epoch = "mix: an epoch draws {:,} train samples: {} of one, which has {}, {} of two, which has {}"
    assert said in [epoch.format(one + two, n, one, one + two - n, two) for n in (int(drawn), int(drawn) + 1)]
    assert "select auto: the best epoch is chosen on val of all builds that have it, together" in lines


def test_figures_are_of_all_builds_and_of_each(run: tuple[Path, dict[str, Any], list[str]], pair: list[str]) -> None:
    out, metrics, _ = run
    tables, classes = read(out / "predictions.parquet")
    for split in ("val", "test"):
        table = tables[split]
        assert (
            metrics[split]["count"] == len(table) == sum(metrics[f"{split}/{name}"]["count"] for name in ("one", "two"))
        )
        for name in ("one", "two"):
            part = of_build(table, name)
            whole = metrics[f"{split}/{name}"]
            assert whole["oa"] == float((scores(part).argmax(axis=1) == targets(part)).mean())
            assert whole["intervals"]["units"] == len(part)
            assert set(part["key"].to_pylist()) < {f"s{seed:04d}" for seed in range(100)}
    unknown = [classes.index(name) for name in ("ice", "fi eld")]
    assert not np.isin(targets(of_build(tables["test"], "one")), unknown).any()
    assert {name.partition(".")[0] for name in metrics["leakage"]} == {
        f"test/{judged}-train/{other}" for judged in ("one", "two") for other in ("one", "two")
    }
    shown = comparison.markdown(comparison.opened([out]), "test/two")
    assert "test/two OA" in shown
    assert "+".join(Manifest.load(Path(path)).content_digest[:8] for path in pair) in shown


def test_a_run_on_two_builds_that_was_stopped_goes_on_to_the_same_bits(
    run: tuple[Path, dict[str, Any], list[str]], pair: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(training, "Data", cut.at(5, cut.stop))
        with pytest.raises(Halted):
            trained("finetune", pair, tmp_path / "run", Together(mix=(1.0, 3.0)), **TINY)
    for other in (Together(mix=(1.0, 2.0)), Together(), Together(mix=(1.0, 3.0), statistics="joint")):
        with pytest.raises(UsageError, match=r"holds another run: (mix|statistics) was"):
            trained("finetune", pair, tmp_path / "run", other, **TINY)
    metrics, _ = trained("finetune", pair, tmp_path / "run", Together(mix=(1.0, 3.0)), **TINY)
    assert metrics == run[1]
    for name in ("last.pt", "best.pt"):
        one, other = (torch.load(out / "checkpoints" / name, weights_only=True) for out in (run[0], tmp_path / "run"))
        assert all(torch.equal(one["model"][key], other["model"][key]) for key in one["model"])


def test_a_finished_run_is_judged_on_one_of_its_builds_as_it_was_trained(
    run: tuple[Path, dict[str, Any], list[str]], pair: list[str], tmp_path: Path
) -> None:
    lines: list[str] = []
    request = EvaluateRequest(run=run[0], build=pair[1], out=tmp_path / "judged", device="cpu")
    found = evaluation.carry_out(request, say=lines.append)
    assert found["test"]["oa"] == run[1]["test/two"]["oa"]
    table, own = (read(out / "predictions.parquet")[0]["test"] for out in (tmp_path / "judged", run[0]))
    own = of_build(own, "two")
    assert table["key"].equals(own["key"])
    np.testing.assert_allclose(scores(table), scores(own), atol=1e-5)
    assert {name.partition(".")[0] for name in found["leakage"]} == {"train/one", "train/two"}


def test_joint_figures_are_those_of_all_pixels(pair: list[str]) -> None:
    settings = Finetune(**TINY)
    pixels = []
    for path in pair:
        with Stream(path, split="train", batch_size=1, shuffle=False, normalize=None, fill=None) as stream:
            pixels.append(np.concatenate([batch["image"] for batch in stream]).astype(np.float64))
    for how, low, high in (("zscore", np.nanmean, np.nanstd), ("minmax", np.nanmin, np.ptp)):
        told = settings.model_copy(update={"normalize": how})
        joint = Data(pair, told, ALONE, together=Together(statistics="joint"))
        both = np.concatenate(pixels)
        for i, band in enumerate(("VV", "VH")):
            values = both[:, i][np.isfinite(both[:, i])]
            for found in (*joint.figures, joint.input.figures):
                np.testing.assert_allclose(found[band], (low(values), high(values)), rtol=1e-6)
        joint.close()
        own = Data(pair, told, ALONE)
        assert own.input.figures == joint.input.figures
        for i, band in enumerate(("VV", "VH")):
            for figures, part in zip(own.figures, pixels, strict=True):
                values = part[:, i][np.isfinite(part[:, i])]
                np.testing.assert_allclose(figures[band], (low(values), high(values)), rtol=1e-6)
        own.close()


def test_joint_percentiles_and_differences_lie_near_those_of_all_pixels(pair: list[str]) -> None:
    pixels = []
    for path in pair:
        with Stream(path, split="train", batch_size=1, shuffle=False, normalize=None, fill=None) as stream:
            pixels += [batch["image"] for batch in stream]
    both = np.concatenate(pixels).astype(np.float64)
    settings = Finetune(**{**TINY, "normalize": "robust"})
    data = Data(pair, settings, ALONE, together=Together(statistics="joint"))
    low, middle, high = np.nanpercentile(both[:, 0], (25, 50, 75))
    np.testing.assert_allclose(data.figures[0]["VV"], (middle, (high - low) / 1.349), atol=0.1)
    data.close()
    settings = Finetune(**{**TINY, "bands": ("VV-VH",)})
    data = Data(pair, settings, ALONE, together=Together(statistics="joint"))
    away = both[:, 0] - both[:, 1]
    np.testing.assert_allclose(data.figures[0]["VV-VH"], (np.nanmean(away), np.nanstd(away)), rtol=1e-6)
    data.close()


def test_the_figures_of_a_formula_are_measured_and_recorded(pair: list[str]) -> None:
    ratios = []
    for path in pair:
        with Stream(path, split="train", batch_size=1, shuffle=False, normalize=None, fill=None) as stream:
            power = [10 ** (batch["image"].astype(np.float64) / 10) for batch in stream]
        ratios.append(np.concatenate([one[:, 0] / one[:, 1] for one in power]))
    settings = Finetune(**{**TINY, "bands": ("VV", "VV/VH")})
    for builds, statistics, values in ((pair[0], "own", ratios[0]), (pair, "joint", np.concatenate(ratios))):
        data = Data(builds, settings, ALONE, together=Together(statistics=statistics))
        assert data.input.units == {"VV": "dB", "VV/VH": "ratio"}
        assert data.input.figures is not None
        np.testing.assert_allclose(data.input.figures["VV/VH"], (np.nanmean(values), np.nanstd(values)), rtol=1e-5)
        assert any("figures of VV/VH were measured over train" in line for line in data.sentences())
        data.close()
    with pytest.raises(UsageError, match=r"VV/VH: expected figures of all builds together: `statistics=joint`"):
        Data(pair, settings, ALONE)


def test_what_cannot_be_one_set_is_answered_in_a_sentence(pair: list[str], tmp_path: Path) -> None:
    masks = sealed(tmp_path, "masks", count=20, kind="segmentation")
    single = sealed(tmp_path, "single", count=20, first=200, bands=("VV",))
    turned = sealed(tmp_path, "turned", count=20, polarizations=("HH", "HV"))
    eight = sealed(tmp_path, "eight", count=20, unit="8-bit")
    for builds, chosen, together, message in (
        ([pair[0], masks], {}, None, "expected a multiclass task beside .*, found cover .segmentation."),
        ([pair[0], single], {}, None, "builds differ in bands: .*: name those that both have by `bands`"),
        ([pair[0], single], {}, Together(statistics="joint", drop_duplicates=True), "builds differ in bands"),
        ([pair[0], single], {"bands": ("VV", "VH")}, None, "unknown band 'VH'"),
        ([pair[0], turned], {}, None, "builds differ in polarization: VV is VV in .*, HH in .*: name bands of one"),
        ([pair[0], eight], {}, None, "builds differ in unit: VV is dB in .*, 8-bit in .*: `unit=…` takes dB"),
        ([pair[0], pair[0]], {}, None, "expected other samples than those of .*, found the same"),
        (
            pair,
            {"augment": ("speckle:4",)},
            None,
            "speckle: expected builds that are normalized alike.*`statistics=joint`",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            Data(builds, Finetune(**{**TINY, **chosen}), ALONE, together=together)
    Data(pair, Finetune(**{**TINY, "augment": ("speckle:4",)}), ALONE, together=Together(statistics="joint")).close()
    for job, builds, asked, message in (
        ("finetune", pair[:1], {"mix": (1,)}, "mix and statistics: expected several builds, found one"),
        ("finetune", pair[:1], {"statistics": "joint"}, "mix and statistics: expected several builds, found one"),
        ("finetune", pair, {"mix": (1,)}, "mix: expected 2 shares, one a build, found 1"),
        ("finetune", pair, {"mix": (1, 0)}, "`mix=1,0`: expected a share above 0 of each build"),
        ("finetune", pair, {"statistics": "jont"}, "unknown statistics 'jont'. Did you mean 'joint'?"),
        ("probe", pair, {"mix": (1, 1)}, "mix: a probe reads all features alike"),
        ("finetune", [], {}, "build: expected a sealed build, found none"),
    ):
        with pytest.raises(UsageError, match=message):
            TrainRequest(job=job, build=builds, out=tmp_path / "run", **asked)


@pytest.fixture(scope="module")
def sea(few: Build, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """SSDD of 20 images and HRSID of 6, the second with a ship that it has thrice, in train and in test."""
    folder = tmp_path_factory.mktemp("sea")
    catalog.synthesise("hrsid")(folder / "raw", count=6, seed=3)
    other = make(catalog.pipeline("hrsid"), folder / "raw", folder / "out", format="webdataset", split="official")
    return [str(few.path), str(other.path)]


def test_two_ship_sets_are_trained_on_together(
    sea: list[str], detected: Path, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {**DETECT, "tile": 416, "score_threshold": 0.0}
    with caplog.at_level(logging.WARNING, "sar_data.train"):
        metrics, lines = trained("detect", sea, out, Together(mix=(1.0, 1.0), statistics="joint"), **settings)
    assert metrics.keys() >= {"test", "test/ssdd", "test/hrsid"}
    assert metrics["test"]["count"] == metrics["test/ssdd"]["count"] + metrics["test/hrsid"]["count"]
    assert "by_scene" in metrics["test/ssdd"]
    table = read(out / "predictions.parquet")[0]["test"]
    for path, name in zip(sea, ("ssdd", "hrsid"), strict=True):
        index = Build.open(Path(path)).index()
        objects = {
            row["key"]: [one["box"] for one in row["objects"]] for row in index.to_pylist() if row["split"] == "test"
        }
        rows = of_build(table, name).to_pylist()
        assert {row["key"]: row["true_boxes"] for row in rows} == objects
    assert "images of each build are normalized by those of all train splits together (`statistics=joint`)" in lines
    assert not any("annotates no" in record.message for record in caplog.records)
    both = comparison.opened([out, detected])  # the second was trained on the first of both sets alone
    assert both[1].metrics["test/ssdd"] == both[1].metrics["test"]
    shown = comparison.markdown(both, "test/ssdd")
    assert f"test/ssdd AP50 | {len(of_build(table, 'ssdd'))} |" in shown  # of the differences, in pairs


def test_objects_that_another_build_does_not_annotate_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    builds = [
        sealed(tmp_path, name, count=12, kind="detection", first=first, classes=classes)
        for name, first, classes in (("a", 0, ("ship", "b", "c", "d")), ("b", 50, ("d", "Ship", "c", "e")))
    ]
    data = Data(builds, JOBS["detect"](**{**DETECT, "crop": None}), ALONE)
    what = "such objects in its images count as background"
    assert list(data.builds.warnings()) == [f"a annotates no e: {what}", f"b annotates no b: {what}"]
    job = Detection(backbone("test_convnext", data.channels, image_size=data.side), data, data.settings)
    keys = data.keys("train")
    found = job._truth.columns(keys)
    table = (0, 1, 2, 3), (3, 0, 2, 4)
    for path, name, numbers in zip(builds, "ab", table, strict=True):
        for row in Build.open(Path(path)).index().to_pylist():
            if row["split"] == "train":
                place = keys.index(f"{name}/{row['key']}")
                assert found["true_labels"][place].as_py() == [numbers[one["label"]] for one in row["objects"]]
    data.close()


def test_masks_of_two_builds_are_scored_by_joint_classes(tmp_path: Path, out: Path) -> None:
    builds = [
        sealed(tmp_path, "a", count=20, kind="segmentation"),
        sealed(tmp_path, "b", count=20, kind="segmentation", first=50, classes=OTHERS),
    ]
    metrics, _ = trained("segment", builds, out, **{**SEGMENT, "epochs": 1})
    assert {"ice", "fi eld"} == set(metrics["test/a"]["without_support"])
    assert {"wood", "field"} == set(metrics["test/b"]["without_support"])
    assert metrics["test"]["without_support"] == []


def test_train_samples_that_a_test_split_has_or_train_has_twice_are_left_out(
    pair: list[str], tmp_path: Path, out: Path
) -> None:
    """Half of the first set is copied under other names, the other half is a tenth of a decibel brighter there."""
    others = {
        "copies": sealed(tmp_path, "copies", count=30, letter="t"),
        "brighter": sealed(tmp_path, "brighter", count=30, first=30, letter="t", added=0.1),
    }
    splits = {
        name: {f"s{row['key'][1:]}": row["split"] for row in Build.open(Path(path)).index().to_pylist()}
        for name, path in {"one": pair[0], **others}.items()
    }
    expected = set()
    for name in others:
        for key, split in splits[name].items():
            ours, theirs = f"one/{key}", f"{name}/t{key[1:]}"
            kind = "duplicate" if name == "copies" else "near_duplicate"
            if splits["one"][key] == "train" and split != "train":
                expected.add(Dropped(ours, kind, theirs))
            elif split == "train" and splits["one"][key] != "train":
                expected.add(Dropped(theirs, kind, ours))
            elif split == splits["one"][key] == "train" and name == "copies":
                expected.add(Dropped(theirs, "second_copy", ours))
    assert min(sum(one.kind == kind for one in expected) for kind in KINDS) > 3
    builds = [pair[0], *others.values()]
    settings = {**test_probe.TINY, "epochs": 1, "knn": (1,), "logistic": (), "lrs": (0.1,), "refine": False}
    metrics, lines = trained("probe", builds, out, Together(drop_duplicates=True), **settings)
    table = list(csv.reader((out / "duplicates.csv").read_text().splitlines()))
    assert table[0] == ["key", "kind", "of"]
    assert {Dropped(*row) for row in table[1:]} == expected
    assert len(table) - 1 == len(expected) == sum(metrics["duplicates"].values())
    assert any(line.startswith(f"duplicates: {len(expected)} of ") for line in lines)
    shares = {name: figure["value"] for name, figure in metrics["leakage"].items() if name.endswith(".duplicate")}
    assert len(shares) == 9
    assert set(shares.values()) - {None} == {0.0}  # None where nothing is left to train on
    whole = Data(builds, Finetune(**TINY), ALONE)
    left = Data(builds, Finetune(**TINY), ALONE, together=Together(drop_duplicates=True))
    assert set(whole.keys("train")) - set(left.keys("train")) == {one.key for one in expected}
    assert left.keys("val") == whole.keys("val")
    for data in (whole, left):
        data.close()


def test_a_build_alone_may_drop_duplicates_and_is_otherwise_as_it_was(pair: list[str], out: Path) -> None:
    metrics, _ = trained("finetune", pair[0], out, Together(drop_duplicates=True), **{**TINY, "epochs": 1})
    config = json.loads((out / "config.json").read_text())
    assert config["together"]["drop_duplicates"] is True
    assert "builds" not in config
    assert metrics["duplicates"] == dict.fromkeys(KINDS, 0)
    assert "touching" in metrics["leakage"]
