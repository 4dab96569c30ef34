"""Folders that only others may read or write are named in a sentence, whether they are sources, targets or builds."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sar_data.builder.itinerary import convert
from sar_data.builder.request import ConvertRequest
from sar_data.errors import BuildError, SarDataError, SourceError, TargetError
from sar_data.sealed.opened import Build
from sar_data.sealed.verify import verify
from tests.mini import invented
from tests.mini.strangers import without_privileges


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A build, after which all is imported that another user could not."""
    root = tmp_path_factory.mktemp("unreadable")
    return made(invented.archive(root / "raw", 8), root / "out")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder for everybody; those of pytest are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        yield Path(name)


def made(source: Path, out: Path, lists: Path | None = None) -> Build:
    return invented.sealed(invented.pipeline(), source, out, format="webdataset", lists=lists)


def closed(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0)
    return folder


def source_itself(home: Path, sound: Build) -> None:
    made(closed(home / "closed"), home / "out")


def source_below(home: Path, sound: Build) -> None:
    made(closed(home / "closed") / "raw", home / "out")


def source_with_one_inside(home: Path, sound: Build) -> None:
    closed(home / "raw" / "closed")
    made(home / "raw", home / "out")


def lists(home: Path, sound: Build) -> None:
    made(home / "raw", home / "out", closed(home / "closed") / "lists")


def out_itself(home: Path, sound: Build) -> None:
    made(home / "raw", closed(home / "closed"))


def out_of_a_conversion(home: Path, sound: Build) -> None:
    convert(ConvertRequest(parent=home / "parent", format="zarr", out=closed(home / "closed")))


def build_that_stands(home: Path, sound: Build) -> None:
    closed(home / "closed" / "invented" / "1" / sound.path.name)
    made(home / "raw", home / "closed")


def build_that_is_opened(home: Path, sound: Build) -> None:
    Build.open(closed(home / "closed"))


def build_below(home: Path, sound: Build) -> None:
    Build.open(closed(home / "closed") / "x" / "y")


@pytest.mark.parametrize(
    ("use", "kind"),
    [
        *((use, SourceError) for use in (source_itself, source_below, source_with_one_inside, lists)),
        *((use, TargetError) for use in (out_itself, out_of_a_conversion, build_that_stands)),
        *((use, BuildError) for use in (build_that_is_opened, build_below)),
    ],
)
def test_a_folder_that_only_others_may_open_is_named(
    use: Callable[[Path, Build], None], kind: type[SarDataError], home: Path, sound: Build
) -> None:
    invented.archive(home / "raw", 8)
    shutil.copytree(sound.path, home / "parent")
    with without_privileges(home), pytest.raises(kind, match=r"closed.*(Permission denied|that you may read)"):
        use(home, sound)


def test_a_problem_says_that_a_build_may_not_be_read(home: Path, sound: Build) -> None:
    with without_privileges(home):
        (problem,) = verify(closed(home / "closed"), full=True)
    assert "manifest.json: cannot read: Permission denied" in problem.found


def test_what_a_file_system_keeps_for_itself_is_not_opened(home: Path, sound: Build) -> None:
    invented.archive(home / "raw", 8)
    with without_privileges(home):
        closed(home / "raw" / "lost+found")
        assert made(home / "raw", home / "out").manifest.content_digest == sound.manifest.content_digest
