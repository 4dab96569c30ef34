"""Runs stand beside each other with what differs between them, and what was chosen on test says so everywhere."""

from __future__ import annotations

import csv
import io
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sar_data.errors import RunError, UsageError
from sar_data.train import comparison, metrics, predictions
from sar_data.train.metrics import jackknife
from tests.train import predicted

CLASSES = ("wood", "water")


def run(path: Path, *, seed: int = 0, score: float = 1.0, **settings: Any) -> Path:
    """Leave what a run leaves: documents whose figures are computed from predictions."""
    random = np.random.default_rng(seed)
    target = random.integers(0, 2, 200)
    scores = random.normal(size=(200, 2)) + score * np.eye(2)[target]
    keys, groups = [f"{i:03d}" for i in range(200)], [f"scene {i % 9}" for i in range(200)]
    table = predictions.gathered([predicted.part(keys, target, scores, groups=groups)])
    figures = metrics.figures(table, CLASSES)
    figures["intervals"] = jackknife.intervals(table, CLASSES)
    path.mkdir(parents=True)
    (path / "metrics.json").write_text(json.dumps({"val": figures, "test": figures, "probe": {"candidates": 3}}))
    build = {"path": str(path), "dataset": "invented", "version": "1", "variant": "", "content_digest": "0123456789ab"}
    config = {
        "job": "finetune",
        "preset": None,
        "settings": {"model": "resnet18", "weights": None, "select": "val", "lr": 0.1, "seed": seed} | settings,
        "build": build,
        "environment": {"torch": "2.15.0", "ranks": 1},
    }
    (path / "config.json").write_text(json.dumps(config))
    predictions.write(path / predictions.NAME, {"test": table}, CLASSES)
    return path


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def rows(text: str) -> list[dict[str, str]]:
    """Return the first table of a page, a row a run."""
    head, _, *lines = text.splitlines()
    return [dict(zip(cells(head), cells(line), strict=True)) for line in lines[: lines.index("")]]


def test_each_run_has_a_line_with_its_figures_and_intervals(tmp_path: Path) -> None:
    runs = comparison.opened([run(tmp_path / "a"), run(tmp_path / "b", seed=1, score=3.0)])
    text = comparison.markdown(runs)
    table = rows(text)
    assert list(table[0]) == ["run", "test OA", "test AA", "test F1 macro"]
    same = "job finetune; preset –; model resnet18; weights –; build invented 1 01234567; chosen on val"
    assert f"The same in all: {same}\n" in text
    for row, one in zip(table, runs, strict=True):
        test = one.metrics["test"]
        low, high = test["intervals"]["oa"]
        assert row["test OA"] == f"{test['oa']:.3f} [{low:.3f}, {high:.3f}]"
    assert "Intervals: jackknife-t on the logit over 9 groups" in text
    assert comparison.MARK not in text


def test_only_options_that_differ_are_listed_and_paths_never(tmp_path: Path) -> None:
    runs = comparison.opened([run(tmp_path / "a", augment=[]), run(tmp_path / "b", seed=1, augment=["flips", "crop"])])
    assert comparison.differences(runs) == {"seed": ["0", "1"], "augment": ["none", "flips, crop"]}
    assert "| augment | none | flips, crop |" in comparison.markdown(runs)
    same = comparison.opened([run(tmp_path / "c"), run(tmp_path / "d")])
    assert comparison.differences(same) == {}
    assert "What differs" not in comparison.markdown(same)


def test_an_option_that_one_job_lacks_differs(tmp_path: Path) -> None:
    runs = comparison.opened([run(tmp_path / "a"), run(tmp_path / "b", views=4)])
    assert comparison.differences(runs) == {"views": ["–", "4"]}


