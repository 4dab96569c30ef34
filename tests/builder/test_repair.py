"""Repair: each kind of broken file in each container is rebuilt, and nothing else; a kill leaves the old or the new."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import sar_data
from sar_data.builder.itinerary import build, convert
from sar_data.builder.repair import Repair, RepairRequest, repair
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.cli import main
from sar_data.errors import BuildError, SarDataError, UsageError
from sar_data.runners import Serial
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import SUMS_NAME, Build
from sar_data.sealed.verify import verify
from sar_data.system import durable
from tests.mini import invented
from tests.mini.builds import CONTAINERS, contents, make

KIND = invented.pipeline("segmentation")
SHARD = {"lmdb": "train/data.mdb", "webdataset": "train/000001.tar"}
ZARR = {"mask": "train/mask/c/1/0/0", "key": "val/key/c/0", "array": "test/image/zarr.json", "root": "zarr.json"}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES: dict[str, Callable[[Path], None]] = {"flipped": flip, "cut": halve, "gone": Path.unlink}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return invented.archive(tmp_path_factory.mktemp("repair") / "raw", 40)


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Builds in each container, and the other container that each may be repaired from."""
    out = tmp_path_factory.mktemp("built")
    builds = {}
    for name in CONTAINERS:
        format, _, compression = name.partition("+")
        builds[name] = make(KIND, source, out, format=format, compression=compression or "none").path
    return builds


def file_of(name: str) -> str:
    return SHARD.get(name, "train/image/c/1/0/0/0")


def damaged(sound: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]) -> Path:
    """Return a copy of a build, in the same folders, with one damaged file."""
    copy = tmp_path / "out" / "invented" / "1" / sound.name
    shutil.copytree(sound, copy)
    damage(copy / name)
    assert verify(copy, full=True)
    return copy


def mend(path: Path, source: Path | None, dataset: Any = KIND) -> Repair:
    return repair(RepairRequest(path=path, source=source, dataset=dataset), Serial())


def check(copy: Path, sound: Path, outcome: Repair, names: list[str]) -> None:
    """See that a build is what it was, of which only some files were rebuilt."""
    assert verify(copy, full=True) == []
    assert Build.open(copy).manifest.content_digest == Build.open(sound).manifest.content_digest
    assert outcome.files == names
    assert outcome.left == []
    assert contents(copy) == contents(sound)
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]  # no work folder is left


@pytest.mark.parametrize(("damage", "origin"), [("flipped", "raw"), ("cut", "container"), ("gone", "raw")])
@pytest.mark.parametrize("name", CONTAINERS)
def test_a_damaged_shard_is_packed_again_alone(
    built: dict[str, Path], source: Path, tmp_path: Path, name: str, damage: str, origin: str
) -> None:
    copy = damaged(built[name], tmp_path, file_of(name), DAMAGES[damage])
    kept = {path: path.stat().st_ino for path in copy.rglob("*") if path.is_file() and path != copy / file_of(name)}
    other = built["zarr" if name == "webdataset" else "webdataset"]
    outcome = mend(copy, source if origin == "raw" else other)
    check(copy, built[name], outcome, [file_of(name)])
    assert {path: path.stat().st_ino for path in kept} == kept  # sound files are the same ones


@pytest.mark.parametrize("name", CONTAINERS)
def test_samples_and_sums_are_made_again_without_any_source(built: dict[str, Path], tmp_path: Path, name: str) -> None:
    for file, damage in (("samples.parquet", flip), (SUMS_NAME, Path.unlink)):
        copy = damaged(built[name], tmp_path, file, damage)
        check(copy, built[name], mend(copy, None), [file])
        shutil.rmtree(copy)


@pytest.mark.parametrize(
    ("name", "what", "damage"),
    [
        *(("zarr", "mask", "gone"), ("zarr+zstd", "mask", "flipped"), ("zarr", "key", "cut")),
        *(("zarr+zstd", "array", "gone"), ("zarr", "root", "flipped")),
    ],
)
def test_each_other_file_of_zarr_is_made_again(
    built: dict[str, Path], source: Path, tmp_path: Path, name: str, what: str, damage: str
) -> None:
    copy = damaged(built[name], tmp_path, ZARR[what], DAMAGES[damage])
    outcome = mend(copy, source if what == "mask" else None)
    check(copy, built[name], outcome, [ZARR[what]])


@pytest.mark.parametrize(
    ("name", "origin"), [("lmdb", "raw"), ("webdataset", "container"), ("zarr", "container"), ("zarr+zstd", "raw")]
)
def test_a_damaged_index_is_made_again(
    built: dict[str, Path], source: Path, tmp_path: Path, name: str, origin: str
) -> None:
    copy = damaged(built[name], tmp_path, "index.parquet", flip)
    other = built["zarr" if name == "webdataset" else "webdataset"]
    outcome = mend(copy, source if origin == "raw" else other)
    check(copy, built[name], outcome, ["index.parquet"])


def test_a_manifest_with_damaged_spaces_gets_its_form_again(
    built: dict[str, Path], source: Path, tmp_path: Path
) -> None:
    def tab(path: Path) -> None:
        path.write_bytes(path.read_bytes().replace(b"\n ", b"\n\t", 1))

    copy = damaged(built["webdataset"], tmp_path, NAME, tab)
    check(copy, built["webdataset"], mend(copy, source), [NAME])


