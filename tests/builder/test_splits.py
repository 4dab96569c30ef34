"""A plan of several splits says of each what its build would: samples, leakage, cost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import sar_data
from sar_data import catalog
from sar_data.builder import outlook
from sar_data.builder.fit import Fitted
from sar_data.builder.prepare import scan_source
from sar_data.builder.scan import Scanned
from sar_data.cli import main
from sar_data.errors import BadRecord, SourceError, UsageError
from sar_data.sealed.leakage import pair
from sar_data.sealed.opened import Build
from sar_data.split.cost import split_cost
from sar_data.split.parse import split_list
from sar_data.split.policy import SPLITS

DATASET = "bigearthnet-s1"


@pytest.mark.parametrize(
    ("text", "policies"),
    [
        ("official", ["official"]),
        ("official, group,random", ["official", "group", "random"]),
        ("blocks:size=15,buffer=1,random:val=0.2", ["blocks:size=15,buffer=1", "random:val=0.2"]),
        ("", []),
    ],
)
def test_a_list_of_policies_keeps_their_parameters(text: str, policies: list[str]) -> None:
    assert split_list(text) == policies


def test_a_planned_split_is_the_one_that_is_built(
    bigearthnet_source: Path, sealed: dict[str, Build], tmp_path: Path
) -> None:
    (one,) = sar_data.plan(DATASET, source=bigearthnet_source, out=tmp_path, split="random", workers=1).splits
    manifest = sealed["zarr"].manifest
    assert {name: one.counts[name] for name in SPLITS} == {name: manifest.splits[name].count for name in SPLITS}
    assert one.counts["unused"] == sum(manifest.unused.values())
    assert one.cost == split_cost(manifest.splits, manifest.unused)
    seen = {name: figure for name, figure in pair(manifest.leakage).items() if name in one.leakage}
    assert one.leakage == seen
    assert one.class_shares == {name: manifest.splits[name].class_shares for name in SPLITS}
    assert {"touching", "identical", "place", "group"} <= seen.keys()


def test_all_splits_of_a_dataset_are_planned_by_one_scan_and_a_failure_is_told(
    eurosat_source: Path, tmp_path: Path
) -> None:
    planned = sar_data.plan("eurosat-sar", source=eurosat_source, out=tmp_path, workers=1)
    found = {one.split: one for one in planned.splits}
    assert list(found) == list(sar_data.info("eurosat-sar")["splits"])
    assert "expected at least one test record for each of 10 classes" in found["fgmae"].failure
    assert not found["fgmae"].counts
    assert any(sentence == f"split fgmae: {found['fgmae'].failure}" for sentence in planned.missing)
    assert sum(found["random"].counts.values()) == 40


def test_the_command_builds_nothing_and_prints_a_line_a_split(bigearthnet_source: Path, tmp_path: Path) -> None:
    out = tmp_path / "builds"
    words = ["build", DATASET, "--source", str(bigearthnet_source), "--out", str(out), "--workers", "1", "--plan"]
    done = CliRunner().invoke(main, [*words, "--split", "official,blocks:size=5,buffer=1"])
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert [word for word, *_ in map(str.split, lines)][:6] == ["records", "build", "reads", "writes", "disk", "memory"]
    head = next(at for at, text in enumerate(lines) if text.startswith("split"))
    assert [text.split()[0] for text in lines[head + 1 : head + 3]] == ["official", "blocks:size=5,buffer=1"]
    assert not out.exists()
    rows = json.loads(CliRunner().invoke(main, [*words, "--split", "random", "--json"]).stdout)["splits"]
    assert [row["split"] for row in rows] == ["random"]
    repeated = ["--split", "random:val=0.2,test=0.1,train=0.7", "--split", "group"]
    found = json.loads(CliRunner().invoke(main, [*words, *repeated, "--json"]).stdout)["splits"]
    assert [row["split"] for row in found] == [repeated[1], "group"]
    refused = CliRunner().invoke(main, [*(word for word in words if word != "--plan"), *repeated])
    assert refused.exit_code == 2
    assert "--split: expected one, found random:val=0.2" in refused.stderr
    assert not out.exists()
    assert sum(rows[0]["counts"].values()) == 60


def test_a_split_that_does_not_exist_is_said_before_the_scan(bigearthnet_source: Path, tmp_path: Path) -> None:
    scanned: list[str] = []
    with pytest.raises(UsageError, match=r"unknown split 'ofical'\. Did you mean 'official'\?"):
        sar_data.plan(
            DATASET,
            source=bigearthnet_source,
            out=tmp_path,
            split=["random", "ofical"],
            workers=1,
            progress=lambda stage, done, total: scanned.append(stage),
        )
    assert not scanned


def test_a_bad_record_stops_a_plan_as_it_stops_the_build_and_is_left_out_of_both(
    bigearthnet_source: Path, tmp_path: Path
) -> None:
    source = tmp_path / "raw"
    shutil.copytree(bigearthnet_source, source)
    labels = sorted(source.rglob("*_labels_metadata.json"))
    labels[0].write_text("{")
    choice: dict[str, Any] = {"source": source, "out": tmp_path / "out", "split": "random", "runner": "serial"}
    with pytest.raises(BadRecord, match="`bad_records=quarantine` leaves out records that are so") as planned:
        sar_data.plan(DATASET, **choice)
    with pytest.raises(BadRecord) as built:
        sar_data.build(DATASET, **choice)
    assert str(planned.value) == str(built.value)
    planned = sar_data.plan(DATASET, **choice, bad_records="quarantine")
    (one,) = planned.splits
    assert planned.quarantined == 1
    assert sum(one.counts.values()) == len(labels) - 1


@pytest.mark.parametrize("rehash", [False, True])
def test_a_plan_reads_the_contents_of_files_where_it_is_asked_to(
    bigearthnet_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rehash: bool
) -> None:
    found: list[Scanned] = []

    def watched(*asked: Any) -> tuple[Scanned, Fitted]:
        scanned, fit = scan_source(*asked)
        found.append(scanned)
        return scanned, fit

    monkeypatch.setattr(outlook, "scan_source", watched)
    asked: dict[str, Any] = {"source": bigearthnet_source, "out": tmp_path, "split": "random", "runner": "serial"}
    sar_data.plan(DATASET, **asked, limit=3, rehash=rehash)
    (scanned,) = found
    assert {
        file.xxh3 is not None for record in scanned.records for file in record.files if file.path.endswith(".tif")
    } == {rehash}


def test_a_set_of_ones_own_is_planned_by_what_is_declared(tmp_path: Path) -> None:
    catalog.synthesise("custom")(tmp_path / "raw", count=20, seed=0)
    (tmp_path / "raw" / "dataset.toml").unlink()
    with pytest.raises(SourceError, match="unit"):
        sar_data.plan("custom", source=tmp_path / "raw", out=tmp_path, split="random", runner="serial")
    asked: dict[str, Any] = {"source": tmp_path / "raw", "out": tmp_path, "split": "random", "runner": "serial"}
    (one,) = sar_data.plan("custom", **asked, unit="dB").splits
    assert sum(one.counts.values()) == 20
