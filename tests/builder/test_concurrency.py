"""One target has one builder at a time, and readers see whole builds or none."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sar_data.builder.itinerary import build
from sar_data.builder.request import BuildRequest
from sar_data.errors import TargetError
from sar_data.sealed.opened import SUMS_NAME, Build
from sar_data.spec import Pipeline
from tests.kill.builders import Builder
from tests.kill.evidence import Moment, Undisturbed
from tests.kill.watch import CREATE, MOVED_TO, Watch
from tests.mini.builds import make, options, visible
from tests.mini.hang import HANG_S

CHOSEN = {"format": "webdataset", "split": "random", "shard_length": 16}


@pytest.fixture(scope="module")
def known(sealed: dict[str, Build]) -> Undisturbed:
    return Undisturbed.of(sealed["webdataset"])


def test_a_second_builder_is_told_who_builds(
    bigearthnet: Pipeline, bigearthnet_source: Path, tmp_path: Path, known: Undisturbed
) -> None:
    told: list[TargetError] = []

    def meanwhile(stage: str, done: int, total: int) -> None:
        if stage != "scan":
            with pytest.raises(TargetError) as caught:
                make(bigearthnet, bigearthnet_source, tmp_path, format="webdataset")
            told.append(caught.value)

    chosen = options("webdataset")
    made = build(
        BuildRequest(dataset=bigearthnet, source=bigearthnet_source, out=tmp_path, **chosen), progress=meanwhile
    )
    assert len(told) > known.shards
    for error in told:
        assert f'"pid": {os.getpid()}' in str(error)
        assert str(known.path.name) in str(error)
        assert "Wait for it, or stop it." in str(error)
    known.check(made.path)
    assert [path.name for path in made.path.parent.iterdir()] == [known.path.name]


def test_a_builder_that_failed_gives_its_lock_back(
    bigearthnet: Pipeline, bigearthnet_source: Path, tmp_path: Path, known: Undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise TargetError("no")

    for name in (
        "target.durable.write",
        "open.write_plan",
        "target.FolderTarget.check_space",
        "pack.start",
        "seal.file_sums",
    ):
        module, _, rest = name.partition(".")
        with monkeypatch.context() as patch:
            patch.setattr(f"sar_data.builder.{module}.{rest}", failing)
            with pytest.raises(TargetError, match=r"^no$"):
                make(bigearthnet, bigearthnet_source, tmp_path, format="webdataset")
    known.check(make(bigearthnet, bigearthnet_source, tmp_path, format="webdataset").path)


def test_a_killed_builder_s_target_is_taken_over_at_once(
    bigearthnet: Pipeline, bigearthnet_source: Path, tmp_path: Path, known: Undisturbed
) -> None:
    with Builder(1) as owner, Watch(tmp_path, mask=CREATE | MOVED_TO) as watch:
        owner.start(source=bigearthnet_source, out=tmp_path, options=CHOSEN)
        assert Moment(MOVED_TO, r"/proofs/train-000000\.arrow$", 1).came(watch.events(owner.ending, HANG_S))
        owner.signal(signal.SIGSTOP, alone=True)
        with pytest.raises(TargetError, match=f'another build is making it .*"pid": {owner.pid}'):
            make(bigearthnet, bigearthnet_source, tmp_path, format="webdataset")
        owner.signal(signal.SIGKILL, alone=True)
        owner.wait()
        made = make(bigearthnet, bigearthnet_source, tmp_path, format="webdataset")
    known.check(made.path)


def test_of_many_builders_at_once_one_builds_and_the_others_say_so_or_find_it(
    bigearthnet_source: Path, tmp_path: Path, known: Undisturbed
) -> None:
    with ExitStack() as stack:
        builders = [stack.enter_context(Builder(1)) for _ in range(4)]
        pids = {builder.pid for builder in builders}
        for turn in range(8):
            out = tmp_path / str(turn)
            for builder in builders:
                request = {"source": bigearthnet_source, "out": out, "options": CHOSEN}
                builder.ask(**request) if turn else builder.start(once=False, **request)
            answers = [builder.answer() for builder in builders]
            for answer in answers:
                if "error" in answer:
                    assert answer["error"] == "TargetError"
                    assert "another build is making it" in answer["message"]
                    assert any(f'"pid": {pid}' in answer["message"] for pid in pids) or "unknown" in answer["message"]
                else:
                    assert answer["digest"] == known.digest
            # Whoever finds the build sealed packs nothing.
            assert sorted(answer.get("packed", 0) for answer in answers) == [0, 0, 0, known.shards]
            home = next(out.glob("*/*"))
            known.check(home / known.path.name)
            assert [path.name for path in home.iterdir()] == [known.path.name]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[list[str]]:
    """A thread that reads all that looks like a build, over and over; return what it found."""
    found: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            for path in sorted(tmp_path.glob("*/*/[!.]*")):
                try:
                    manifest = Build.open(path).manifest
                    sums = (path / SUMS_NAME).read_bytes()
                    assert hashlib.sha256(sums).hexdigest() == manifest.sums
                    for line in sums.decode().splitlines():
                        digest, _, name = line.partition("  ")
                        assert hashlib.sha256((path / name).read_bytes()).hexdigest() == digest
                    found.append(path.name)
                except Exception as error:
                    found.append(f"torn: {path.name}: {error!r}")

    thread = threading.Thread(target=read)
    thread.start()
    yield found
    done.set()
    thread.join()


def test_a_reader_sees_whole_builds_only(
    bigearthnet: Pipeline, small_source: Path, tmp_path: Path, reader: list[str]
) -> None:
    for seed in range(4):
        for container in ("lmdb", "webdataset", "zarr"):
            make(bigearthnet, small_source, tmp_path, format=container, seed=seed)
    wanted = visible(tmp_path)
    assert len(wanted) == 12
    deadline = time.monotonic() + HANG_S
    while not set(wanted) <= set(reader) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(reader) == set(wanted)
