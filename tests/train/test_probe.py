"""A probe from first to last: many candidates, one choice, one test."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from sar_data import catalog
from sar_data.errors import RunError, UsageError
from sar_data.sealed.opened import Build
from sar_data.train.predictions import read, scores, targets
from sar_data.train.probe.finer import edges, refine
from sar_data.train.probe.selection import Candidate, groups
from sar_data.train.settings import Probe
from sar_data.train.training import run
from tests.mini import builds, invented

pytestmark = pytest.mark.usefixtures("unrendered")

TINY: dict[str, Any] = {
    "model": "test_vit",
    "image_size": 32,
    "batch_size": 16,
    "epochs": 3,
    "threads": 1,
    "device": "cpu",
    "lrs": (0.01, 0.3),
    "weight_decays": (0.0, 1e-3),
    "knn": (5,),
    "logistic": (0.1, 1.0),
    "refine": False,
}
CNN: dict[str, Any] = {"model": "test_resnet", "epochs": 15, "knn": (), "logistic": (), "eval_every": 4}
EACH = 2 * 2 * 2 + 1 + 2  # heads with and without BatchNorm, kNN, logistic regressions, of each pooling


def probed(build: str, out: Path, **chosen: Any) -> dict[str, Any]:
    return run("probe", build, out, Probe(**{**TINY, **chosen}), say=lambda line: None)


def table(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "heads.csv").read_text().splitlines()))


@pytest.fixture(scope="module")
def urban(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Land cover that texture tells apart: 200 images of ten classes."""
    folder = tmp_path_factory.mktemp("urban")
    catalog.synthesise("eurosat-sar")(folder / "raw", count=200, seed=0)
    made = catalog.pipeline("eurosat-sar")
    split = "random:train=0.5,val=0.25,test=0.25"
    return str(builds.make(made, folder / "raw", folder / "builds", split=split).path)


