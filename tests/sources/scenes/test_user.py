"""`sar-data scenes` as a user runs it, against a catalogue on loopback."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from sar_data.cli import main
from tests.mini.hang import HANG_S
from tests.mini.sources import copied, patches, rewrite
from tests.places import ROOT, SAMPLES
from tests.sources.scenes.servers import OData
from tests.sources.scenes.shelf import Stored
from tests.sources.scenes.site import Reply, Request

REAL = SAMPLES / "bigearthnet-s1-v1.0" / "BigEarthNet-S1-Example"
NAME = "S1A_IW_GRDH_1SDV_20170613T165043_20170613T165108_017018_01C579_7EEC"
SCHEMA = ROOT / "schemas" / "scenes.schema.json"


def scenes(source: Path, out: Path, url: str, *more: object) -> Result:
    args = ("find", "bigearthnet-s1", "--source", source, "--out", out, "--url", url, "--workers", 1, *more)
    return CliRunner().invoke(main, ["scenes", *map(str, args[1:])])


def sources(source: Path) -> dict[str, str]:
    """Return patch → product, as the archive's JSON files say."""
    files = source.rglob("*_labels_metadata.json")
    return {path.parent.name: json.loads(path.read_text())["scene_source"] for path in files}


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_every_patch_of_a_synthetic_archive_finds_its_product(bigearthnet_source: Path, tmp_path: Path) -> None:
    known, out = sources(bigearthnet_source), tmp_path / "scenes.csv"
    names = sorted(set(known.values()))
    with OData([Stored(f"{name}.SAFE") for name in names]) as site:
        result = scenes(bigearthnet_source, out, site.url)
        asked = len(site.requests)
        again = scenes(bigearthnet_source, tmp_path / "scenes.csv", site.url)
        assert len(site.requests) == asked
    assert (result.exit_code, again.exit_code) == (0, 0)
    assert result.stdout.strip() == str(out)
    assert f"{len(names)} scenes, {len(names)} matched by their whole name, 0 with twins" in result.stderr
    assert asked == -(-len(names) // 10)
    head, *body = rows(out)
    assert head == ["patch", "scene file", "link"]
    link = f"{site.url}/Products({{}})/$value"
    expected = [[patch, f"{name}.SAFE", link.format(Stored(f"{name}.SAFE").id)] for patch, name in known.items()]
    assert body == sorted(expected)
    document = json.loads(out.with_suffix(".json").read_text())
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
    assert [match["scene"] for match in document["scenes"]] == names


def test_twins_and_missing_scenes_are_reported_and_saved(bigearthnet_source: Path, tmp_path: Path) -> None:
    known, out = sources(bigearthnet_source), tmp_path / "scenes.csv"
    gone, cog, both, again, *rest = sorted(set(known.values()))
    stored = [f"{cog}_COG", both, f"{both}_COG", f"{again[:-4]}FFFF", f"{again[:-4]}FFFF_COG", *rest]
    with OData([Stored(f"{name}.SAFE") for name in stored]) as site:
        result = scenes(bigearthnet_source, out, site.url)
    assert result.exit_code == 1
    assert f"{len(rest) + 1} matched by their whole name, 2 with twins" in result.stderr
    assert "1 as the cloud-optimised twin of that name" in result.stderr
    assert "1 as the same acquisition, processed again" in result.stderr
    assert f"{gone}: cdse has no product of this name" in result.stderr
    assert "1 of " in result.stderr.splitlines()[-1]
    found = {patch: (name, link) for patch, name, link in rows(out)[1:]}
    assert set(found) == set(known)
    assert {found[patch] for patch, name in known.items() if name == gone} == {(gone, "")}
    assert {found[patch][0] for patch, name in known.items() if name == again} == {f"{again[:-4]}FFFF.SAFE"}
    facts = {match["scene"]: match for match in json.loads(out.with_suffix(".json").read_text())["scenes"]}
    assert [one["name"] for one in facts[both]["twins"]] == [f"{both}_COG.SAFE"]
    assert (facts[cog]["how"], facts[cog]["product"]["name"]) == ("cog", f"{cog}_COG.SAFE")
    assert facts[gone]["product"] is None


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real patches in {REAL}: set SAR_DATA_SAMPLES")
def test_the_six_real_patches_find_their_products(tmp_path: Path) -> None:
    known, out = sources(REAL), tmp_path / "scenes.csv"
    with OData([Stored(f"{name}.SAFE") for name in set(known.values())], page=2) as site:
        result = scenes(REAL, out, site.url)
    assert result.exit_code == 0
    body = rows(out)[1:]
    assert len(body) == 6
    assert [(patch, name.removesuffix(".SAFE")) for patch, name, _ in body] == sorted(known.items())


class Stalling(OData):
    """Answers the first query, and lets the others wait."""

    def __init__(self, shelf: Iterable[Stored]) -> None:
        super().__init__(shelf)
        self.going_on = threading.Event()
        self.stalled = threading.Event()

    def respond(self, request: Request) -> Reply:
        if len(self.requests) > 1:
            self.stalled.set()
            self.going_on.wait(HANG_S)
        return super().respond(request)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_or_killed_search_resumes(small_source: Path, tmp_path: Path, number: int) -> None:
    source, out = copied(small_source, tmp_path / "raw"), tmp_path / "new" / "scenes.csv"
    for index, patch in enumerate(patches(source)):  # sixteen scenes, which are two queries
        rewrite.facts(patch, scene_source=f"{NAME[:-4]}{index:04X}")
    names = sorted(set(sources(source).values()))
    with Stalling(Stored(f"{name}.SAFE") for name in names) as site:
        command = [sys.executable, "-c", "from sar_data.cli import main; main()", "scenes", "bigearthnet-s1"]
        command += ["--source", str(source), "--out", str(out), "--url", site.url, "--workers", "1"]
        heard = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731  (in the background it is not)
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heard) as running:
            assert site.stalled.wait(HANG_S)
            running.send_signal(number)
            _, said = running.communicate()
        site.going_on.set()
        if number == signal.SIGINT:
            assert running.returncode == 128 + number
            assert said.splitlines()[-1].startswith("sar-data: stopped: the answers are kept in ")
        assert not out.exists()
        assert scenes(source, out, site.url).exit_code == 0
        queries = [request.query["$filter"] for request in site.requests]
    assert len(rows(out)) == 17
    assert sum(names[0] in query for query in queries) == 1
    assert queries[1] == queries[2]


