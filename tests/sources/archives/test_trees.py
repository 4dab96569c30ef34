"""Every kind of source is the same tree, and the same build."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sar_data.sources.archives.detect import LIKELY, MAGIC, is_own_file
from sar_data.sources.archives.open import open_tree
from sar_data.sources.archives.rules import fold_name
from sar_data.sources.tree import is_litter
from sar_data.system.paths import CONTROL
from tests.contract.trees import FILES, TreeContract, walked, with_folders
from tests.mini.archives import KINDS


class TestFolder(TreeContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        return KINDS["folder"](FILES, tmp_path / "source")


def _kind(name: str) -> type[TreeContract]:
    class Packed(TreeContract):
        @pytest.fixture
        def source(self, tmp_path: Path) -> Path:
            return KINDS[name](FILES, tmp_path / "source")

    return Packed


TestGnuTar = _kind("tar, GNU")
TestPaxTar = _kind("tar, pax")
TestTarBelowDot = _kind("tar, below ./")
TestTarByProgram = _kind("tar, by the program")
TestGzip = _kind("tar.gz")
TestGzipOfTwoMembers = _kind("tgz of two members")
TestZstd = _kind("tar.zst")
TestBzip2 = _kind("tar.bz2")
TestTwoParts = _kind("tar.gzaa, tar.gzab")
TestThreeParts = _kind("tar.gz.partaa …")
TestElevenParts = _kind("tar.zst.part1 …")
TestStoredZip = _kind("zip, stored")
TestDeflatedZip = _kind("zip, deflated")
TestFolderWithTar = _kind("folder with a tar in it")
TestFolderOfZips = _kind("folder of zips")
TestZipOfZips = _kind("zip of zips")
TestTarOfZips = _kind("tar of zips")


def test_every_kind_has_its_contract() -> None:
    made = {name for name, value in globals().items() if isinstance(value, type) and issubclass(value, TreeContract)}
    assert len(made - {"TreeContract"}) == len(KINDS)


PLAIN = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\"), min_size=1, max_size=12)
PART = PLAIN.filter(
    lambda name: not (is_litter(name) or is_own_file(name) or LIKELY(name) or name[1:2] == ":" or name in (".", ".."))
)
MARKS = tuple(mark for marks in MAGIC.values() for mark in marks)
DATA = st.binary(max_size=2000).filter(lambda data: not data.startswith(MARKS))  # else a broken archive
TREES = st.dictionaries(st.lists(PART, min_size=1, max_size=4).map("/".join), DATA, min_size=1, max_size=12)


def _possible(files: dict[str, bytes]) -> bool:
    """Say whether a folder without regard to case could hold all of them."""
    paths = with_folders(files)
    known = {fold_name(name) for name in paths}
    if any(name.startswith(f"{file}/") for name in files for file in files):
        return False
    if any(name[0] == "." for name in files):  # a hidden zip is no folder
        return False
    return len(known) == len(paths) and not any(CONTROL.search(name) for name in files)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(files=TREES.filter(_possible))
@example(files={"?/0": b""})  # a zip named ?.zip: not what a browser adds to a name
def test_any_files_are_the_same_tree_in_every_kind(files: dict[str, bytes]) -> None:
    wanted = with_folders(files)
    with tempfile.TemporaryDirectory() as root:
        for number, pack in enumerate(KINDS.values()):
            assert walked(open_tree(pack(wanted, Path(root, str(number))))) == wanted