@pytest.fixture(scope="module")
def learnt(urban: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A probe of linear heads alone, on features that other runs may share."""
    folder = tmp_path_factory.mktemp("learnt")
    probed(urban, folder / "run", **CNN, features=str(folder / "kept"))
    return folder / "run"


def test_a_probe_leaves_what_every_run_leaves_and_a_row_for_every_candidate(classes: str, out: Path) -> None:
    metrics = probed(classes, out)
    assert json.loads((out / "metrics.json").read_text()) == metrics
    card = Build.open(Path(classes)).manifest.leakage
    assert metrics["leakage"] == {name: figure.model_dump() for name, figure in card.items()}
    assert {"duplicate", "acquisition", "val-train.pass", "test-val.place"} <= card.keys()
    assert json.loads((out / "config.json").read_text())["job"] == "probe"
    rows = table(out)
    assert len(rows) == metrics["probe"]["candidates"] == 3 * EACH
    assert {row["pooling"] for row in rows} == {"cls", "mean", "last4"}
    assert metrics["probe"]["encoded"] == 103
    tables, names = read(out / "predictions.parquet")
    assert {split: len(one) for split, one in tables.items()} == {"val": 8, "test": 8}
    assert names == invented.CLASSES
    made = (out / "heads.csv").stat().st_mtime_ns
    assert probed(classes, out) == metrics  # a finished one is left as it is
    assert (out / "heads.csv").stat().st_mtime_ns == made


def test_the_best_is_chosen_on_val_and_its_figures_are_those_of_its_predictions(learnt: Path) -> None:
    metrics, rows = json.loads((learnt / "metrics.json").read_text()), table(learnt)
    (chosen,) = [row for row in rows if row["chosen"]]
    best = max(float(row["val_oa"]) for row in rows if row["val_oa"])
    assert float(chosen["val_oa"]) == best == metrics["val"]["oa"]
    assert rows.index(chosen) == min(i for i, row in enumerate(rows) if row["val_oa"] == chosen["val_oa"])
    assert not any(name.startswith("test") for name in chosen)
    found = read(learnt / "predictions.parquet")[0]["test"]
    assert metrics["test"]["oa"] == pytest.approx(np.mean(scores(found).argmax(axis=1) == targets(found)))


def test_texture_is_learnt_and_a_shuffled_control_on_the_same_features_is_not(
    urban: str, learnt: Path, tmp_path: Path
) -> None:
    kept = str(learnt.parent / "kept")
    chance = probed(urban, tmp_path / "chance", **CNN, features=kept, control="shuffled-labels")
    assert json.loads((learnt / "metrics.json").read_text())["test"]["oa"] > 0.35
    assert chance["test"]["oa"] < 0.25
    assert chance["probe"]["encoded"] == 0


def test_the_chosen_head_is_kept_and_gives_the_predictions(learnt: Path) -> None:
    with safe_open(learnt / "head.safetensors", "pt") as file:
        weight, bias, told = file.get_tensor("weight"), file.get_tensor("bias"), file.metadata()
    (path,) = (learnt.parent / "kept").glob("test-0-*/mean.npy")
    tables, _ = read(learnt / "predictions.parquet")
    order = np.argsort(tables["test"]["position"].to_numpy())
    logits = torch.from_numpy(np.load(path)) @ weight + bias
    assert told == {"pooling": "mean"}
    np.testing.assert_allclose(logits.numpy()[order.argsort()], scores(tables["test"]), atol=1e-4)


def logged(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_the_log_is_of_the_chosen_heads_training(learnt: Path) -> None:
    (chosen,) = [row for row in table(learnt) if row["chosen"]]
    rows = logged(learnt)
    assert {row["head"].partition(",")[0] for row in rows} == {f"{chosen['head']} on {chosen['pooling']}"}
    assert [row["epoch"] for row in rows] == list(range(1, 16))
    assert [row["epoch"] for row in rows if "val_loss" in row] == [4, 8, 12, 15]
    assert all(0 < row["lr"] <= float(chosen["lr"]) for row in rows)
    assert [row["step"] for row in rows] == [6 * row["epoch"] for row in rows]  # 16 samples a step


def test_samples_of_several_classes_are_probed_by_mean_average_precision(several: str, out: Path) -> None:
    metrics = probed(several, out, poolings=("cls",))
    rows = table(out)
    assert len(rows) == EACH
    assert metrics["val"]["map_micro"] == max(float(row["val_map_micro"]) for row in rows)
    assert metrics["test"]["count"] == 8


def test_neighbours_that_win_leave_no_head(classes: str, out: Path) -> None:
    metrics = probed(classes, out, lrs=(), logistic=(), knn=(3, 9), poolings=("cls",))
    assert metrics["probe"]["chosen"]["head"] == "knn"
    assert [row["k"] for row in table(out)] == ["3", "9"]
    assert not (out / "head.safetensors").exists()
    assert not (out / "log.jsonl").exists()


def test_where_no_trained_head_is_chosen_the_log_is_of_the_best_of_them(urban: str, learnt: Path, out: Path) -> None:
    kept = str(learnt.parent / "kept")
    told = {**CNN, "logistic": (100.0,), "lrs": (1e-9, 1e-8)}  # too small to learn anything
    assert probed(urban, out, **told, features=kept)["probe"]["chosen"]["head"] == "logistic"
    trained = [row for row in table(out) if row["lr"]]
    best = max(trained, key=lambda row: float(row["val_oa"]))
    name = f"{best['head']} on {best['pooling']}, lr {best['lr']}, weight decay {float(best['weight_decay']):g}"
    assert [row["head"] for row in logged(out)] == [name] * CNN["epochs"]
    assert (out / "curves.png").exists()


def test_views_and_shares_change_what_heads_are_trained_on(classes: str, tmp_path: Path) -> None:
    few = probed(classes, tmp_path / "few", fraction=0.2, poolings=("cls",), knn=())
    many = probed(classes, tmp_path / "many", views=3, augment=("crop",), poolings=("cls",), knn=())
    assert few["probe"]["encoded"] == 17 + 8 + 8
    assert many["probe"]["encoded"] == 3 * 87 + 8 + 8


def test_choosing_on_test_is_written_wherever_a_figure_is(classes: str, out: Path) -> None:
    metrics = probed(classes, out, select="test", poolings=("cls",))
    assert metrics["probe"]["chosen_on"] == "test"
    assert "test_oa" in table(out)[0]
    assert "val" in metrics


def test_a_finer_grid_is_tried_around_the_best(urban: str, learnt: Path, out: Path) -> None:
    told = {**CNN, "lrs": (0.001, 0.01), "refine": True, "heads": ("linear",), "poolings": ("mean",)}
    probe = probed(urban, out, **told, features=str(learnt.parent / "kept"))["probe"]
    lrs = [float(row["lr"]) for row in table(out)]
    assert lrs[:4] == [0.001, 0.001, 0.01, 0.01]
    # A larger learning rate learns more in few epochs, so that the finer grid goes on beyond 0.01.
    assert lrs[4:] == pytest.approx([10**-2.5, 10**-1.5, 0.1])
    assert probe["candidates"] == 7
    assert probe["chosen"]["lr"] == pytest.approx(0.1)
    assert probe["edges"][0] == "lr 0.1 is the largest that was tried: a better one may lie beyond"


def test_finer_grids_lie_halfway_by_ratio_and_go_on_beyond_an_edge() -> None:
    settings = Probe(lrs=(0.01, 0.1, 1.0), weight_decays=(0.0, 1e-4), knn=(5, 20), logistic=(1.0,))
    inside = refine(Candidate("linear", "cls", 0.1, 1e-4), settings, 100)
    assert inside is not None
    assert inside.lrs == pytest.approx((10**-1.5, 10**-0.5))
    assert inside.weight_decays == (1e-4,)
    lowest = refine(Candidate("linear", "cls", 0.01, 0.0), settings, 100)
    assert lowest is not None
    assert lowest.lrs == pytest.approx((0.001, 10**-2.5, 10**-1.5))
    for samples, counts in ((100, (10, 40, 80)), (30, (10, 30))):
        more = refine(Candidate("knn", "cls", k=20), settings, samples)
        assert more is not None
        assert more.knn == counts
    assert refine(Candidate("logistic", "cls", c=1.0), settings, 100) is None  # one value is no grid


def test_what_lies_on_an_edge_is_told_where_more_is_possible() -> None:
    tried = [Candidate("linear", "cls", lr, decay) for lr in (0.1, 1.0) for decay in (0.0, 1e-4)]
    assert edges(tried[3], tried) == [
        "lr 1 is the largest that was tried: a better one may lie beyond",
        "weight decay 0.0001 is the largest that was tried: a better one may lie beyond",
    ]
    assert edges(tried[0], tried)[0].startswith("lr 0.1 is the smallest")
    assert len(edges(tried[0], tried)) == 1  # there is no weight decay below 0
    assert edges(Candidate("knn", "cls", k=1), [Candidate("knn", "cls", k=k) for k in (1, 5)]) == []
    assert edges(tried[0], tried[:1]) == []


def test_candidates_that_all_diverged_are_an_error(classes: str, out: Path) -> None:
    with pytest.raises(RunError, match="expected a candidate with a oa on val, found none of 4: take smaller `lrs=…`"):
        probed(classes, out, lrs=(1e30,), weight_decays=(1e8, 1e9), knn=(), logistic=(), poolings=("cls",))


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"select": "last"}, "a probe must choose one"),
        ({"views": 2}, "without `augment=…` all views would be the same"),
        ({"views": 2, "augment": ("mixup",)}, "expected steps that keep the targets"),
        ({"augment": ("crop",)}, "the first view is not augmented: take `views=2`"),
        ({"fraction": 0.05}, "knn 5: expected at most the 4 train samples"),
        ({"poolings": ("max",)}, "unknown pooling of test_vit 'max'"),
        ({"heads": ("mlp",)}, "unknown head 'mlp'"),
        ({"lrs": (), "knn": (), "logistic": ()}, "nothing to try"),
        ({"knn": (500,)}, "at most the 87 train samples"),
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_told(classes: str, out: Path, chosen: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        probed(classes, out, **chosen)


def test_masks_are_not_for_probes(tmp_path: Path) -> None:
    build = invented.sealed(
        invented.pipeline("segmentation"), invented.archive(tmp_path / "raw", 40), tmp_path / "builds"
    )
    with pytest.raises(UsageError, match="a probe takes classes of whole images"):
        probed(str(build.path), tmp_path / "run")


def test_what_is_tried_is_listed_by_pooling() -> None:
    found = groups(Probe(knn=(), logistic=(1.0,)), ("cls", "mean"))
    assert found == [(head, pooling) for pooling in ("cls", "mean") for head in ("linear", "bn-linear", "logistic")]
    assert str(Candidate("bn-linear", "cls", 0.1, 0.0)) == "bn-linear on cls, lr 0.1, weight decay 0"
