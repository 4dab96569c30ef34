"""An interrupted build goes on where it stood, trusts nothing but proofs, and ends as if nothing had happened."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import xxhash

from sar_data.builder.itinerary import build, convert
from sar_data.builder.proof import DIGEST, SLOTS, Proof
from sar_data.builder.request import BuildRequest, ConvertRequest
from sar_data.builder.target import FolderTarget
from sar_data.errors import TargetError
from sar_data.sealed.opened import Build
from sar_data.spec import Pipeline
from tests.kill.evidence import Undisturbed, stamps
from tests.kill.faults import fails_once, memory, sites
from tests.mini.builds import CONTAINERS, options, visible

HOLD = 2


class Stop(Exception):
    """The interruption."""


class Site:
    """One place to build the sixty patches in."""

    def __init__(self, pipeline: Pipeline, source: Path, out: Path) -> None:
        self.pipeline, self.source, self.out = pipeline, source, out

    def build(self, container: str, *, stop_after: int | None = None, **chosen: Any) -> tuple[Build, int]:
        """Build, or raise Stop after some shards; return the build and the number of shards packed for it."""
        packed: list[int] = []

        def progress(stage: str, done: int, total: int) -> None:
            if stage == "pack":
                packed.append(done)
                if len(packed) == stop_after:
                    raise Stop

        chosen_options = options(container, **chosen)
        made = build(
            BuildRequest(dataset=self.pipeline, source=self.source, out=self.out, **chosen_options), progress=progress
        )
        return made, len(packed)

    def interrupt(self, container: str, after: int = HOLD, **chosen: Any) -> Path:
        """Stop a build after some shards; return its hidden folder."""
        with pytest.raises(Stop):
            self.build(container, stop_after=after, **chosen)
        assert visible(self.out) == []
        return next(self.out.glob("*/*/.*.building"))

    def left(self) -> list[str]:
        return sorted(path.name for path in self.out.glob("*/*/*"))


@pytest.fixture
def site(bigearthnet: Pipeline, bigearthnet_source: Path, tmp_path: Path) -> Site:
    return Site(bigearthnet, bigearthnet_source, tmp_path / "out")


@pytest.fixture(scope="module")
def known(sealed: dict[str, Build]) -> dict[str, Undisturbed]:
    return {name: Undisturbed.of(made) for name, made in sealed.items()}


@pytest.mark.parametrize("container", CONTAINERS)
def test_an_error_between_shards_costs_no_shard(site: Site, known: dict[str, Undisturbed], container: str) -> None:
    work = site.interrupt(container)
    before = stamps(work / "build")
    made, packed = site.build(container)
    assert packed == known[container].shards - HOLD
    known[container].check(made.path)
    if container != "lmdb":
        after = stamps(made.path)
        assert {name: after[name] for name in before if not name.endswith("zarr.json")}.items() <= before.items()
    assert site.left() == [made.path.name]


def test_a_build_interrupted_at_every_shard_in_turn_packs_each_once(site: Site, known: dict[str, Undisturbed]) -> None:
    for _ in range(known["webdataset"].shards):
        site.interrupt("webdataset", after=1)
    made, packed = site.build("webdataset")
    assert packed == 0
    known["webdataset"].check(made.path)


def test_what_was_never_finished_is_removed(site: Site, known: dict[str, Undisturbed]) -> None:
    work = site.interrupt("webdataset")
    for place in ("build/train/000002.tar", "build/index.parquet", "proofs/train-000002.arrow", "plan.arrow"):
        (work / f"{place}.4242.partial").write_bytes(b"half")
    made, _ = site.build("webdataset")
    known["webdataset"].check(made.path)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_proof_of_another_recipe_is_not_believed(site: Site, known: dict[str, Undisturbed], container: str) -> None:
    proofs = sorted((site.interrupt(container) / "proofs").glob("*.arrow"))
    proof = Proof.load(proofs[0])
    assert proof is not None
    replace(proof, recipe="0" * 64).save(proofs[0])
    made, packed = site.build(container)
    assert packed == known[container].shards - HOLD + 1
    known[container].check(made.path)


@pytest.mark.parametrize("damage", [b"", b"half of a proof", None], ids=["empty", "cut", "gone"])
def test_a_proof_that_cannot_be_read_is_not_believed(
    site: Site, known: dict[str, Undisturbed], damage: bytes | None
) -> None:
    proof = min((site.interrupt("zarr") / "proofs").glob("*.arrow"))
    proof.unlink() if damage is None else proof.write_bytes(damage)
    made, packed = site.build("zarr")
    assert packed == known["zarr"].shards - HOLD + 1
    known["zarr"].check(made.path)


def test_a_proof_that_does_not_fit_its_shard_is_not_believed(site: Site, known: dict[str, Undisturbed]) -> None:
    path = min((site.interrupt("zarr") / "proofs").glob("*.arrow"))
    proof = Proof.load(path)
    assert proof is not None
    replace(proof, slots=proof.slots[1:], clipped=[0]).save(path)
    made, packed = site.build("zarr")
    assert packed == known["zarr"].shards - HOLD + 1
    known["zarr"].check(made.path)


def test_a_few_bytes_of_a_proof_do_not_ask_for_gigabytes(site: Site) -> None:
    path = min((site.interrupt("zarr") / "proofs").glob("*.arrow"))
    proof = Proof.load(path)
    assert proof is not None
    reason = pa.array(["0" * (300 << 20)] + [None] * (len(proof.slots) - 1))
    slots = proof.slots.set_column(SLOTS.get_field_index("reason"), "reason", reason)
    schema = slots.schema.with_metadata(
        {"proof": pa.ipc.open_file(path.read_bytes()[DIGEST:]).schema.metadata[b"proof"]}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(slots)
    data = sink.getvalue().to_pybytes()
    assert len(data) < 1 << 19
    path.write_bytes(xxhash.xxh3_128_digest(data) + data)
    assert Proof.load(path) is None


@pytest.mark.parametrize("container", [name for name in CONTAINERS if name != "lmdb"])
@pytest.mark.parametrize("keep", [0, 1000, None], ids=["emptied", "cut", "gone"])
def test_a_damaged_shard_is_packed_again_whatever_its_proof_says(
    site: Site, known: dict[str, Undisturbed], container: str, keep: int | None
) -> None:
    work = site.interrupt(container)
    shard = work / "build" / ("train/000001.tar" if container == "webdataset" else "train/image/c/1/0/0/0")
    shard.unlink() if keep is None else os.truncate(shard, keep)
    made, packed = site.build(container)
    assert packed == known[container].shards - HOLD + 1
    known[container].check(made.path)


def test_a_shard_that_lmdb_holds_without_a_proof_is_committed_again(site: Site, known: dict[str, Undisturbed]) -> None:
    work = site.interrupt("lmdb", after=known["lmdb"].shards - 1)
    (work / "proofs" / "train-000001.arrow").unlink()
    made, packed = site.build("lmdb")
    assert packed == 2
    known["lmdb"].check(made.path)


def test_a_start_that_was_not_finished_is_begun_again(site: Site, known: dict[str, Undisturbed]) -> None:
    work = site.interrupt("zarr")
    (work / "started").unlink()
    shutil.rmtree(work / "proofs")
    (work / "build" / "val" / "zarr.json").write_text("{")
    made, packed = site.build("zarr")
    assert packed == known["zarr"].shards
    known["zarr"].check(made.path)


def test_a_build_stopped_before_its_rename_is_only_sealed(
    site: Site, known: dict[str, Undisturbed], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise Stop

    for container in CONTAINERS:
        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", stop)
            with pytest.raises(Stop):
                site.build(container)
        made, packed = site.build(container)
        assert packed == 0
        known[container].check(made.path)


def test_a_build_stopped_after_its_rename_is_found_and_what_is_left_goes(
    site: Site, known: dict[str, Undisturbed], monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = shutil.rmtree

    def stop(path: Path, **named: Any) -> None:
        if path.name.endswith(".building"):
            raise Stop
        remove(path, **named)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", stop)
        with pytest.raises(Stop):
            site.build("zarr")
    name = known["zarr"].path.name
    assert site.left() == [f".{name}.building", name]
    before = stamps(site.out / "bigearthnet-s1" / "1.0" / name)
    made, packed = site.build("zarr")
    assert (site.left(), packed) == ([name], 0)
    assert stamps(made.path) == before
    known["zarr"].check(made.path)


def test_the_former_build_is_not_touched_before_during_and_after_another(site: Site) -> None:
    former, _ = site.build("zarr", seed=7)
    before = stamps(former.path)
    with pytest.raises(Stop):
        site.build("zarr", stop_after=1)
    assert stamps(former.path) == before
    made, _ = site.build("zarr")
    assert stamps(former.path) == before
    assert visible(site.out) == sorted([former.path.name, made.path.name])


def test_a_hidden_folder_of_another_recipe_is_emptied(site: Site, known: dict[str, Undisturbed]) -> None:
    work = site.interrupt("zarr", seed=7)
    work.rename(work.with_name(f".{known['zarr'].path.name}.building"))  # as if their short names were the same
    made, packed = site.build("zarr")
    assert packed == known["zarr"].shards
    known["zarr"].check(made.path)


@pytest.mark.parametrize("container", CONTAINERS)
def test_an_interrupted_repack_goes_on(sealed: dict[str, Build], tmp_path: Path, container: str) -> None:
    name, _, compression = container.partition("+")
    changes: dict[str, Any] = {"format": name, "compression": compression or "none", "dtype": "int16"}
    parent = sealed["zarr"].path
    undisturbed = Undisturbed.of(convert(ConvertRequest(parent=parent, out=tmp_path / "undisturbed", **changes)))
    packed: list[int] = []

    def progress(stage: str, done: int, total: int) -> None:
        if stage == "pack":
            packed.append(done)
            if len(packed) == HOLD:
                raise Stop

    with pytest.raises(Stop):
        convert(ConvertRequest(parent=parent, out=tmp_path / "out", **changes), progress=progress)
    undisturbed.check(convert(ConvertRequest(parent=parent, out=tmp_path / "out", **changes), progress=progress).path)
    assert len(packed) == undisturbed.shards


FORMATS = ("lmdb", "webdataset", "zarr")


@pytest.mark.parametrize("container", FORMATS)
def test_a_system_call_that_fails_once_is_explained_and_costs_nothing(
    bigearthnet: Pipeline, bigearthnet_source: Path, container: str
) -> None:
    """A share of the kinds of calls and files, which differs from container to container; the kill suite has all."""
    chosen = options(container, limit=20)
    with memory() as folder:

        def make(out: Path) -> Build:
            return build(BuildRequest(dataset=bigearthnet, source=bigearthnet_source, out=out, **chosen))

        undisturbed = Undisturbed.of(make(folder / "undisturbed"))
        first = {name: turn for turn, name in reversed(list(enumerate(sites(make, folder / "counted"))))}
        start, step = {"lmdb": (0, 2), "webdataset": (1, 2), "zarr": (0, 4)}[container]
        turns = sorted(first.values())[start::step]
        explained = [fails_once(make, undisturbed, folder / f"out-{turn}", turn) for turn in turns]
    assert sum(explained) > len(turns) // 2


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mount.returncode:
        pytest.skip(f"no small disk can be mounted here: {mount.stderr.strip()}")
    yield folder
    gc.collect()  # a traceback may hold what was open
    subprocess.run(["umount", str(folder)], check=True)


def resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size // 1024 + 1}k", str(disk)], check=True)


def test_a_disk_too_small_is_refused_before_the_first_pixel(disk: Path, site: Site) -> None:
    site.out = disk / "out"
    with pytest.raises(TargetError, match=rf"{disk}/out/.*: needs [67]\.\d MB, \d\.\d MB free\. Free some space"):
        site.build("zarr")
    assert visible(site.out) == []
    resize(disk, 32 << 20)
    assert len(visible(site.build("zarr")[0].path.parents[2])) == 1


@pytest.mark.parametrize("container", FORMATS)
def test_a_disk_that_fills_up_is_explained_and_the_build_goes_on_when_there_is_room(
    disk: Path, site: Site, known: dict[str, Undisturbed], container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resize(disk, 256 << 20)
    site.out = disk / "former"
    former = site.build("webdataset", limit=12, seed=3)[0].path
    kept = stamps(former)
    taken = sum(size for *_, size in kept.values())
    need = sum(size for *_, size in stamps(known[container].path).values())
    for percent in (5, 25, 50, 75, 95, 99):
        resize(disk, taken + (64 << 10) + need * percent // 100)
        site.out = disk / f"out-{percent}"
        with monkeypatch.context() as patch:
            patch.setattr(FolderTarget, "check_space", lambda target, need: None)  # as if the disk filled up later
            with pytest.raises(TargetError, match=rf"{site.out}/.* MB( are)? free") as caught:
                site.build(container)
        assert percent > 75 or "needs" in str(caught.value)
        assert visible(site.out) == []
        assert stamps(former) == kept
        resize(disk, 256 << 20)
        made, packed = site.build(container)
        assert packed <= known[container].shards
        known[container].check(made.path)
        shutil.rmtree(site.out)
