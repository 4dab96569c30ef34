"""Verify finds every kind of damage, names where it is, and never stops at the first."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from sar_data import catalog
from sar_data.builder.itinerary import build, convert
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.cli import main
from sar_data.errors import BuildError, UsageError
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.manifest import NAME, Manifest
from sar_data.sealed.opened import SUMS_NAME, Build
from sar_data.sealed.places import places
from sar_data.sealed.verify import Problem, verify
from tests.mini.resealed import edit

FORMATS = ("lmdb", "webdataset", "zarr")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("verify")
    catalog.synthesise("eurosat-sar")(root / "raw", count=60, seed=2)
    pipeline = catalog.pipeline("eurosat-sar")
    options = {name: {"format": name, "shard_length": 8, "split": "stratified"} for name in FORMATS}
    made = {
        name: build(BuildRequest(dataset=pipeline, source=root / "raw", out=root / "out", **options[name])).path
        for name in FORMATS
    }
    made["int16"] = convert(ConvertRequest(parent=made["zarr"], dtype="int16")).path
    made["zstd"] = convert(ConvertRequest(parent=made["zarr"], compression="zstd", normalize="zscore")).path
    return made


@pytest.fixture
def copy(sealed: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    def made(name: str) -> Path:
        return Path(shutil.copytree(sealed[name], tmp_path / name))

    return made


def files(path: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def flip(path: Path, keys: list[str]) -> list[tuple[str, str]]:
    """Flip a bit in the stored pixels of each key; return shard and key."""
    sound = Build.open(path)
    flipped = []
    with sound.reader() as reader:
        for place in places(sound.index()):
            if place.key in keys:
                shards = sound.manifest.splits[place.split].shards
                file = path / shards[place.shard].file
                data = bytearray(file.read_bytes())
                at = data.index(reader.read(place)[1].tobytes()[:256])
                data[at + 100] ^= 1
                file.write_bytes(data)
                flipped.append((f"{place.split}/{place.shard:06d}", place.key))
    return flipped


@pytest.mark.parametrize("name", [*FORMATS, "int16", "zstd"])
def test_a_sound_build_has_no_problem_and_is_left_untouched(sealed: dict[str, Path], name: str) -> None:
    before = files(sealed[name])
    assert verify(sealed[name]) == []
    assert verify(sealed[name], full=True) == []
    assert files(sealed[name]) == before


@pytest.mark.parametrize("name", [*FORMATS, "int16"])
def test_damaged_pixels_are_named_by_shard_and_record_and_all_of_them(copy: Callable[[str], Path], name: str) -> None:
    path = copy(name)
    index = Build.open(path).index()
    keys = [place.key for place in places(index)][3::9]
    flipped = flip(path, keys)
    assert len(flipped) == len(keys) > 3
    assert verify(path) == []  # sizes are right: the quick look cannot see it
    problems = verify(path, full=True)
    assert {(p.shard, p.key) for p in problems if p.key} == set(flipped)
    damaged = {shard.split("/")[0] if name == "lmdb" else shard for shard, _ in flipped}
    assert len([p for p in problems if p.what.startswith("sha256")]) == len(damaged)
    assert len(problems) == len(damaged) + len(flipped)


@pytest.mark.parametrize("name", ["webdataset", "zarr"])
def test_a_missing_and_a_truncated_shard_are_named(copy: Callable[[str], Path], name: str) -> None:
    path = copy(name)
    first, second = Manifest.load(path).splits["train"].shards[:2]
    (path / first.file).unlink()
    with open(path / second.file, "r+b") as file:
        file.truncate(1000)
    assert verify(path) == [
        Problem(first.name, None, first.file, "a file", "none"),
        Problem(second.name, None, second.file, f"{second.bytes} bytes", "1000 bytes"),
    ]
    broken = {p.key for p in verify(path, full=True) if p.key}
    assert len(broken) >= first.count + second.count - 1


def test_an_lmdb_environment_that_was_cut_short_is_a_problem_and_not_the_end_of_the_process(
    copy: Callable[[str], Path],
) -> None:
    path = copy("lmdb")
    with open(path / "train/data.mdb", "r+b") as file:
        file.truncate(200_000)
    (path / "test/data.mdb").write_bytes(b"")
    for full in (False, True):
        problems = verify(path, full=full)
        assert any(p.what == "train/data.mdb" and "200000" in p.found for p in problems)
        assert any(p.what == "test/data.mdb" for p in problems)


@pytest.mark.parametrize("name", FORMATS)
def test_files_that_nobody_listed_are_problems_but_traces_of_readers_are_not(
    copy: Callable[[str], Path], name: str
) -> None:
    path = copy(name)
    (path / "train" / "lock.mdb").touch()  # LMDB leaves it, and no other container has such readers
    (path / "report.html").touch()
    problem = Problem(None, None, "train/lock.mdb", f"a line in {SUMS_NAME}", "none")
    assert verify(path) == ([] if name == "lmdb" else [problem])
    (path / "train" / "lock.mdb").unlink()
    (path / "train" / "extra").touch()
    assert verify(path) == [Problem(None, None, "train/extra", f"a line in {SUMS_NAME}", "none")]


def test_altered_sums_index_and_manifest_are_found_together(copy: Callable[[str], Path]) -> None:
    path = copy("zarr")
    with open(path / SUMS_NAME, "a") as sums:
        sums.write(f"{'0' * 64}  train/nothing\n")
    edit(path, lambda document: document["splits"]["train"].update(count=1))
    edit(path, lambda document: document["splits"]["val"]["shards"][0].update(count=99))
    edit(path, lambda document: document["unused"].update(cloud=2))
    problems = verify(path)
    assert [p.what.split(" in ")[0] for p in problems] == [
        SUMS_NAME,
        "train/nothing",
        "rows of train",
        "rows",
        "unused rows",
    ]
    assert problems[3].shard == "val/000000"


def test_every_flipped_bit_of_a_manifest_is_named(copy: Callable[[str], Path]) -> None:
    path = copy("webdataset")
    sound = (path / NAME).read_bytes()
    random = np.random.default_rng(0)
    for position, bit in zip(random.integers(0, len(sound), 100), random.integers(0, 8, 100), strict=True):
        damaged = bytearray(sound)
        damaged[position] ^= 1 << bit
        (path / NAME).write_bytes(damaged)
        assert any(NAME in str(problem) for problem in verify(path)), sound[position - 20 : position + 20]


def test_a_manifest_that_was_edited_does_not_open(copy: Callable[[str], Path]) -> None:
    path = copy("webdataset")
    edit(path, lambda document: document.update(citation="somebody else"), digest=False)
    with pytest.raises(BuildError, match=r"manifest.json: expected the digest [0-9a-f]{64}, found .* was changed"):
        Build.open(path)


def test_a_recipe_that_is_not_that_of_its_digest_or_folder_is_named(copy: Callable[[str], Path]) -> None:
    path = copy("webdataset")
    edit(path, lambda document: document["recipe"].update(seed=1))
    assert [problem.what for problem in verify(path)] == ["recipe digest"]


def test_altered_figures_and_digests_are_found_by_a_full_look(copy: Callable[[str], Path]) -> None:
    path = copy("zarr")
    edit(path, lambda document: document["statistics"]["val"]["bands"]["VV"]["stored"].update(mean=-9.0))
    edit(path, lambda document: document["normalization"]["std"].update(VH=1.0))
    edit(path, lambda document: document.update(content_digest="0" * 64))
    assert verify(path) == []
    problems = verify(path, full=True)
    assert {p.what for p in problems} == {
        "content digest",
        "statistics of val: bands VV stored mean",
        "normalization: std VH",
    }
    assert all(p.expected and p.found for p in problems)


@pytest.mark.parametrize("name", [NAME, SUMS_NAME, INDEX_NAME])
def test_a_missing_or_unreadable_document_is_a_problem(copy: Callable[[str], Path], name: str) -> None:
    for damage in (lambda file: file.unlink(), lambda file: file.write_bytes(b"\xff nonsense")):
        path = copy("zarr")
        damage(path / name)  # type: ignore[no-untyped-call]
        assert any(name in str(problem) for problem in verify(path, full=True))
        shutil.rmtree(path)


def test_the_command_lists_the_problems_and_fails(copy: Callable[[str], Path]) -> None:
    path = copy("webdataset")
    sound = CliRunner().invoke(main, ["verify", str(path), "--full", "--workers", "1"])
    assert sound.exit_code == 0
    assert "sound (every byte was read)" in sound.stdout
    [(shard, key)] = flip(path, [places(Build.open(path).index())[0].key])
    wrong = CliRunner().invoke(main, ["verify", str(path), "--full", "--workers", "1"])
    assert wrong.exit_code == 1
    assert f"shard {shard}: record {key}: pixels" in wrong.stdout
    facts = json.loads(CliRunner().invoke(main, ["verify", str(path), "--full", "--json", "--workers", "1"]).stdout)
    assert facts["sound"] is False
    assert [problem["key"] for problem in facts["problems"]] == [None, key]
    (path / NAME).unlink()
    assert CliRunner().invoke(main, ["verify", str(path)]).exit_code == 1


@pytest.mark.parametrize("name", FORMATS)
def test_a_sample_reads_a_share_of_the_shards_and_other_ones_by_another_seed(
    copy: Callable[[str], Path], name: str
) -> None:
    path = copy(name)
    assert verify(path, sample=0.05) == []
    [(shard, key)] = flip(path, [places(Build.open(path).index())[0].key])
    named = [
        {(problem.shard, problem.key) for problem in verify(path, sample=0.05, seed=seed) if problem.key}
        for seed in range(40)
    ]
    assert {(shard, key)} in named
    assert set() in named
    assert {(p.shard, p.key) for p in verify(path, sample=1.0) if p.key} == {(shard, key)}


@pytest.mark.parametrize(("full", "sample"), [(True, 0.5), (False, 0.0), (False, 1.5)])
def test_a_share_that_is_none_is_refused(sealed: dict[str, Path], full: bool, sample: float) -> None:
    with pytest.raises(UsageError, match=r"`sample=.*`: expected"):
        verify(sealed["zarr"], full=full, sample=sample)


def test_a_share_is_typed_as_percent_or_as_a_number(sealed: dict[str, Path]) -> None:
    for text in ("5%", "0.05"):
        result = CliRunner().invoke(main, ["verify", str(sealed["zarr"]), "--sample", text, "--workers", "1"])
        assert result.stdout.endswith("sound (0.05 of the shards were read)\n")
    wrong = CliRunner().invoke(main, ["verify", str(sealed["zarr"]), "--sample", "some"])
    assert (wrong.exit_code, wrong.stderr) == (2, "sar-data: expected a share such as 5%, found 'some'\n")
