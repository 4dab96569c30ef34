"""The loader's laws: exact at every cut, at every world size, in every container; nothing skipped, nothing twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sar_data.errors import BuildError, UsageError
from sar_data.sealed.opened import Build
from sar_data.sealed.places import places
from sar_data.stream.dataset import Stream
from tests.mini import invented
from tests.mini.builds import CONTAINERS

WORLDS = (1, 2, 4, 8)
BATCH = 3


def keys(stream: Stream) -> list[str]:
    return [key for batch in stream for key in batch["key"]]


def together(streams: list[Stream]) -> list[str]:
    """Return the keys that all ranks take, in global order; every rank takes as many batches."""
    ranks = [[batch["key"] for batch in stream] for stream in streams]
    assert len({len(batches) for batches in ranks}) == 1
    return [key for step in zip(*ranks, strict=True) for batch in step for key in batch]


def epoch_order(path: Path, epoch: int, seed: int = 5) -> list[str]:
    with Stream(path, batch_size=1, seed=seed) as stream:
        stream.set_epoch(epoch)
        return keys(stream)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_hundred_cuts_lose_nothing_and_repeat_nothing_at_any_world_size(zarr: Path, threads: int) -> None:
    orders = [epoch_order(zarr, epoch) for epoch in range(3)]
    count = len(orders[0])
    worlds = {
        world: [Stream(zarr, batch_size=BATCH, seed=5, rank=r, world=world, threads=threads) for r in range(world)]
        for world in WORLDS
    }
    with Stream(zarr, batch_size=1, seed=5, threads=threads) as first:
        for cut in np.linspace(0, 3 * count - 1, 100).astype(int).tolist():
            epoch, position = divmod(cut, count)
            first.load_state_dict({**first.state_dict(), "epoch": epoch, "position": 0})
            batches = iter(first)
            before = [next(batches)["key"][0] for _ in range(position)]
            state = first.state_dict()
            batches.close()  # type: ignore[attr-defined]
            for world, streams in worlds.items():
                for stream in streams:
                    stream.load_state_dict(state)
                steps, tail = (count - position) // (BATCH * world), streams[0].tail
                if position and not steps:  # nothing is left for this world: it goes on with the next epoch
                    assert streams[0].epoch == epoch + 1
                    continue
                after = together(streams)
                assert before + after == orders[epoch][: count - tail]
                assert tail == (count - position) % (BATCH * world)
    for streams in worlds.values():
        for stream in streams:
            stream.close()


def test_the_global_order_is_the_same_at_every_world_size(zarr: Path) -> None:
    orders = []
    for world in WORLDS:
        streams = [Stream(zarr, batch_size=24 // world, seed=1, rank=rank, world=world) for rank in range(world)]
        orders.append(together(streams) + together(streams))
        assert len(orders[-1]) == len(orders[0])
    assert all(order == orders[0] for order in orders)


def test_after_a_resume_the_batches_are_equal_to_the_last_bit(zarr: Path) -> None:
    with Stream(zarr, batch_size=16, seed=3) as whole, Stream(zarr, batch_size=16, seed=3) as resumed:
        batches = [dict(batch) for _ in range(2) for batch in whole]
        for _, _batch in zip(range(13), (b for _ in range(2) for b in resumed), strict=False):
            state = resumed.state_dict()
        assert (state["epoch"], state["position"]) == (1, 48)
        with Stream(zarr, batch_size=16, seed=3, threads=4) as other:
            other.load_state_dict(state)
            for expected, found in zip(batches[13:], other, strict=True):
                assert expected["key"] == found["key"]
                assert expected["image"].tobytes() == found["image"].tobytes()
                assert expected["target"].tobytes() == found["target"].tobytes()


@pytest.mark.parametrize("io", ["mmap", "pread"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_gives_the_same_batches_in_the_same_order(
    small: dict[str, Build], container: str, io: str
) -> None:
    with Stream(small["zarr"].path, batch_size=7, seed=2) as expected:
        wanted = [(b["key"], b["image"].tobytes(), b["target"].tobytes()) for _ in range(2) for b in expected]
    with Stream(small[container].path, batch_size=7, seed=2, io=io, verify=True) as stream:
        found = [(b["key"], b["image"].tobytes(), b["target"].tobytes()) for _ in range(2) for b in stream]
    assert found == wanted


@pytest.mark.parametrize("container", CONTAINERS)
def test_patches_of_their_real_size_are_the_same_from_every_container(sealed: dict[str, Build], container: str) -> None:
    with Stream(sealed["zarr"].path, batch_size=5) as expected, Stream(sealed[container].path, batch_size=5) as stream:
        for _ in range(2):
            for one, other in zip(expected, stream, strict=True):
                assert one["key"] == other["key"]
                assert one["image"].tobytes() == other["image"].tobytes()
                assert one["target"].tobytes() == other["target"].tobytes()


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_batch_is_what_the_container_s_own_reader_reads(small: dict[str, Build], container: str) -> None:
    build = small[container]

    index = build.index()
    with build.reader() as reader:
        images = {place.key: reader.read(place) for place in places(index) if place.split == "val"}
    with Stream(build.path, split="val", batch_size=8, normalize=None, fill=None) as stream:
        found = {
            key: image.tobytes() for batch in stream for key, image in zip(batch["key"], batch["image"], strict=True)
        }
    assert found == {key: image.tobytes() for key, image in images.items()}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("split", ["val", "test"])
def test_an_evaluation_covers_every_sample_once_whatever_the_world(zarr: Path, split: str, world: int) -> None:
    count = Build.open(zarr).manifest.splits[split].count
    seen: list[str] = []
    steps = set()
    for rank in range(world):
        with Stream(zarr, split=split, batch_size=4, rank=rank, world=world) as stream:
            batches = list(stream)
            assert len(batches) == len(stream)
        steps.add(tuple(len(batch["key"]) for batch in batches))
        seen += [key for b in batches for key, weight in zip(b["key"], b["weight"], strict=True) if weight]
        assert {float(w) for b in batches for w in b["weight"]} <= {0.0, 1.0}
    assert len(steps) == 1
    assert len(seen) == len(set(seen)) == count


def test_an_evaluation_begins_anew_where_a_training_goes_on(zarr: Path) -> None:
    with Stream(zarr, split="val", batch_size=4) as val, Stream(zarr, batch_size=4) as train:
        assert next(iter(val))["key"] == next(iter(val))["key"]
        first = next(iter(train))["key"]
        assert not set(first) & set(keys(train))
        assert train.epoch == 1


def test_a_split_without_samples_is_an_evaluation_without_batches(tmp_path: Path) -> None:
    source = invented.archive(tmp_path / "raw", 9)
    build = invented.sealed(invented.pipeline(), source, tmp_path / "out", split="random:train=1,val=0,test=0")
    with Stream(build.path, split="val", world=8, rank=7) as stream:
        assert (list(stream), len(stream), stream.epoch) == ([], 0, 1)


def test_fewer_samples_than_one_step_are_refused_with_the_remedy(zarr: Path) -> None:
    with pytest.raises(UsageError, match=r"166 samples are selected, fewer than one step of 256 × world 1"):
        Stream(zarr)


def test_more_ranks_than_shards_or_samples_still_evaluate(zarr: Path) -> None:
    found = []
    for rank in range(64):
        with Stream(zarr, split="test", batch_size=2, rank=rank, world=64) as stream:
            (batch,) = stream
            found += [key for key, weight in zip(batch["key"], batch["weight"], strict=True) if weight]
    assert len(found) == len(set(found)) == Build.open(zarr).manifest.splits["test"].count


def test_a_state_of_another_stream_is_refused_in_a_sentence(zarr: Path, small: dict[str, Build]) -> None:
    with Stream(zarr, batch_size=4) as stream:
        state = stream.state_dict()
        changes: list[tuple[str, Any]] = [
            ("version", 0),
            ("digest", "00"),
            ("split", "val"),
            ("seed", 1),
            ("order", "x"),
        ]
        for name, value in changes:
            with pytest.raises(UsageError, match=f"state: expected {name} .* it is of another stream"):
                stream.load_state_dict({**state, name: value})
        for wrong in ({"epoch": None}, {"position": -1}, {"position": 10**9}, {"position": 1.5}):
            with pytest.raises(UsageError, match="expected an epoch and a position"):
                stream.load_state_dict({**state, **wrong})
    with Stream(small["lmdb"].path, batch_size=9) as same_content:
        same_content.load_state_dict(state)  # another container of the same content, and another batch size
    with Stream(zarr, batch_size=4, fraction=0.5) as part, pytest.raises(UsageError, match="expected order"):
        part.load_state_dict(state)


def test_an_older_iteration_ends_when_another_begins(zarr: Path) -> None:
    with Stream(zarr, batch_size=4) as stream:
        older = iter(stream)
        next(older)
        next(iter(stream))
        with pytest.raises(UsageError, match="this iteration ended"):
            next(older)


def test_a_state_loaded_at_the_last_batch_is_where_the_stream_goes_on(zarr: Path) -> None:
    with Stream(zarr, batch_size=80, seed=2) as stream:
        state = {**stream.state_dict(), "epoch": 7, "position": 80}
        for step, _ in enumerate(stream):
            if step == 1:
                stream.load_state_dict(state)
        assert stream.state_dict() == state
        (batch,) = stream
        assert batch["key"] == epoch_order(zarr, 7, seed=2)[80:160]


def test_set_epoch_lets_the_running_epoch_go_on_and_any_other_begin(zarr: Path) -> None:
    with Stream(zarr, batch_size=4) as stream:
        next(iter(stream))
        stream.set_epoch(0)
        assert stream.state_dict()["position"] == 4
        stream.set_epoch(3)
        assert (stream.state_dict()["epoch"], stream.state_dict()["position"]) == (3, 0)


def test_a_damaged_shard_is_named(small: dict[str, Build], tmp_path: Path) -> None:
    import shutil

    for container, file, damage, words in (
        (
            "zarr",
            "train/image/c/3/0/0/0",
            _cut,
            r"train/image/c/3/0/0/0: expected 3840 bytes, found 1920: it is truncated",
        ),
        ("zarr", "train/image/c/3/0/0/0", Path.unlink, r"train/image/c/3/0/0/0: cannot read"),
        ("webdataset", "train/000002.tar", _cut, r"train/000002.tar: expected \d+ bytes, found \d+: it is truncated"),
        ("zarr+zstd", "train/image/c/1/0/0/0", _flip, r"train/image/c/1/0/0/0: (inner chunk|s\d+: expected xxh3)"),
        ("zarr", "train/image/c/3/0/0/0", _flip, r"train/image/c/3/0/0/0: s\d+: expected xxh3"),
        ("lmdb", "train/data.mdb", _cut, r"train/data.mdb: expected \d+ bytes, found"),
        ("lmdb", "train/data.mdb", _blank, r"train/data.mdb: (the page that leads to|the value under|expected)"),
    ):
        path = Path(shutil.copytree(small[container].path, tmp_path / f"{container}-{damage.__name__}"))
        damage(path / file)
        with pytest.raises(BuildError, match=words):
            keys(Stream(path, batch_size=4, verify=damage is _flip))
        shutil.rmtree(path)


def _cut(path: Path) -> None:
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100] ^= 0x10
    path.write_bytes(data)


def _blank(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: 2 * 4096] + bytes(len(data) - 2 * 4096))