def test_builds_differ_by_name_alone_and_the_head_that_a_probe_chose_is_told(tmp_path: Path) -> None:
    a, b = run(tmp_path / "a"), run(tmp_path / "b")
    document = json.loads((b / "config.json").read_text())
    document["build"] |= {"dataset": "other", "content_digest": "ba9876543210"}
    (b / "config.json").write_text(json.dumps(document))
    document = json.loads((b / "metrics.json").read_text())
    document["probe"] = {"chosen": {"head": "linear", "pooling": "cls", "lr": 0.1}}
    (b / "metrics.json").write_text(json.dumps(document))
    runs = comparison.opened([a, b])
    assert comparison.differences(runs) == {
        "chosen.head": ["–", "linear"],
        "chosen.pooling": ["–", "cls"],
        "chosen.lr": ["–", "0.1"],
    }
    assert "other 1 ba987654" in comparison.markdown(runs)


def test_what_was_chosen_on_test_is_marked_at_every_number(tmp_path: Path) -> None:
    runs = comparison.opened([run(tmp_path / "a", select="test"), run(tmp_path / "b")])
    text = comparison.markdown(runs)
    first, second = rows(text)
    assert (first.pop("run"), first.pop("chosen on")) == ("a", "test (as published)")
    assert all(cell.endswith(comparison.MARK) for cell in first.values())
    assert comparison.MARK not in "".join(second.values())
    assert comparison.NOTE in text
    assert comparison.NOTE not in comparison.markdown(runs, "val")
    assert [row["chosen on"] for row in csv.DictReader(io.StringIO(comparison.as_csv(runs)))] == [
        "test (as published)",
        "val",
    ]


def test_latex_is_a_table_that_sets_every_sign(tmp_path: Path) -> None:
    runs = comparison.opened([run(tmp_path / "a_1", select="test"), run(tmp_path / "b&2", seed=1)])
    text = comparison.latex(runs)
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    assert lines[0] == r"\begin{tabular}{lllll}"
    assert lines[2] == r"run & chosen on & test OA & test AA & test F1 macro \\"
    assert lines[4].startswith(r"a\_1 & test (as published) & 0.")
    assert lines[4].count(r"\dag{}") == 3
    assert lines[5].startswith(r"b\&2 & val & 0.")
    assert lines[-1] == r"\end{tabular}"
    assert r"% \dag{} chosen on test" in text
    assert "% model: resnet18" in text


def test_csv_has_numbers_in_full(tmp_path: Path) -> None:
    runs = comparison.opened([run(tmp_path / "a", note="x, y"), run(tmp_path / "b", seed=1, note="|")])
    found = list(csv.DictReader(io.StringIO(comparison.as_csv(runs))))
    assert [row["run"] for row in found] == ["a", "b"]
    for row, one in zip(found, runs, strict=True):
        test = one.metrics["test"]
        assert float(row["oa"]) == test["oa"]
        assert [float(row["aa_low"]), float(row["aa_high"])] == test["intervals"]["aa"]
    assert [row["note"] for row in found] == ["x, y", "|"]
    assert r"| note | x, y | \| |" in comparison.markdown(runs)


def test_csv_of_strangers_runs_has_no_formula(tmp_path: Path) -> None:
    paths = [run(tmp_path / "=a", note="=HYPERLINK(1)", lr=-1.5), run(tmp_path / "@b", seed=1, note="-2+3")]
    found = list(csv.DictReader(io.StringIO(comparison.as_csv(comparison.opened(paths)))))
    assert [row["run"] for row in found] == ["'=a", "'@b"]
    assert [row["note"] for row in found] == ["'=HYPERLINK(1)", "'-2+3"]
    assert [row["lr"] for row in found] == ["-1.5", "0.1"]


def test_figures_of_batches_stand_beside_those_of_the_whole_split(tmp_path: Path) -> None:
    path = run(tmp_path / "a", select="test")
    document = json.loads((path / "metrics.json").read_text())
    document["test"]["fgmae_batched"] = {"count": 200, "batch": 16, "method": "means", "oa": 0.8, "aa": 0.625}
    (path / "metrics.json").write_text(json.dumps(document))
    lines = comparison.markdown(comparison.opened([path])).splitlines()
    assert cells(lines[0])[10:] == ["test OA, batched as FG-MAE", "test AA, batched as FG-MAE"]
    assert cells(lines[2])[10:] == [f"0.800{comparison.MARK}", f"0.625{comparison.MARK}"]


