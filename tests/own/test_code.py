"""What `init --code` writes passes its own tests before the first edit, and is a dataset once it is installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sar_data.errors import UsageError
from sar_data.own.code import write
from tests.places import ROOT


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code") / "kiel"
    made = write(folder, "kiel-harbour")
    assert [path.relative_to(folder).as_posix() for path in made] == [
        "pyproject.toml",
        "kiel_harbour_sar/__init__.py",
        "kiel_harbour_sar/kiel_harbour.py",
        "kiel_harbour_sar/synth/__init__.py",
        "kiel_harbour_sar/synth/kiel_harbour.py",
        "tests/test_kiel_harbour.py",
    ]
    return folder


def run(*words: str, path: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{path}"}
    return subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, check=False, cwd=cwd, env=environment
    )


def test_its_tests_pass_before_the_first_edit(package: Path) -> None:
    done = run("pytest", "-q", "-p", "no:cacheprovider", path=ROOT, cwd=package)
    assert done.returncode == 0, done.stdout
    assert "17 passed, 1 skipped" in done.stdout


def test_it_is_a_dataset_once_it_is_installed(package: Path, tmp_path: Path) -> None:
    """As an installer leaves it: on the path, with the entry points of its pyproject.toml."""
    declared = re.search(r'entry-points\."(.+)"\]\n(.+)\n', (package / "pyproject.toml").read_text())
    assert declared
    info = package / "kiel_harbour_sar-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kiel-harbour-sar\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[{declared[1]}]\n{declared[2].replace(chr(34), '')}\n")
    for words in (
        ["synth", "kiel-harbour", "--out", "raw", "--count", "12"],
        ["build", "kiel-harbour", "--source", "raw", "--out", "builds", "--unit", "db", "--workers", "1"],
    ):
        done = run("sar_data", *words, path=package, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "Kiel harbour" in done.stderr


@pytest.mark.parametrize("name", ["Kiel", "kiel/../x", "class", "", "kiel_harbour", "1st", "a" * 3 + "-"])
def test_a_name_that_no_dataset_can_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected lower-case letters, digits and hyphens"):
        write(tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_and_no_name_is_taken_twice(package: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in package.rglob("*.py")}
    with pytest.raises(UsageError, match="never overwritten"):
        write(package, "kiel-harbour")
    with pytest.raises(UsageError, match="there is a dataset of that name"):
        write(tmp_path, "mstar", ["mstar"])
    assert {path: path.read_bytes() for path in package.rglob("*.py")} == before