@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_a_manifest_is_made_again_where_the_recipe_proves_it(
    built: dict[str, Path], source: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    plain = build(BuildRequest(dataset=KIND, source=source, out=tmp_path / "plain")).path
    packed = convert(ConvertRequest(parent=built["webdataset"], out=tmp_path / "packed", format="lmdb")).path
    for sound, origin in ((plain, source), (packed, built["webdataset"])):
        copy = damaged(sound, tmp_path, NAME, damage)
        check(copy, sound, mend(copy, origin), [NAME])
        shutil.rmtree(copy)


def test_several_broken_files_are_repaired_together(built: dict[str, Path], source: Path, tmp_path: Path) -> None:
    copy = damaged(built["zarr"], tmp_path, "train/image/c/0/0/0/0", flip)
    flip(copy / "samples.parquet")
    (copy / "test/zarr.json").unlink()
    flip(copy / SUMS_NAME)
    (copy / "notes.txt").write_text("mine")
    outcome = mend(copy, source)
    assert {"train/image/c/0/0/0/0", "samples.parquet", "test/zarr.json", SUMS_NAME} <= set(outcome.files)
    assert (copy / "notes.txt").read_text() == "mine"
    (copy / "notes.txt").unlink()
    assert verify(copy, full=True) == []
    assert contents(copy) == contents(built["zarr"])


def test_a_baked_build_is_repaired_from_raw_files_from_its_parent_and_from_its_like(
    built: dict[str, Path], source: Path, tmp_path: Path
) -> None:
    baked = convert(ConvertRequest(parent=built["zarr"], out=tmp_path / "baked", normalize="zscore", crop=4)).path
    like = convert(ConvertRequest(parent=baked, out=tmp_path / "like", format="webdataset")).path
    for origin in (source, built["lmdb"], like):
        copy = damaged(baked, tmp_path, "train/image/c/0/0/0/0", flip)
        check(copy, baked, mend(copy, origin), ["train/image/c/0/0/0/0"])
        shutil.rmtree(copy)


def test_what_cannot_be_repaired_stays_as_it_was(built: dict[str, Path], source: Path, tmp_path: Path) -> None:
    copy = damaged(built["zarr"], tmp_path, file_of("zarr"), flip)
    before = contents(copy)
    other = Path(shutil.copytree(source, tmp_path / "other"))
    for path in other.iterdir():
        path.write_text(path.read_text().replace('"seed": ', '"seed": 1'))
    wrong = make(KIND, other, tmp_path / "wrong").path
    empty = tmp_path / "empty"
    empty.mkdir()
    for origin, kind in ((None, UsageError), (empty, SarDataError), (other, SarDataError), (wrong, BuildError)):
        with pytest.raises(kind):
            mend(copy, origin)
        assert contents(copy) == before
        assert [path.name for path in copy.parent.iterdir()] == [copy.name]
    manifest = damaged(built["lmdb"], tmp_path, NAME, flip)  # of a split that is not the default
    with pytest.raises(BuildError, match=r"manifest.json is damaged, and no build of .* has the recipe"):
        mend(manifest, source)


def test_a_sound_build_is_left_alone(built: dict[str, Path]) -> None:
    before = {path: path.stat().st_ino for path in built["zarr"].rglob("*")}
    assert mend(built["zarr"], None) == Repair([], [], [])
    assert {path: path.stat().st_ino for path in built["zarr"].rglob("*")} == before


def test_without_an_atomic_swap_the_damaged_build_is_set_aside(
    built: dict[str, Path], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = damaged(built["zarr"], tmp_path, file_of("zarr"), flip)
    monkeypatch.setattr(durable, "exchange", lambda first, second: False)
    mend(copy, source)
    assert contents(copy) == contents(built["zarr"])
    assert {path.name for path in copy.parent.iterdir()} == {copy.name, f"{copy.name}.damaged-1"}


KILL = """
import os, sys
from pathlib import Path
from sar_data.builder import repair as module
from sar_data.runners import Serial
from sar_data.system import durable
from tests.mini import invented

moment, path, source = sys.argv[1:]
swap = durable.exchange

def end(*args):
    if moment == "after":
        swap(*args)
    os._exit(9)

if moment == "pack":
    module.pack = end
else:
    durable.exchange = end
kind = invented.pipeline("segmentation")
module.repair(module.RepairRequest(path=Path(path), source=Path(source), dataset=kind), Serial())
"""


@pytest.mark.parametrize("moment", ["pack", "before", "after"])
def test_a_kill_leaves_the_old_state_or_the_new_one(
    built: dict[str, Path], source: Path, tmp_path: Path, moment: str
) -> None:
    copy = damaged(built["lmdb"], tmp_path, file_of("lmdb"), flip)
    old = contents(copy)
    ended = subprocess.run([sys.executable, "-c", KILL, moment, str(copy), str(source)], check=False)
    assert ended.returncode == 9
    assert contents(copy) == (contents(built["lmdb"]) if moment == "after" else old)
    mend(copy, source)
    assert contents(copy) == contents(built["lmdb"])
    assert sar_data.builds(tmp_path / "out")[-1].state == "sealed"


def test_the_command_repairs_and_says_what(sealed: dict[str, Build], bigearthnet_source: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(sealed["zarr"].path, tmp_path / sealed["zarr"].path.name))
    flip(copy / "train/image/c/0/0/0/0")
    command = ["verify", str(copy), "--repair", "--workers", "1"]
    without = CliRunner().invoke(main, command)
    assert without.exit_code == 2
    assert "needs --source" in without.stderr
    done = CliRunner().invoke(main, [*command, "--source", str(bigearthnet_source)])
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[0] == "rebuilt train/image/c/0/0/0/0"
    assert contents(copy) == contents(sealed["zarr"].path)
    facts = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    assert (facts["sound"], facts["repaired"]) == (True, [])
