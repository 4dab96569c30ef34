"""A build is the same whatever its source was packed into."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import BadRecord, MissingList, SourceError, TargetError
from sar_data.runners import Processes
from sar_data.sealed.opened import Build
from sar_data.sources.archives.open import open_tree
from sar_data.spec import Pipeline
from tests.cli.test_cli import cli
from tests.contract.trees import walked, with_folders
from tests.mini.archives import KINDS, Files, files_of, tar_bytes
from tests.mini.builds import contents, make, options, snapshot


@pytest.fixture(scope="module")
def runner() -> Iterator[Processes]:
    with Processes(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def patches(small_source: Path) -> Files:
    return files_of(small_source)


@pytest.fixture(scope="module")
def known(bigearthnet: Pipeline, small_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    return make(bigearthnet, small_source, tmp_path_factory.mktemp("known"), split="official")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "folder of zips"])  # of which one is the dataset's
def test_every_kind_of_source_is_the_same_build_by_two_workers(
    kind: str, bigearthnet: Pipeline, patches: Files, known: Build, runner: Processes, tmp_path: Path
) -> None:
    source = KINDS[kind](patches, tmp_path / "source")
    made = make(bigearthnet, source, tmp_path / "out", split="official", runner=runner)
    assert made.manifest.content_digest == known.manifest.content_digest
    assert made.manifest.recipe_digest == known.manifest.recipe_digest
    assert made.path.name == known.path.name
    assert contents(made.path / "train") == contents(known.path / "train")


@pytest.mark.parametrize("kind", ["tar, pax", "tar.gz", "zip, deflated", "zip of zips", "folder of zips"])
def test_another_dataset_is_the_same_build_too(
    kind: str, eurosat: Pipeline, eurosat_source: Path, tmp_path: Path
) -> None:
    known = make(eurosat, eurosat_source, tmp_path / "known", rehash=True)
    made = make(eurosat, KINDS[kind](files_of(eurosat_source), tmp_path / "source"), tmp_path / "out", rehash=True)
    assert made.manifest.content_digest == known.manifest.content_digest
    assert made.path.name == known.path.name


def test_lists_beside_an_archive_are_found_too(
    bigearthnet: Pipeline, patches: Files, known: Build, tmp_path: Path
) -> None:
    data = {name: file for name, file in patches.items() if name.startswith("BigEarthNet-S1-v1.0")}
    lists = {name: file for name, file in patches.items() if name not in data}
    source = KINDS["tar, GNU"](data, tmp_path / "source")
    KINDS["folder"](lists, tmp_path / "source")
    made = make(bigearthnet, source, tmp_path / "out", split="official")
    assert made.path.name == known.path.name


@pytest.mark.parametrize("where", ["lists", "source/lists", "source/zipped/set/about"])
def test_lists_above_an_archive_and_deep_in_one_are_found_too(
    where: str, bigearthnet: Pipeline, patches: Files, known: Build, tmp_path: Path
) -> None:
    data = {name: file for name, file in patches.items() if name.startswith("BigEarthNet-S1-v1.0")}
    lists = {name.rpartition("/")[2]: file for name, file in patches.items() if name not in data and file}
    if "zipped" in where:
        data |= {f"zipped/set/about/{name}": file for name, file in lists.items()}
    else:
        KINDS["folder"](lists, tmp_path / where)
    source = KINDS["zip, stored"](data, tmp_path / "source")
    made = make(bigearthnet, source, tmp_path / "out", split="official")
    assert made.manifest.content_digest == known.manifest.content_digest


def test_a_missing_list_is_reported_before_the_scan(bigearthnet: Pipeline, tmp_path: Path) -> None:
    source = KINDS["zip, stored"](
        {"BigEarthNet-S1-v1.0/S1A_IW_GRDH_1SDV_20170613T165043_33UUP_61_39/a.tif": b""}, tmp_path
    )
    with pytest.raises(MissingList, match=r"found no train\.csv, no val\.csv, no test\.csv"):
        make(bigearthnet, source, tmp_path / "out", split="official")


def test_of_a_folder_only_archives_of_the_dataset_are_read(
    bigearthnet: Pipeline, patches: Files, known: Build, tmp_path: Path
) -> None:
    named = bigearthnet.spec.sources[0].name.replace(".tar.gz", ".tar")
    data = {name: file for name, file in patches.items() if name.startswith("BigEarthNet-S1-v1.0")}
    KINDS["folder"]({name: file for name, file in patches.items() if name not in data}, tmp_path / "source")
    (tmp_path / "source" / named).write_bytes(tar_bytes(data))
    (tmp_path / "source" / "BigEarthNet-S2-v1.0.tar.gz").write_bytes(b"another dataset, of 60 GB")
    (tmp_path / "source" / "Reference_Maps.rar").write_bytes(b"Rar!")
    made = make(bigearthnet, tmp_path / "source", tmp_path / "out", split="official")
    assert made.path.name == known.path.name
    # Unpacked by hand, and its archive thrown away: another dataset's is still not unpacked in its stead.
    KINDS["folder"](data, tmp_path / "source")
    (tmp_path / "source" / named).unlink()
    assert make(bigearthnet, tmp_path / "source", tmp_path / "out", split="official").path == made.path


def test_an_archive_unpacked_beside_itself_is_ignored_and_reported(
    bigearthnet: Pipeline, small_source: Path, known: Build, tmp_path: Path
) -> None:
    shutil.copytree(small_source, tmp_path / "source")
    KINDS["tar.gz"](files_of(small_source), tmp_path / "source")
    KINDS["zip, stored"]({"a": b""}, tmp_path / "source")
    (tmp_path / "source" / "data.zip").rename(tmp_path / "source" / "lists.zip")
    before = snapshot(tmp_path / "source")
    said: list[str] = []
    made = build(
        BuildRequest(
            dataset=bigearthnet, source=tmp_path / "source", out=tmp_path / "out", **options(split="official")
        ),
        say=said.append,
    )
    assert made.path.name == known.path.name
    assert sum("is left alone" in words for words in said) == 2
    assert snapshot(tmp_path / "source") == before


def _packed(files: Files, *names: str, to: Path) -> Path:
    for name in names:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).write_bytes(gzip.compress(tar_bytes(files), 1))
    return to


@pytest.mark.parametrize(
    ("names", "called"),
    [(("one.tar.gz", "two.tgz"), ()), (("a/data.tar.gz", "b/data.tar.gz"), ("data.tar.gz",))],
    ids=["of unknown names", "two copies of the dataset's"],
)
def test_several_compressed_archives_stop_before_one_is_unpacked(
    names: tuple[str, ...], called: tuple[str, ...], patches: Files, tmp_path: Path
) -> None:
    source = _packed(patches, *names, to=tmp_path)
    before = snapshot(source)
    with pytest.raises(SourceError, match=f"found 2 .*{names[0]} .*{names[1]} .*Name one of them as the source"):
        open_tree(source, named=called)
    assert snapshot(source) == before
    assert walked(open_tree(source / names[1])) == with_folders(patches)


def test_archives_of_two_names_of_the_dataset_are_both_unpacked(tmp_path: Path) -> None:
    source = _packed({"s1/a.tif": b"a"}, "s1.tar.gz", to=tmp_path)
    _packed({"lc/a.tif": b"b"}, "lc.tar.gz", to=tmp_path)
    assert open_tree(source, named=("s1.tar.gz", "lc.tar.gz")).read("lc/a.tif") == b"b"


def test_an_archive_unpacked_in_another_folder_is_ignored(tmp_path: Path) -> None:
    source = _packed({"set/a.tif": b"packed"}, "downloads/set.tar.gz", to=tmp_path)
    KINDS["folder"]({"mine/set/a.tif": b"unpacked"}, source)
    said: list[str] = []
    tree = open_tree(source, tell=said.append)
    assert (tree.folders("downloads"), tree.read("mine/set/a.tif")) == ([], b"unpacked")
    assert ["mine/set/a.tif lies unpacked" in words for words in said] == [True]


def test_a_rar_among_archives_that_are_read_stops_the_build(patches: Files, tmp_path: Path) -> None:
    source = KINDS["folder of zips"](patches, tmp_path / "source")
    (source / "more.rar").write_bytes(b"Rar!\x1a\x07\x01\0")
    with pytest.raises(SourceError, match=r"more\.rar: .*unrar"):
        open_tree(source)


def test_only_the_work_folder_is_written(patches: Files, known: Build, tmp_path: Path) -> None:
    source = KINDS["tar.zst"](patches, tmp_path / "source")
    before = snapshot(tmp_path / "source")
    command = [
        "build",
        "bigearthnet-s1",
        "--source",
        str(source),
        "--work",
        str(tmp_path / "a" / "work"),
        "--out",
        str(tmp_path / "out"),
        "--split",
        "official",
        "--shard-length",
        "16",
        "--json",
    ]
    result = cli(*command, "--workers", 1)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["recipe_digest"] == known.manifest.recipe_digest
    assert f"{source} is compressed: it is turned once into the plain tar {tmp_path / 'a' / 'work'}" in result.stderr
    assert "MB are free" in result.stderr
    assert snapshot(tmp_path / "source") == before
    names = sorted(path.name.split(".")[-1] for path in (tmp_path / "a" / "work").iterdir())
    assert names == ["members", "tar"]
    assert "is turned once" not in cli(*command, "--workers", 1).stderr


READ_ONLY = """
import ctypes, os, sys
from pathlib import Path
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, MS_REC, MS_PRIVATE, MS_BIND, MS_REMOUNT, MS_RDONLY = 0x20000, 0x4000, 1 << 18, 0x1000, 32, 1
root = sys.argv[1].encode()
if (libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
        or libc.mount(root, root, None, MS_BIND, None)
        or libc.mount(None, root, None, MS_REMOUNT | MS_BIND | MS_RDONLY, None)):
    sys.exit(77)
