"""Verify names what lies in a build and has no place there, and ends at nothing that it cannot read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sar_data.cli import main
from sar_data.runners import Serial
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import SUMS_NAME, Build
from sar_data.sealed.samples import SAMPLES_NAME
from sar_data.sealed.verify import LISTED, Problem, find_damage, verify
from sar_data.system.checksum import sha256
from sar_data.system.paths import DEPTH
from tests.mini import invented
from tests.mini.resealed import edit

SHARD = "train/000000.tar"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Build:
    root = tmp_path_factory.mktemp("present")
    source = invented.archive(root / "raw", 12)
    return invented.sealed(invented.pipeline(), source, root / "out", format="webdataset", shard_length=4)


@pytest.fixture
def path(sound: Build, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound.path, tmp_path / sound.path.name))


def deep(there: Path) -> None:
    there.mkdir(parents=True)
    for _ in range(DEPTH + 10):
        there = there / "d"
        there.mkdir()


PLANTED: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "a pipe, a socket or a device"),
    "nothing": (lambda there: there.symlink_to("/nowhere"), "a link that leads nowhere (No such file or directory)"),
    "loop": (
        lambda there: there.symlink_to(there.name),
        "a link that leads nowhere (Too many levels of symbolic links)",
    ),
    "link": (lambda there: there.symlink_to("/usr"), "a link to a folder"),
    "device": (lambda there: there.symlink_to("/dev/zero"), "a pipe, a socket or a device"),
    "folder": (Path.mkdir, "an empty folder"),
    "file": (Path.touch, "none"),
}


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("where", ["", "train/", "train/data/"])
def test_what_has_no_place_in_a_build_is_named(path: Path, name: str, where: str) -> None:
    put, found = PLANTED[name]
    (path / where).mkdir(exist_ok=True)
    put(path / where / name)
    assert verify(path, full=True) == [Problem(None, None, f"{where}{name}", LISTED, found)]
    assert find_damage(path) == []


def test_folders_without_end_are_named_once(path: Path) -> None:
    deep(path / "train" / "x")
    (problem,) = verify(path)
    assert problem.what.count("/d") == DEPTH - 2
    assert problem.found == f"a folder below {DEPTH} others"


def test_a_name_that_is_no_utf_8_is_shown_by_its_bytes(path: Path) -> None:
    with open(os.fsencode(path) + b"/\xff\xfe.json", "wb"):
        pass
    assert [problem.what for problem in verify(path, full=True)] == ["\\xff\\xfe.json"]
    answer = CliRunner().invoke(main, ["verify", str(path)])
    assert answer.exit_code == 1
    assert "\\xff\\xfe.json: expected a line in SHA256SUMS" in answer.output


def test_files_beside_the_sums_are_few_and_have_one_place(path: Path) -> None:
    (path / "report.html").touch()
    assert verify(path, full=True) == []
    names = ["lock.mdb", "train/lock.mdb", "train/report.html"]  # of LMDB alone train/lock.mdb is none
    for name in names:
        (path / name).touch()
    assert [problem.what for problem in verify(path)] == names


@pytest.mark.parametrize("target", ["/proc/self/mem", "/proc/self/pagemap", "/proc/kmsg"])
def test_a_listed_link_to_what_the_kernel_invents_is_not_read(path: Path, target: str) -> None:
    if not os.path.exists(target):
        pytest.skip(f"{target} is not there")
    (path / "x.json").symlink_to(target)
    with open(path / SUMS_NAME, "a") as sums:
        sums.write(f"{'0' * 64}  x.json\n")
    edit(path, lambda document: document.update(sums=sha256(str(path / SUMS_NAME))))
    assert [problem.what for problem in verify(path, full=True)] == ["sha256 of x.json"]


@pytest.mark.parametrize("name", [SHARD, "index.parquet", SAMPLES_NAME, SUMS_NAME, NAME, "train"])
def test_what_may_not_be_read_is_a_problem(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A superuser may read everything, so that the system's refusal is made here."""
    there = path / name
    real_open, real_scan = os.open, os.scandir

    def inside(asked: Any) -> bool:
        return not isinstance(asked, int) and Path(os.fsdecode(asked)).resolve().is_relative_to(there.resolve())

    def opened(asked: Any, *rest: Any, **options: Any) -> int:
        if inside(asked):
            raise PermissionError(13, "Permission denied", os.fsdecode(asked))
        return real_open(asked, *rest, **options)

    def scanned(asked: Any = ".") -> Any:
        if inside(asked):
            raise PermissionError(13, "Permission denied", os.fsdecode(asked))
        return real_scan(asked)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "scandir", scanned)
    problems = verify(path, full=True)
    assert any("Permission denied" in problem.found for problem in problems)
    if there.is_dir():
        assert (name, "a folder that cannot be read (Permission denied)") in {(p.what, p.found) for p in verify(path)}


def test_a_manifest_of_another_digest_does_not_end_a_full_verification(path: Path) -> None:
    edit(path, lambda document: document.update(title="Another"), digest=False)
    assert [problem.what for problem in verify(path, full=True, runner=Serial())] == [f"digest of {NAME}"]
    assert json.loads((path / NAME).read_bytes())["title"] == "Another"


def test_shards_without_samples_are_not_opened(path: Path) -> None:
    class Counting(Serial):
        asked = 0

        def map(self, function: Any, items: Any) -> Any:
            for item in items:
                self.asked += 1
                yield function(item)

    def change(document: dict[str, Any]) -> None:
        shards = document["splits"]["train"]["shards"]
        shards += [{**shards[0], "name": f"train/{i:06d}", "count": 0} for i in range(len(shards), 1000)]

    runner = Counting()
    before = sum(len(split.shards) for split in Build.open(path).manifest.splits.values())
    edit(path, change)
    assert verify(path, full=True, runner=runner)
    assert runner.asked < 3 * before + 10