def test_a_run_without_a_figure_has_a_dash(tmp_path: Path) -> None:
    paths = [run(tmp_path / "a"), run(tmp_path / "b")]
    (paths[1] / "metrics.json").write_text(json.dumps({"test": {"count": 4, "miou": 0.5, "oa": None}}))
    lines = comparison.markdown(comparison.opened(paths)).splitlines()
    assert cells(lines[0])[1:] == ["test OA", "test AA", "test F1 macro", "test mIoU"]
    assert cells(lines[3])[1:] == ["–", "–", "–", "0.500"]
    assert "–" in cells(lines[2])[-1]


def test_runs_of_one_name_are_told_by_their_paths(tmp_path: Path) -> None:
    runs = comparison.opened([run(tmp_path / "x" / "a"), run(tmp_path / "y" / "a")])
    assert [one.name for one in runs] == [str(tmp_path / "x" / "a"), str(tmp_path / "y" / "a")]


def test_folders_that_are_no_finished_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected the folder of a finished run, found no run"):
        comparison.opened([tmp_path / "nowhere"])
    going = run(tmp_path / "going")
    (going / "metrics.json").unlink()
    with pytest.raises(RunError, match="found not finished"):
        comparison.opened([going])
    other = run(tmp_path / "other")
    (other / "config.json").write_text('{"name": "something else"}')
    with pytest.raises(RunError, match="expected the document of a run, found another one"):
        comparison.opened([other])
    (other / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config\.json: expected the document of a run, cannot read it"):
        comparison.opened([other])
    with pytest.raises(UsageError, match="expected the folders of runs, found none"):
        comparison.opened([])


def test_a_split_that_no_run_has_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run has figures of 'tset'; there are: test, val"):
        comparison.markdown(comparison.opened([run(tmp_path / "a")]), "tset")


def test_differences_to_the_first_run_are_tested_in_pairs(tmp_path: Path) -> None:
    first, worse, other = run(tmp_path / "a"), run(tmp_path / "b", score=0.2), run(tmp_path / "c", seed=1)
    text = comparison.markdown(comparison.opened([first, worse, other]))
    rows = [cells(line) for line in text.splitlines() if line.startswith(("| b | test OA", "| c | test OA"))]
    (row,) = rows  # c was tested on other labels: it is in no pair
    assert row[0] == "b"
    assert row[2] == "200"
    assert row[3].startswith("-")
    assert "Differences: paired, jackknife-t over 9 groups" in text
    assert "c: not tested against a: expected runs that were tested on the same labels, found others" in text
    (worse / predictions.NAME).unlink()
    assert "b: not tested against a: b keeps no predictions" in comparison.markdown(comparison.opened([first, worse]))


def test_probabilities_of_many_runs_are_corrected_for_their_number(tmp_path: Path) -> None:
    """Three runs that are alike: each p, McNemar's too, is three times that of a comparison of two."""
    first, *others = (
        run(tmp_path / name, score=score) for name, score in zip("abcd", (0.6, 0.5, 0.5, 0.5), strict=True)
    )
    alone, many = (comparison.markdown(comparison.opened([first, *some])) for some in (others[:1], others))
    lines = [[line for line in text.splitlines() if line[5:].startswith(" test OA ")] for text in (alone, many)]
    (one,), three = ([cells(line)[4:] for line in found] for found in lines)
    assert len(three) == 3
    for found in three:
        for p, corrected in zip(one, found, strict=True):
            assert float(corrected) == pytest.approx(min(1.0, 3 * float(p)), abs=2e-3)


def test_runs_that_differ_in_their_seed_alone_become_mean_and_deviation(tmp_path: Path) -> None:
    runs = comparison.opened(
        [run(tmp_path / name, seed=i) for i, name in enumerate("abc")] + [run(tmp_path / "d", lr=1)]
    )
    lines = comparison.over_seeds(runs).splitlines()
    values = [one.metrics["test"]["oa"] for one in runs[:3]]
    three = next(line for line in lines if line.startswith("| a, b, c |"))
    assert f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}" in three
    assert cells(three)[7] == "0, 1, 2"
    assert "†" not in "".join(lines)
    chosen = comparison.over_seeds(comparison.opened([run(tmp_path / "t", select="test")])).splitlines()
    assert all(cell.endswith("†") for cell in cells(chosen[2])[8:])
    assert chosen[-1] == comparison.NOTE
    alone = next(line for line in lines if line.startswith("| d |"))
    assert f"{runs[3].metrics['test']['oa']:.3f}" in cells(alone)