def test_an_unwritable_path_is_reported_before_the_search(bigearthnet_source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with OData([]) as site:
        result = scenes(bigearthnet_source, tmp_path / "file" / "scenes.csv", site.url)
        assert (result.exit_code, site.requests) == (1, [])
    assert "Choose another --out" in result.stderr


def test_a_name_without_csv_is_refused_before_the_search(bigearthnet_source: Path, tmp_path: Path) -> None:
    with OData([]) as site:
        result = scenes(bigearthnet_source, tmp_path / "scenes.json", site.url)
        assert (result.exit_code, site.requests) == (2, [])
    assert "ends in .csv" in result.stderr


def test_a_dataset_without_scene_names_gives_an_error(eurosat_source: Path, tmp_path: Path) -> None:
    args = ["scenes", "eurosat-sar", "--source", eurosat_source, "--out", tmp_path / "scenes.csv", "--workers", 1]
    result = CliRunner().invoke(main, list(map(str, args)))
    assert result.exit_code == 1
    assert "expected records that name a satellite product" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_options_may_come_before_the_dataset_and_both_commands_explain_themselves() -> None:
    run = CliRunner().invoke
    assert "--source" in run(main, ["scenes", "--out", "x.csv", "bigearthnet-s1"]).stderr
    assert "Did you mean 'bigearthnet-s1'" in run(main, ["scenes", "bigearthnet-s2", "--out", "x.csv"]).stderr
    assert "scenes find" in run(main, ["scenes", "bigearthnet-s1", "--help"]).stdout
    assert "--out" in run(main, ["scenes", "find", "--help"]).stdout
