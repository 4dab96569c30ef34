"""A compressed archive becomes one plain tar, once, however often the process that makes it is killed."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from sar_data.errors import SourceError, TargetError
from sar_data.sources.archives import plain_tar as plain
from sar_data.sources.archives.decompress import BLOCK
from sar_data.sources.archives.open import open_tree
from sar_data.system import durable
from tests.contract.trees import walked
from tests.kill.watch import MODIFY, Watch
from tests.mini.archives import tar_bytes
from tests.mini.hang import HANG_S

WORKER = """
import sys
from pathlib import Path
from sar_data.sources.archives.open import open_tree
open_tree(Path(sys.argv[1]), work=Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def tar() -> bytes:
    draw = random.Random(0)
    return tar_bytes({f"{i}.bin": draw.randbytes(2 << 20) + bytes(2 << 20) for i in range(10)})


@pytest.fixture
def archive(tar: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "home" / "data.tar.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(tar, 6))
    (tmp_path / "work").mkdir()
    return path


def made(work: Path) -> Path:
    (path,) = work.glob("*.plain.tar")
    return path


def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note where blocks are written from now on."""
    offsets: list[int] = []
    put = durable.write_all

    def noting(descriptor: int, block: bytes | memoryview, at: int | None = None) -> int:
        if at is not None:
            offsets.append(at)
        return put(descriptor, block, at)

    monkeypatch.setattr(durable, "write_all", noting)
    return offsets


@pytest.mark.parametrize("blocks", [1, 4, 8])
def test_a_killed_conversion_resumes_and_writes_nothing_twice(
    blocks: int, archive: Path, tar: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    with Watch(work, mask=MODIFY) as watch:
        worker = subprocess.Popen([sys.executable, "-c", WORKER, archive, work])
        descriptor = os.pidfd_open(worker.pid)
        for event in watch.events(descriptor, HANG_S):
            if os.path.exists(event.path) and os.stat(event.path).st_size >= blocks * BLOCK:
                worker.send_signal(signal.SIGKILL)
                break
        assert worker.wait() == -signal.SIGKILL
        os.close(descriptor)
    assert not list(work.glob("*.tar"))
    assert not list(work.glob(".*.members"))
    (partial,) = work.glob("*.partial")
    kept = partial.stat()
    assert blocks * BLOCK <= kept.st_size < len(tar)
    offsets, said = written(monkeypatch), list[str]()
    tree = open_tree(archive, work=work, tell=said.append)
    assert f"{kept.st_size / 1e6:,.1f} MB are there already" in said[0]
    assert min(offsets) >= kept.st_size // BLOCK * BLOCK
    assert made(work).stat().st_ino == kept.st_ino
    assert made(work).read_bytes() == tar
    assert len(tree.files()) == 10


def test_bytes_of_an_interrupted_run_are_compared(
    archive: Path, tar: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    open_tree(archive, work=tmp_path / "other")
    partial = work / f"{made(tmp_path / 'other').name}.partial"
    damaged = bytearray(tar + b"left by another, longer one")
    damaged[BLOCK + 5] ^= 1
    damaged[3 * BLOCK : 4 * BLOCK] = bytes(BLOCK)  # a block that a power cut lost
    partial.write_bytes(damaged)
    offsets = written(monkeypatch)
    open_tree(archive, work=work)
    assert offsets == [BLOCK, 3 * BLOCK]
    assert made(work).read_bytes() == tar


def test_two_processes_make_one_file(archive: Path, tar: bytes, tmp_path: Path) -> None:
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, archive, tmp_path / "work"]) for _ in range(3)]
    assert [worker.wait(HANG_S) for worker in workers] == [0, 0, 0]
    assert sorted(path.name.split(".")[-1] for path in (tmp_path / "work").iterdir()) == ["members", "tar"]
    assert made(tmp_path / "work").read_bytes() == tar


def test_threads_end_with_their_conversion(archive: Path, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def progress(stage: str, done: int, total: int) -> None:
        if done > total // 2:
            raise Enough

    before = threading.active_count()
    with pytest.raises(Enough):
        open_tree(archive, work=tmp_path / "work", progress=progress)
    assert threading.active_count() == before
    assert [path.name.split(".")[-1] for path in (tmp_path / "work").iterdir()] == ["partial"]


def test_progress_counts_the_compressed_bytes(archive: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    open_tree(archive, work=tmp_path / "work", progress=lambda *step: seen.append(step))
    unpacked = [done for stage, done, _ in seen if stage == "unpack MB"]
    total = archive.stat().st_size // 1_000_000
    assert unpacked == sorted(unpacked)
    assert unpacked[-1] == total == seen[0][2]


def test_a_full_disk_gives_an_error_and_the_next_run_resumes(
    archive: Path, tar: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, pwrite = tmp_path / "work", os.pwrite

    def full(descriptor: int, data: Any, at: int) -> int:
        if at >= 3 * BLOCK:
            raise OSError(28, "No space left on device")
        return pwrite(descriptor, data[: 1 << 20], at)  # and writes are short

    with monkeypatch.context() as patch:
        patch.setattr(plain.os, "pwrite", full)
        with pytest.raises(TargetError, match=r"disk full, .* MB free.*finished parts are kept"):
            open_tree(archive, work=work)
    offsets = written(monkeypatch)
    open_tree(archive, work=work)
    assert min(offsets) == 3 * BLOCK
    assert made(work).read_bytes() == tar


def test_a_damaged_table_is_made_again(archive: Path, tmp_path: Path) -> None:
    known = walked(open_tree(archive, work=tmp_path / "work"))
    (table,) = (tmp_path / "work").glob(".*.members")
    whole = table.read_bytes()
    for damage in (whole[:-1], whole[:200] + b"x" + whole[201:], b"", b"x" * 20):
        table.write_bytes(damage)
        assert walked(open_tree(archive, work=tmp_path / "work")) == known
    assert table.read_bytes() == whole


@pytest.mark.parametrize("form", [".part-a{}", ".part_a{}", "_a{}", ".a{}", "aa{}", ".a{}?download=1"])
def test_parts_may_have_many_names(form: str, tmp_path: Path) -> None:
    packed = gzip.compress(tar_bytes({"a.bin": random.Random(0).randbytes(5000)}))
    for number, letter in enumerate("abc"):
        part = packed[2000 * number : 2000 * (number + 1)]
        (tmp_path / f"data.tar.gz{form.format(letter)}").write_bytes(part)
    for source in (tmp_path, next(tmp_path.glob("data.tar.gz*"))):
        assert open_tree(source).size("a.bin") == 5000


def test_a_gap_between_parts_is_named(tar: bytes, tmp_path: Path) -> None:
    data = gzip.compress(tar[:100_000])
    for number, ending in enumerate(("aa", "ab", "ac")):
        (tmp_path / f"data.tar.gz{ending}").write_bytes(data[number * 1000 : (number + 1) * 1000])
    with pytest.raises(SourceError, match="damage after 3000 bytes"):
        open_tree(tmp_path / "data.tar.gzaa")
    (tmp_path / "data.tar.gzab").unlink()
    with pytest.raises(SourceError, match=r"data\.tar\.gzac: expected the part before it beside it"):
        open_tree(tmp_path / "data.tar.gzaa")