STRANGE: dict[str, tuple[str, Any]] = {
    "settings": ("config", {"settings": 0.5}),
    "preset": ("config", {"preset": 7}),
    "version": ("config", {"build": {"path": "", "dataset": "x", "content_digest": "0" * 8}}),
    "weights": ("config", {"weights": [1]}),
    "probe": ("metrics", {"probe": {"chosen": 3}}),
    "departures": ("metrics", {"departures": [1.5]}),
    "intervals": ("metrics", {"test": {"count": 1, "oa": 0.5, "intervals": 7}}),
    "method": ("metrics", {"test": {"count": 1, "oa": 0.5, "intervals": {"method": ["x"]}}}),
    "no intervals": ("metrics", {"test": {"count": 1, "oa": 0.5, "intervals": None}}),
    "count": ("metrics", {"test": {"count": [1], "oa": 0.5}}),
    "calibration": ("metrics", {"test": {"count": 1, "calibration": {"ece": 10**400}}}),
    "fgmae_batched": ("metrics", {"test": {"count": 1, "oa": 0.5, "fgmae_batched": 2}}),
}


@pytest.mark.parametrize("field", STRANGE)
def test_an_edited_document_is_named_with_its_field(tmp_path: Path, field: str) -> None:
    name, changed = STRANGE[field]
    path = run(tmp_path / "a") / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(
        RunError, match=rf"{name}\.json: expected the document of a run, found another one: .*{field.split()[-1]}"
    ):
        comparison.opened([tmp_path / "a"])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_mean_of_a_figure_that_is_no_number_is_none(tmp_path: Path, value: float) -> None:
    runs = [run(tmp_path / "a"), run(tmp_path / "b", seed=1)]
    document = json.loads((runs[0] / "metrics.json").read_text())
    document["test"]["oa"] = value
    (runs[0] / "metrics.json").write_text(json.dumps(document))
    (row,) = rows(comparison.over_seeds(comparison.opened(runs)))
    assert row["test OA"] == "nan"
    assert "±" in row["test AA"]


def test_predictions_that_no_run_leaves_are_refused(tmp_path: Path) -> None:
    first, second = run(tmp_path / "a"), run(tmp_path / "b", seed=1)
    table = pq.read_table(second / predictions.NAME)
    strange = {
        "every column once": table.append_column("key", table["key"]),
        "target: expected classes below 2": table.set_column(1, "target", pa.array([2] * len(table))),
        "scores: expected 2 numbers": table.set_column(2, "scores", pa.array([[0.5]] * len(table))),
        "key: expected text": table.set_column(0, "key", pa.array(range(len(table)))),
        "key: expected text in each row, found dict": table.set_column(0, "key", table["key"].dictionary_encode()),
        "key: expected a value in each row": table.set_column(0, "key", pa.nulls(len(table), pa.string())),
    }
    assert table.column_names[:3] == ["key", "target", "scores"]
    for reason, other in strange.items():
        pq.write_table(other, second / predictions.NAME)
        with pytest.raises(RunError, match=f"expected the predictions of a run, cannot read them: .*{reason}"):
            comparison.markdown(comparison.opened([first, second]))


def test_an_interval_that_is_none_is_not_shown(tmp_path: Path) -> None:
    path = run(tmp_path / "a") / "metrics.json"
    for strange in ([0.1], "ab", {"low": 0.1}, ["x", "y"]):
        path.write_text(json.dumps({"test": {"count": 1, "oa": 0.5, "intervals": {"oa": strange}}}))
        assert "| 0.500 |" in comparison.markdown(comparison.opened([tmp_path / "a"]))
