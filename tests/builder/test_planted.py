"""What somebody put where a build works beforehand is neither followed nor believed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.builder.target import BUILDING, discard
from sar_data.errors import TargetError
from sar_data.sealed.opened import Build
from tests.mini import invented
from tests.mini.builds import contents, options, visible
from tests.mini.strangers import given_away

COUNT = 24


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return invented.archive(tmp_path_factory.mktemp("planted") / "raw", COUNT)


@pytest.fixture(scope="module")
def known(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    return sealed(source, tmp_path_factory.mktemp("known"))


@pytest.fixture
def work(known: Build, tmp_path: Path) -> Path:
    """Where a build of the same recipe works; its parent is there."""
    home = tmp_path / "out" / "invented" / "1"
    home.mkdir(parents=True)
    return home / f".{known.path.name}{BUILDING}"


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "recipe").write_text("another")  # by which a folder was taken for a stale one of ours
    (folder / "thesis.tex").write_text("years of work")
    (folder / "a.partial").write_text("more of it")
    return folder


def sealed(source: Path, out: Path) -> Build:
    return invented.sealed(invented.pipeline(), source, out, format="webdataset")


def test_a_link_in_the_place_of_the_hidden_folder_empties_nothing(
    source: Path, tmp_path: Path, work: Path, precious: Path
) -> None:
    work.symlink_to(precious)
    before = contents(precious)
    with pytest.raises(TargetError, match=rf"{BUILDING}: expected a folder of our own, found a link"):
        sealed(source, tmp_path / "out")
    assert contents(precious) == before
    assert visible(tmp_path / "out") == []
    work.unlink()
    assert sealed(source, tmp_path / "out").manifest.splits["train"].count


def test_a_hidden_folder_of_somebody_else_is_left_alone(
    source: Path, tmp_path: Path, work: Path, precious: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious.rename(work)
    given_away(work, monkeypatch)
    before = contents(work)
    with pytest.raises(TargetError, match=r"expected a folder of our own, found one of user \d+.*remove it"):
        sealed(source, tmp_path / "out")
    assert contents(work) == before


def test_a_hidden_folder_that_others_could_write_to_is_begun_anew(
    source: Path, known: Build, tmp_path: Path, work: Path, precious: Path
) -> None:
    work.mkdir()
    (work / "recipe").write_text(known.manifest.recipe_digest)
    (work / "build").symlink_to(precious)
    (work / "proofs").symlink_to(precious)
    (work / "started").write_text("")
    work.chmod(0o777)
    before = contents(precious)
    assert contents(sealed(source, tmp_path / "out").path) == contents(known.path)
    assert contents(precious) == before


@pytest.mark.parametrize("name", ["recipe", "build", "build/train", "proofs", "proofs/train-000000.arrow"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_hidden_folder_with_links_or_pipes_in_it_is_begun_anew(
    source: Path, known: Build, tmp_path: Path, work: Path, precious: Path, name: str, kind: str
) -> None:
    for folder in ("build/train", "build/test", "proofs"):  # of our own, as it comes out of a stranger's archive
        (work / folder).mkdir(parents=True)
    (work / "recipe").write_text(known.manifest.recipe_digest)
    (work / "started").write_text("")
    plant = work / name
    if plant.is_dir():
        shutil.rmtree(plant)
    plant.unlink(missing_ok=True)
    if kind == "link":
        plant.symlink_to(precious / "recipe" if name == "recipe" else precious)
    else:
        os.mkfifo(plant)
    before = contents(precious)
    assert contents(sealed(source, tmp_path / "out").path) == contents(known.path)
    assert contents(precious) == before


def test_a_hidden_folder_is_nobody_else_s_to_write_to(source: Path, tmp_path: Path, work: Path) -> None:
    seen: list[int] = []

    def progress(stage: str, done: int, total: int) -> None:
        seen.extend(folder.stat().st_mode for folder in work.parent.glob(f".*{BUILDING}"))

    before = os.umask(0)
    try:
        request = BuildRequest(
            dataset=invented.pipeline(), source=source, out=tmp_path / "out", **options("webdataset")
        )
        build(request, progress=progress)
    finally:
        os.umask(before)
    assert seen
    assert {mode & 0o077 for mode in seen} == {0}


@pytest.mark.parametrize("plant", ["link", "folder"])
def test_what_is_not_needed_any_more_is_removed_only_if_it_is_ours(
    tmp_path: Path, precious: Path, plant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    if plant == "link":
        work.symlink_to(precious)
    else:
        precious.rename(work)
        given_away(work, monkeypatch)
    discard(work)
    assert (work / "thesis.tex").read_text() == "years of work"


def test_a_link_left_where_the_build_will_stand_is_not_followed(
    source: Path, known: Build, tmp_path: Path, work: Path, precious: Path
) -> None:
    (work.parent / known.path.name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(TargetError, match="cannot write"):
        sealed(source, tmp_path / "out")
    assert not (tmp_path / "nowhere").exists()
