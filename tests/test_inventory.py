"""Builds and runs below a folder, and which of them a word means."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import sar_data
from sar_data.cli import main
from sar_data.errors import UsageError
from sar_data.inventory import _date, find, remove
from sar_data.sealed.opened import Build
from tests.mini.strangers import NOBODY


@pytest.fixture
def here(tmp_path: Path, sealed: dict[str, Build], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three builds of one dataset, one that was stopped, one that is damaged, and two runs."""
    monkeypatch.chdir(tmp_path)
    version = tmp_path / "builds" / "bigearthnet-s1" / "1.0"
    for i, name in enumerate(("lmdb", "webdataset", "zarr")):
        made = version / sealed[name].path.name
        shutil.copytree(sealed[name].path, made)
        os.utime(made / "manifest.json", (i, i))
    (version / ".zarr-00000000.building" / "build").mkdir(parents=True)
    (version / ".zarr-00000000.building" / "build" / "manifest.json").write_text("{}")
    (version / "zarr-11111111").mkdir()
    (version / "zarr-11111111" / "manifest.json").write_text("{")
    for name in ("first", "first-again"):
        run = tmp_path / "runs" / name
        run.mkdir(parents=True)
        config = {"job": "probe", "settings": {}, "build": {"dataset": "bigearthnet-s1", "version": "1.0"}}
        (run / "config.json").write_text(json.dumps(config))
    (tmp_path / "runs" / "first" / "metrics.json").write_text("{}")
    (tmp_path / "runs" / "a-model-of-others").mkdir()
    (tmp_path / "runs" / "a-model-of-others" / "config.json").write_text('{"model": "resnet"}')
    return tmp_path


def cli(*args: object, **options: str) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], **options)  # type: ignore[arg-type]


def test_builds_and_runs_are_listed_with_what_they_are(here: Path, sealed: dict[str, Build]) -> None:
    entries = sar_data.builds()
    assert {entry.path.name: entry.state for entry in entries} == {
        ".zarr-00000000.building": "unfinished",
        **{sealed[name].path.name: "sealed" for name in ("lmdb", "webdataset", "zarr")},
        "zarr-11111111": "unreadable",
        "first": "finished",
        "first-again": "unfinished",
    }
    one = next(entry for entry in entries if entry.format == "zarr")
    assert (one.dataset, one.version, one.what, one.samples) == ("bigearthnet-s1", "1.0", "random", 59)
    assert one.date == "1970-01-01T00:00:02+00:00"
    assert one.bytes == sum(path.stat().st_size for path in one.path.rglob("*") if path.is_file())
    run = next(entry for entry in entries if entry.path.name == "first")
    assert (run.kind, run.what, run.dataset) == ("run", "probe", "bigearthnet-s1")


def test_the_list_is_text_of_80_columns_or_json(here: Path) -> None:
    text = cli("builds").stdout
    assert all(len(line) <= 80 for line in text.splitlines())
    print(text)
    assert text.splitlines()[0] == "builds/bigearthnet-s1/1.0"
    rows = json.loads(cli("builds", "builds", "--json").stdout)
    assert {row["kind"] for row in rows} == {"build"}
    assert "no builds and no runs in" in cli("builds", here / "runs" / "first").stderr


def test_a_word_means_the_latest_or_the_only_one_that_begins_so(here: Path, sealed: dict[str, Build]) -> None:
    version = Path("builds/bigearthnet-s1/1.0")
    lmdb, zarr = sealed["lmdb"].path.name, sealed["zarr"].path.name
    os.utime(version / "zarr-11111111" / "manifest.json", (0, 0))
    assert find("latest") == version / zarr
    assert find("lmdb") == find(lmdb[:8]) == find(lmdb.partition("-")[2][:4]) == version / lmdb
    assert find("bigearthnet-s1/1.0/lm") == find(version / "lm") == version / lmdb
    assert find(here / "builds" / "latest") == here / version / zarr
    assert find("nothing") is None
    assert find("latest", "run") in (Path("runs/first"), Path("runs/first-again"))
    assert find("first", "run") == Path("runs/first")  # the whole name, although another begins so
    with pytest.raises(UsageError, match=r"zarr: expected one build, found 2: .*zarr-11111111.*Type more of its name"):
        find("zarr")


