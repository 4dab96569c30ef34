"""Work files and folders are our own, whatever lies there already."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sar_data.errors import TargetError
from sar_data.system import private
from tests.mini.strangers import NOBODY, given_away

MAKE = os.O_RDWR | os.O_CREAT


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_for_this_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        os.close(private.open_folder(tmp_path / "work"))
    finally:
        os.umask(before)
    assert mode(tmp_path / "work") == 0o700
    os.close(private.open_folder(tmp_path / "work"))


@pytest.mark.parametrize("target", ["folder", "file", "nothing"])
def test_links_are_refused_as_folder_and_as_file(tmp_path: Path, target: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("precious")
    (tmp_path / "work").symlink_to(tmp_path / target)
    with pytest.raises(TargetError, match=r"work: expected a folder of our own, found a link.*remove it"):
        private.open_folder(tmp_path / "work")
    with pytest.raises(TargetError, match=r"work: expected a file of our own, found a link.*remove it"):
        private.open_file(tmp_path / "work", MAKE)
    assert (tmp_path / "file").read_text() == "precious"
    assert not (tmp_path / "nothing").exists()


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TargetError, match="expected a folder of our own, found something else"):
        private.open_folder(tmp_path / "file")
    with pytest.raises(TargetError, match="expected a file of our own, found something else"):
        private.open_file(tmp_path / "folder", MAKE)
    for flags in (MAKE, os.O_WRONLY, os.O_RDONLY):
        with pytest.raises(TargetError, match=r"found (a folder, a device or a pipe|something else)"):
            private.open_file(tmp_path / "pipe", flags)


def test_a_file_with_a_second_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    os.link(tmp_path / "precious", tmp_path / "part")
    with pytest.raises(TargetError, match=r"part: expected a file with one name, found one with 2"):
        private.open_file(tmp_path / "part", MAKE)


def test_files_and_folders_of_another_user_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    given_away(tmp_path / "folder", monkeypatch)
    given_away(tmp_path / "file", monkeypatch)
    with pytest.raises(TargetError, match=r"folder: expected a folder of our own, found one of user \d+"):
        private.open_folder(tmp_path / "folder")
    with pytest.raises(TargetError, match=r"file: expected a file of our own, found one of user \d+"):
        private.open_file(tmp_path / "file", MAKE)
    assert not private.is_trusted(tmp_path / "file", [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_mount_that_maps_users_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(private.os, "geteuid", lambda: NOBODY - 1)
    os.close(private.open_folder(tmp_path / "folder"))
    os.close(private.open_file(tmp_path / "file", MAKE))
    assert private.is_trusted(tmp_path / "file", [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_is_made_private_once(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work").chmod(0o777)
    descriptor = private.open_folder(tmp_path / "work")
    assert private.make_private(descriptor)
    assert not private.make_private(descriptor)
    os.close(descriptor)
    assert mode(tmp_path / "work") == 0o755


def test_a_file_system_without_modes_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work").chmod(0o777)
    descriptor = private.open_folder(tmp_path / "work")
    monkeypatch.setattr(private.os, "fchmod", lambda descriptor, mode: None)
    assert not private.make_private(descriptor)
    os.close(descriptor)


def test_a_file_of_ours_or_of_the_owner_of_its_origin_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("table", "archive"):
        (tmp_path / name).write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "table")
    assert private.is_trusted(tmp_path / "table", [tmp_path / "archive"])
    assert not private.is_trusted(tmp_path / "link", [tmp_path / "archive"])
    assert not private.is_trusted(tmp_path / "none", [tmp_path / "archive"])
    given_away(tmp_path / "table", monkeypatch)
    if os.geteuid() == 0:
        assert not private.is_trusted(tmp_path / "table", [tmp_path / "archive"])
        given_away(tmp_path / "archive", monkeypatch)
    assert private.is_trusted(tmp_path / "table", [tmp_path / "archive"])


def test_a_folder_open_to_others_is_cleared_once_and_links_are_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("years of work")
    work = tmp_path / "work"
    private.private_folder(work)
    (work / "folder").mkdir()
    (work / "folder" / "file").write_text("")
    private.private_folder(work)
    assert (work / "folder" / "file").exists()
    (work / "link").symlink_to(precious)
    (work / "folder" / "link").symlink_to(precious)
    work.chmod(0o770)
    private.private_folder(work)
    assert list(work.iterdir()) == []
    assert (precious / "file").read_text() == "years of work"


@pytest.mark.parametrize("kind", ["link", "pipe", "second name"])
def test_a_folder_of_ours_with_links_or_pipes_in_it_is_cleared(tmp_path: Path, kind: str) -> None:
    (tmp_path / "precious").write_text("years of work")
    work, plant = tmp_path / "work", tmp_path / "work" / "folder" / "plant"
    private.private_folder(work)
    plant.parent.mkdir()
    assert private.is_plain(work)
    if kind == "pipe":
        os.mkfifo(plant)
    else:
        (plant.symlink_to if kind == "link" else plant.hardlink_to)(tmp_path / "precious")
    assert not private.is_plain(work)
    private.private_folder(work)
    assert list(work.iterdir()) == []
    assert (tmp_path / "precious").read_text() == "years of work"


def test_folders_are_made_behind_no_link_but_that_of_their_home(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    for _ in range(2):
        private.make_folders(tmp_path / "home", tmp_path / "home" / "a" / "b")
    assert (tmp_path / "disk" / "a" / "b").is_dir()
    private.make_folders(tmp_path / "new" / "home", tmp_path / "new" / "home")
    (tmp_path / "home" / "c").symlink_to(tmp_path / "new")
    with pytest.raises(TargetError, match="c: expected a folder of our own, found a link or a file"):
        private.make_folders(tmp_path / "home", tmp_path / "home" / "c" / "d")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["home"]
