"""The law book of a tree: a test class that says how its files are packed inherits it."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from sar_data.errors import BadRecord, SourceError
from sar_data.sources.archives.open import open_tree
from sar_data.spec import Tree
from tests.mini.archives import Files

LONG = "S1A_IW_GRDH_1SDV_20170613T165043_33UUP_87_48"
FILES: dict[str, bytes | None] = {
    "readme.txt": b"beside the data",
    "empty.bin": b"",
    "a b": None,
    "a b/ünïcode ∅.txt": "größer".encode(),
    "a b/.hidden": b"h",
    "deep/1/2/3/4.json": b"{}",
    "deep/1.tif": bytes(range(256)) * 300,
    "deep/1x/same.txt": b"one",
    "deep/1y/same.txt": b"two",
    f"{LONG}/{LONG}/{LONG}_VH.tif": b"II*\0" + bytes(58_020),
    f"{LONG}/{LONG}/{LONG}_VV.tif": b"II*\0" + bytes(511),
    "without a file": None,
}


def walked(tree: Tree, path: str = "") -> dict[str, bytes | None]:
    """Return everything of a tree, found by listing and read as a whole."""
    inside = f"{path}/" if path else ""
    found: dict[str, bytes | None] = {inside + name: tree.read(inside + name) for name in tree.files(path)}
    for name in tree.folders(path):
        found |= {inside + name: None, **walked(tree, inside + name)}
    return found


def with_folders(files: Files) -> dict[str, bytes | None]:
    """Return files with all folders above them, as `walked` finds them."""
    above = {path.as_posix() for name in files for path in Path(name).parents if path.name}
    return {**dict.fromkeys(above), **files}


class TreeContract:
    """Inherit, and give a fixture `source` with a source that holds FILES."""

    @pytest.fixture
    def tree(self, source: Path) -> Tree:
        return open_tree(source)

    def test_every_file_and_every_folder_is_there_and_nothing_else(self, tree: Tree) -> None:
        assert walked(tree) == with_folders(FILES)

    def test_names_come_once_and_sizes_are_right(self, tree: Tree) -> None:
        assert sorted(tree.folders()) == sorted(
            name for name, data in with_folders(FILES).items() if data is None and "/" not in name
        )
        assert sorted(tree.files("deep/")) == ["1.tif"]
        for name, data in FILES.items():
            if data is not None:
                assert tree.size(name) == len(data)

    def test_any_part_of_a_file_can_be_read(self, tree: Tree) -> None:
        for name in ("deep/1.tif", "empty.bin", f"{LONG}/{LONG}/{LONG}_VH.tif"):
            data = FILES[name] or b""
            for offset, size in ((0, 0), (0, 4), (3, 1000), (len(data) - 5, 5), (len(data) - 5, 50), (1 << 20, 9)):
                offset = max(offset, 0)
                assert tree.pread(name, offset, size) == data[offset : offset + size]
            assert tree.head(name, 100) == data[:100]

    @pytest.mark.parametrize(
        "name",
        [
            "no such file",
            "deep/1.TIFF2",
            "DEEP/1.TIF",
            "../readme.txt",
            "/etc/hostname",
            "deep/../readme.txt",
            "readme.txt/",
            "",
            "deep/1x",
            "\udcff",
            "a\0b",
        ],
    )
    def test_what_is_no_file_is_a_bad_record(self, tree: Tree, name: str) -> None:
        for act in (tree.read, tree.size, lambda path: tree.head(path, 4), lambda path: tree.pread(path, 1, 4)):
            with pytest.raises(BadRecord, match=r"expected|directory|found"):
                act(name)

    @pytest.mark.parametrize("name", ["deep/1.tif", "deep/1.TIF", "deep/1.tiff"])
    def test_an_ending_may_be_spelled_as_people_do(self, tree: Tree, name: str) -> None:
        assert tree.read(name) == FILES["deep/1.tif"]
        assert tree.head(name, 9) == tree.pread(name, 0, 9) == bytes(range(9))
        assert tree.size(name) == 256 * 300

    @pytest.mark.parametrize("name", ["no such folder", "readme.txt", ".."])
    def test_what_is_no_folder_cannot_be_listed(self, tree: Tree, name: str) -> None:
        for act in (tree.files, tree.folders):
            with pytest.raises(SourceError, match="cannot list"):
                act(name)

    def test_it_is_small_to_send_and_the_same_in_a_process_of_any_kind(self, tree: Tree) -> None:
        sent = pickle.dumps(tree)
        assert len(sent) < 2000
        name = "deep/1.tif"
        for method in ("fork", "spawn"):
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
                assert pool.submit(tree.read, name).result() == FILES[name]

    def test_a_second_opening_writes_nothing(self, tree: Tree, source: Path) -> None:
        root = source if source.is_dir() else source.parent
        before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
        assert walked(open_tree(source)) == walked(tree)
        assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