from sar_data.builder.itinerary import build
from sar_data.errors import TargetError
from sar_data.sources.archives.open import open_tree
try:
    open_tree(Path(sys.argv[2]))
except TargetError as error:
    print(error)
tree = open_tree(Path(sys.argv[2]), work=Path(sys.argv[3]))
print(len(tree.read("a.txt")))
"""


@pytest.mark.parametrize("kind", ["tar, GNU", "tar.gz", "zip, stored", "folder with a tar in it"])
def test_a_read_only_source_needs_a_work_and_says_so(kind: str, tmp_path: Path) -> None:
    source = KINDS[kind]({"a.txt": b"abc"}, tmp_path / "source")
    arguments = [str(tmp_path / "source"), str(source), str(tmp_path / "work")]
    done = subprocess.run([sys.executable, "-c", READ_ONLY, *arguments], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip("this system lets nobody mount a folder read-only")
    refusal, size = done.stdout.splitlines()
    assert refusal.endswith("but it is read-only: choose a `work=…`")
    assert size == "3"


def test_an_archive_that_changes_is_noticed(bigearthnet: Pipeline, patches: Files, tmp_path: Path) -> None:
    source = KINDS["tar, GNU"](patches, tmp_path / "source")
    tree = open_tree(source)
    name = next(name for name, data in patches.items() if data)
    os.utime(source, ns=(1, 1))
    with pytest.raises(SourceError, match="changed since it was indexed"):
        tree.read(name)
    assert open_tree(source).read(name) == patches[name]


def test_a_bad_member_of_a_zip_is_a_bad_record_and_quarantined(
    bigearthnet: Pipeline, patches: Files, tmp_path: Path
) -> None:
    source = KINDS["zip, stored"](patches, tmp_path / "source")
    name = next(name for name in patches if name.endswith("_VV.tif"))
    whole = source.read_bytes()
    at = whole.index(patches[name] or b"") + 30_000
    source.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(BadRecord, match=r"VV\.tif: expected bytes of the checksum that .*data\.zip has"):
        make(bigearthnet, source, tmp_path / "out")
    made = make(bigearthnet, source, tmp_path / "out", bad_records="quarantine")
    assert [one.path for one in made.manifest.quarantine] == [name]


def test_the_error_for_a_small_work_folder_has_the_needed_size(patches: Files, tmp_path: Path) -> None:
    source = KINDS["tar.zst"](patches, tmp_path / "source")
    head = bytearray(source.read_bytes())
    assert head[4] >> 6  # the frame tells its size, in the field that begins at byte 5
    width = {1: 2, 2: 4, 3: 8}[head[4] >> 6]
    head[4] = (head[4] & 0x3F) | 0xC0
    head[5 : 5 + width] = (1 << 60).to_bytes(8, "little")
    source.write_bytes(bytes(head))
    with pytest.raises(TargetError, match=r"1,152,921,504,606\.8 MB or more; .* MB are free\. .*`work=…`"):
        open_tree(source)