def test_every_command_takes_such_a_word_and_a_path_goes_first(here: Path, sealed: dict[str, Build]) -> None:
    path = f"builds/bigearthnet-s1/1.0/{sealed['lmdb'].path.name}"
    assert cli("verify", "lmdb").stdout == cli("verify", path).stdout
    assert json.loads(cli("stats", "lmdb", "--json").stdout)["path"] == str(here / path)
    assert json.loads(cli("leakage", "lmdb", "--against", "webd", "--json").stdout)["path"] == str(here / path)
    assert cli("verify", "zarr").exit_code == 2
    (here / "lmdb").mkdir()
    assert "lmdb: expected a sealed build, found no manifest.json" in cli("verify", "lmdb").stderr


def test_the_folder_of_a_stopped_builder_is_removed_after_asking_and_no_other(here: Path) -> None:
    left = here / "builds/bigearthnet-s1/1.0/.zarr-00000000.building"
    before = len(sar_data.builds())
    asked = cli("builds", "--clean", input="n\n")
    assert "Remove builds/bigearthnet-s1/1.0/.zarr-00000000.building" in asked.stderr
    assert cli("builds", "--clean", input="").exit_code == 1
    assert left.is_dir()
    descriptor = os.open(left, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        (entry,) = [one for one in sar_data.builds() if one.path.name == left.name]
        assert entry.state == "being made"
        with pytest.raises(UsageError, match="expected an unfinished build, found one that is being made"):
            remove(entry)
    finally:
        os.close(descriptor)
    assert f"removed builds/bigearthnet-s1/1.0/{left.name}" in cli("builds", "--clean", "--yes").stderr
    assert not left.exists()
    assert len(sar_data.builds()) == before - 1
    assert "nothing to clean" in cli("builds", "--clean").stderr


def test_what_stopped_exports_and_removals_left_is_removed_and_nothing_of_others(here: Path) -> None:
    version = here / "builds/bigearthnet-s1/1.0"
    names = (".coco.exporting", ".zarr-22222222.dropped")
    for name in names:
        (version / name / "inner").mkdir(parents=True)
        (version / name / "inner" / "file").write_text("half")
    (version / "mine.building").mkdir()
    (here / "elsewhere").mkdir()
    (version / ".link.building").symlink_to(here / "elsewhere")
    said = cli("builds", "--clean", "--yes").stderr
    assert not any((version / name).exists() for name in names)
    assert all(f"removed builds/bigearthnet-s1/1.0/{name}" in said for name in names)
    assert (version / "mine.building").is_dir()
    assert (version / ".link.building").is_symlink()


def test_a_folder_that_is_closed_to_us_hides_no_other_build(sealed: dict[str, Build]) -> None:
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(sealed["zarr"].path, Path(name) / "invented" / "1" / "zarr-12345678")
        (Path(name) / "of-another").mkdir(mode=0o000)
        Path(name).chmod(0o755)
        user = os.geteuid()
        try:
            if user == 0:  # to whom nothing is closed
                os.seteuid(NOBODY)
            (entry,) = sar_data.builds(name)
            found = find(Path(name) / "latest")
        finally:
            os.seteuid(user)
    assert found == entry.path
    assert entry.path.name == "zarr-12345678"


@pytest.mark.parametrize(("seconds", "date"), [(1e12, "9999"), (-1e12, "0001"), (0.0, "1970"), (2.5e11, "9892")])
def test_a_time_that_no_calendar_has_is_the_first_or_the_last(seconds: float, date: str) -> None:
    assert _date(seconds)[:4] == date


@pytest.mark.parametrize("command", ["report", "cite", "verify", "builds", "stats", "leakage"])
def test_a_path_that_the_system_refuses_is_answered_in_a_sentence(command: str) -> None:
    result = cli(command, "x" * 5000)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    assert "cannot be read: File name too long" in " ".join(result.output.split())
