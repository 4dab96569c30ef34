"""A remote build arrives whole, verified and once, whatever the network, the cache and other processes do."""

from __future__ import annotations

import gc
import hashlib
import mmap
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from sar_data.errors import BuildError, RemoteError, UsageError
from sar_data.sealed.files import Files, Local, open_files
from sar_data.sealed.index import INDEX_NAME
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import SUMS_NAME, Build
from sar_data.sealed.remote.prefetch import Prefetch
from sar_data.system import store as depot
from tests.mini.builds import contents
from tests.mini.hang import HANG_S
from tests.mini.resealed import edit
from tests.mini.servers import Web, web

ROOM = 1 << 30


@pytest.fixture(scope="module")
def build(sealed: dict[str, Build]) -> Build:
    return sealed["zarr"]


@pytest.fixture
def server(build: Build) -> Iterator[Web]:
    with web(build.path) as served:
        yield served


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depot, "PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """An S3 endpoint on loopback, found as botocore finds any other; nothing asks for credentials elsewhere."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3").mkdir("builds")
        yield "s3://builds"
    server.stop()


def shards(build: Build) -> list[str]:
    """Return the shard files, the largest first."""
    names = {shard.file for split in build.manifest.splits.values() for shard in split.shards}
    return sorted(names, key=lambda name: (-size(build, name), name))


def size(build: Build, name: str) -> int:
    return (build.path / name).stat().st_size


def on_disk(cache: Path) -> int:
    return sum(path.stat().st_size for path in cache.rglob("*") if path.is_file() and path.name != "room")


def unfinished(cache: Path) -> list[str]:
    return sorted(os.listdir(cache / "fetching"))


def small(build: Build, count: float) -> int:
    """Return the bytes of a cache for the documents and `count` of the largest shards."""
    documents = sum(size(build, name) for name in (NAME, SUMS_NAME, INDEX_NAME))
    return documents + int(count * max(size(build, name) for name in shards(build)))


def until(holds: Callable[[], bool]) -> None:
    """Wait for what must come."""
    deadline = time.monotonic() + HANG_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def reader(server: Web, cache: Path, limit: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.mini.one_reader", server.url, str(cache), str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def held(path: Path) -> int:
    """Return how often this process has a file open."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return sum(os.path.exists(link) and os.path.samefile(link, path) for link in links)


def digest_of(files: Files, name: str) -> str:
    files.prefetch([name])
    found = hashlib.sha256(files.path(name).read_bytes()).hexdigest()
    files.close()
    return found


@pytest.mark.parametrize("container", ["lmdb", "webdataset", "zarr", "zarr+zstd"])
@pytest.mark.parametrize("kind", ["memory", "http", "s3"])
def test_every_file_of_a_remote_build_arrives_as_it_is(
    kind: str, container: str, sealed: dict[str, Build], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    there = sealed[container].path
    with web(there) as server:
        url = server.url
        if kind != "http":
            url = f"{request.getfixturevalue('s3') if kind == 's3' else 'memory://builds'}/{container}"
            files, root = fsspec.core.url_to_fs(url)
            files.put(str(there), root, recursive=True)
        remote = open_files(url, tmp_path, ROOM)
        names = [line.partition("  ")[2] for line in (there / SUMS_NAME).read_text().splitlines()]
        for name in names:
            assert remote.path(name).read_bytes() == (there / name).read_bytes(), name
        assert contents(remote.folder) == contents(there)
        assert Build.open(remote.folder).index().equals(sealed[container].index())
        assert remote.folder.name == hashlib.sha256((there / NAME).read_bytes()).hexdigest()
        assert not unfinished(tmp_path)
        remote.close()


def test_a_folder_is_served_where_it_lies(build: Build) -> None:
    for place in (build.path, str(build.path)):
        files = open_files(place)
        assert isinstance(files, Local)
        assert files.path(INDEX_NAME) == build.path / INDEX_NAME
        files.prefetch(shards(build))
        files.close()


@pytest.mark.parametrize("faults", [["cut"], ["short"], ["changed"], [503, 503, 500], ["cut", 503, "cut"]], ids=str)
def test_trouble_that_passes_is_not_noticed(faults: list[int | str], server: Web, build: Build, tmp_path: Path) -> None:
    name = shards(build)[0]
    server.faults[name].extend(faults)
    files = open_files(server.url, tmp_path, ROOM)
    assert files.path(name).read_bytes() == (build.path / name).read_bytes()
    assert server.gets[name] == len(faults) + 1
    assert not unfinished(tmp_path)
    files.close()


def test_a_server_that_does_not_even_say_a_size_is_asked_again(server: Web, build: Build, tmp_path: Path) -> None:
    name = shards(build)[0]
    server.heads[name].extend([503, 500])
    server.faults[name].extend([503, 500])
    files = open_files(server.url, tmp_path, ROOM)
    assert files.path(name).read_bytes() == (build.path / name).read_bytes()
    files.close()


def test_a_server_that_is_not_there_is_not_a_file_that_is_not_there(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(RemoteError, match=r"manifest\.json: expected an answer, found ClientConnectorError.*, 4 times"):
        open_files(url, tmp_path)


@pytest.mark.parametrize("fault", ["short", "changed"])
def test_a_file_that_comes_wrong_twice_is_named_and_never_used(
    fault: str, server: Web, build: Build, tmp_path: Path
) -> None:
    name = shards(build)[0]
    server.faults[name].extend([fault, fault])
    files = open_files(server.url, tmp_path, ROOM)
    length = size(build, name) // (2 if fault == "short" else 1)
    with pytest.raises(BuildError, match=rf"{name}: expected sha256 \w+, found \w+ in {length} bytes, twice"):
        files.path(name)
    assert not unfinished(tmp_path)
    assert not (files.folder / name).exists()
    assert files.path(name).is_file(), "the next one who asks tries again"
    files.close()


def test_a_server_that_stays_away_is_named_after_a_few_attempts(server: Web, build: Build, tmp_path: Path) -> None:
    name = shards(build)[0]
    server.faults[name].extend([503] * 50)
    files = open_files(server.url, tmp_path, ROOM)
    with pytest.raises(RemoteError, match=rf"{name}: expected an answer, found .*503.*, 4 times"):
        files.path(name)
    assert not unfinished(tmp_path)
    files.close()


def test_a_refusal_is_believed_at_once(server: Web, build: Build, tmp_path: Path) -> None:
    name = shards(build)[0]
    server.faults[name].extend([403, 403])
    files = open_files(server.url, tmp_path, ROOM)
    with pytest.raises(RemoteError, match=r"expected leave to read, found .*403"):
        files.path(name)
    assert server.gets[name] == 1
    files.close()


def test_what_is_not_there_or_not_listed_is_named(build: Build, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(build.path, tmp_path / "copy"))
    name = shards(build)[0]
    (copy / name).unlink()
    with web(tmp_path) as server:
        with pytest.raises(
            BuildError, match=r"/elsewhere/manifest.json: expected a file of a sealed build, found none"
        ):
            open_files(f"{server.url}/elsewhere", tmp_path / "cache", ROOM)
        files = open_files(f"{server.url}/copy/", tmp_path / "cache", ROOM)
        with pytest.raises(BuildError, match=rf"{name}: expected a file of a sealed build, found none"):
            files.path(name)
        with pytest.raises(BuildError, match="SHA256SUMS lists"):
            files.path("../room")
        files.close()


def test_sums_that_the_manifest_does_not_know_are_refused(build: Build, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(build.path, tmp_path / "copy"))
    (copy / SUMS_NAME).write_bytes((copy / SUMS_NAME).read_bytes().replace(b"0", b"1"))
    with web(copy) as server, pytest.raises(BuildError, match="SHA256SUMS: expected sha256"):
        open_files(server.url, tmp_path / "cache", ROOM)


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "train/../../outside", "manifest.json"])
def test_sums_cannot_lead_out_of_the_cache(name: str, build: Build, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(build.path, tmp_path / "copy"))
    sums = (copy / SUMS_NAME).read_bytes() + f"{hashlib.sha256(b'').hexdigest()}  {name}\n".encode()
    (copy / SUMS_NAME).write_bytes(sums)
    edit(copy, lambda document: document.update(sums=hashlib.sha256(sums).hexdigest()))
    with web(copy) as server, pytest.raises(BuildError, match="expected names below the build"):
        open_files(server.url, tmp_path / "cache", ROOM)


def test_a_manifest_that_is_none_is_named_by_its_address(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("<html>sign in</html>")
    with web(tmp_path) as server, pytest.raises(BuildError, match=rf"{server.url}/{NAME}: not a manifest"):
        open_files(server.url, tmp_path / "cache", ROOM)


def test_a_manifest_without_end_is_not_read(server: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depot, "MOST_BYTES", 100)
    with pytest.raises(BuildError, match=rf"{NAME}: expected at most 100 bytes, found \d+"):
        open_files(server.url, tmp_path / "cache", ROOM)
    assert server.gets[NAME] == 0


def test_a_build_that_changed_is_another_folder(build: Build, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(build.path, tmp_path / "copy"))
    with web(copy) as server:
        before = open_files(server.url, tmp_path / "cache", ROOM)
        edit(copy, lambda document: document.update(title="another"))
        after = open_files(server.url, tmp_path / "cache", ROOM)
        assert before.folder != after.folder
        before.close()
        after.close()


def test_the_cache_stays_within_its_bound_and_drops_what_was_asked_for_longest_ago(
    server: Web, build: Build, tmp_path: Path
) -> None:
    limit = small(build, 2.9)
    files = open_files(server.url, tmp_path, limit)
    first, *others = shards(build)
    for name in others * 2:
        assert files.path(first).read_bytes() == (build.path / first).read_bytes()
        assert files.path(name).read_bytes() == (build.path / name).read_bytes()
        assert on_disk(tmp_path) <= limit
    assert server.gets[first] == 1, "what is asked for again and again stays"
    assert min(server.gets[name] for name in others) > 1, "a cache of two and a half shards has dropped the others"
    files.close()


def test_a_file_larger_than_the_cache_is_refused_in_a_sentence(server: Web, build: Build, tmp_path: Path) -> None:
    files = open_files(server.url, tmp_path, small(build, 0.9))
    with pytest.raises(UsageError, match=r"expected room for a file of .* MB, found a cache of .* MB.*cache_bytes"):
        files.path(shards(build)[0])
    assert not unfinished(tmp_path)
    files.close()


def test_a_file_that_is_about_to_be_opened_is_not_dropped_for_another(
    server: Web, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sar_data.sealed.remote.build.PATIENCE", 0.1)
    mine, full = (open_files(server.url, tmp_path, small(build, 1.5)) for _ in range(2))
    one, two = shards(build)[:2]
    path = mine.path(one)
    with pytest.raises(UsageError, match="full of files in use"):
        full.path(two)
    assert path.is_file()
    mine.close()
    assert full.path(two).is_file(), "what is let go makes room"
    assert not path.exists()
    full.close()


def test_threads_that_ask_for_the_same_file_get_it_at_once_and_each_holds_it(
    server: Web, build: Build, tmp_path: Path
) -> None:
    files = open_files(server.url, tmp_path, ROOM)
    name = shards(build)[0]
    server.faults[name].append("stall")
    everybody = threading.Barrier(6)

    def ask() -> bytes:
        path = files.path(name)
        everybody.wait(HANG_S)  # nobody lets go before all have it
        return path.read_bytes()

    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(ask) for _ in range(6)]
        assert server.stalled.wait(HANG_S)
        server.go_on.set()
        assert {future.result(HANG_S) for future in asking} == {(build.path / name).read_bytes()}
        assert held(files.folder / name) == 6
    assert server.gets[name] == 1
    del pool, asking
    gc.collect()
    assert held(files.folder / name) == 0, "a thread that has ended holds nothing"
    files.close()


def test_what_is_mapped_is_read_on_after_its_name_is_dropped(server: Web, build: Build, tmp_path: Path) -> None:
    files = open_files(server.url, tmp_path, small(build, 1.5))
    one, two = shards(build)[:2]
    path = files.path(one)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        files.path(two)
        assert not path.exists()
        assert mapped[:] == (build.path / one).read_bytes()
    files.close()


def test_prefetch_brings_the_files_before_they_are_asked_for(server: Web, build: Build, tmp_path: Path) -> None:
    files = open_files(server.url, tmp_path, ROOM)
    names = shards(build)
    files.prefetch(names)
    until(lambda: all((files.folder / name).exists() for name in names))
    asked = server.gets.copy()
    for name in names:
        assert files.path(name).read_bytes() == (build.path / name).read_bytes()
    assert server.gets == asked
    assert set(asked.values()) <= {1, 2}, "the manifest alone is read twice"
    files.close()


def test_what_goes_wrong_ahead_is_told_to_who_asks(server: Web, build: Build, tmp_path: Path) -> None:
    name, other = shards(build)[:2]
    server.faults[name].extend([404] * 9)
    files = open_files(server.url, tmp_path, ROOM)
    files.prefetch([name, other])
    until(lambda: (files.folder / other).exists())
    with pytest.raises(BuildError, match=f"{name}: expected a file"):
        files.path(name)
    files.close()


def test_prefetch_keeps_the_order_and_never_runs_further_ahead_than_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sar_data.sealed.remote.prefetch.THREADS", 1)
    asked: set[str] = set()
    fetched: list[str] = []
    furthest = 0

    def fetch(name: str) -> None:
        nonlocal furthest
        fetched.append(name)
        furthest = max(furthest, 10 * len(set(fetched) - asked))

    names = [f"{i:03}" for i in range(50)]
    prefetch = Prefetch(fetch, dict.fromkeys(names, 10), most=30)
    prefetch.want(names)
    for name in names:
        until(lambda name=name: name in fetched)
        asked.add(name)
        prefetch.note_request(name)
    prefetch.close()
    assert fetched == names
    assert furthest <= 30


def test_what_is_no_longer_wanted_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sar_data.sealed.remote.prefetch.THREADS", 1)
    began, go_on, fetched = threading.Event(), threading.Event(), list[str]()

    def fetch(name: str) -> None:
        began.set()
        go_on.wait(HANG_S)
        fetched.append(name)

    prefetch = Prefetch(fetch, {}, most=100)
    prefetch.want(["a", "b", "c"])
    assert began.wait(HANG_S)
    prefetch.want(["c", "d"])
    go_on.set()
    until(lambda: len(fetched) == 3)
    prefetch.close()
    assert fetched == ["a", "c", "d"]


def test_closing_ends_what_is_under_way_and_leaves_nothing(
    server: Web, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sar_data.sealed.remote.prefetch.JOIN", 0.01)
    monkeypatch.setattr(depot, "BLOCK", 1000)
    name = shards(build)[0]
    server.faults[name].append("stall")
    files = open_files(server.url, tmp_path, ROOM)
    files.prefetch([name])
    assert server.stalled.wait(HANG_S)
    files.close()
    files.close()
    server.go_on.set()
    until(lambda: not unfinished(tmp_path))
    assert not (files.folder / name).exists()
    assert files.path(name).read_bytes() == (build.path / name).read_bytes(), "who asks again begins anew"
    files.close()


def test_no_descriptor_is_left_open(build: Build, tmp_path: Path) -> None:
    fsspec.filesystem("memory").put(str(build.path), "/descriptors", recursive=True)

    def once() -> None:
        files = open_files("memory://descriptors", tmp_path, small(build, 2.5))
        for name in shards(build):
            thread = threading.Thread(target=files.path, args=(name,))
            thread.start()
            thread.join()
        files.close()

    once()
    before = sorted(os.listdir("/proc/self/fd"))
    once()
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("room", [ROOM, 2.5], ids=["roomy", "small"])
def test_processes_that_share_a_cache_fetch_nothing_twice_and_stay_within_it(
    room: float, server: Web, build: Build, tmp_path: Path
) -> None:
    limit = int(room) if room == ROOM else small(build, room)
    readers = [reader(server, tmp_path, limit) for _ in range(3)]
    outputs = [process.communicate(timeout=HANG_S) for process in readers]
    assert [process.returncode for process in readers] == [0, 0, 0], outputs
    expected = "".join(
        f"{hashlib.sha256((build.path / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(shards(build))
    )
    assert [out for out, _ in outputs] == [expected] * 3
    assert on_disk(tmp_path) <= limit
    assert not unfinished(tmp_path)
    if room == ROOM:
        assert {server.gets[name] for name in (*shards(build), SUMS_NAME, INDEX_NAME)} == {1}


def test_a_reader_killed_while_fetching_leaves_a_cache_that_works_and_is_clean(
    server: Web, build: Build, tmp_path: Path
) -> None:
    name = shards(build)[1]
    server.faults[name].append("stall")
    process = reader(server, tmp_path, ROOM)
    assert server.stalled.wait(HANG_S)
    assert len(unfinished(tmp_path)) >= 1
    process.kill()
    assert process.wait(HANG_S) == -signal.SIGKILL
    process.communicate()
    files = open_files(server.url, tmp_path, ROOM)
    assert not unfinished(tmp_path), "what the dead reader had begun is gone when the cache is opened"
    assert files.path(name).read_bytes() == (build.path / name).read_bytes()
    files.close()
    assert set(contents(files.folder)) <= set(contents(build.path))


def test_who_waits_for_a_reader_that_is_killed_takes_over(server: Web, build: Build, tmp_path: Path) -> None:
    name = shards(build)[0]
    server.faults[name].append("stall")
    process = reader(server, tmp_path, ROOM)
    assert server.stalled.wait(HANG_S)
    files = open_files(server.url, tmp_path, ROOM)
    got: list[bytes] = []
    waiting = threading.Thread(target=lambda: got.append(files.path(name).read_bytes()))
    waiting.start()
    process.kill()
    process.communicate()
    waiting.join(HANG_S)
    assert got == [(build.path / name).read_bytes()]
    files.close()


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_a_reader_goes_on_in_a_child_process(way: str, server: Web, build: Build, tmp_path: Path) -> None:
    files = open_files(server.url, tmp_path, ROOM)
    names = shards(build)
    files.prefetch(names[:2])
    files.path(names[0])
    context = multiprocessing.get_context(way)
    with context.Pool(1) as pool:
        found = pool.apply(digest_of, (files, names[2]))
    assert found == hashlib.sha256((build.path / names[2]).read_bytes()).hexdigest()
    assert files.path(names[3]).is_file()
    files.close()


def test_s3_without_credentials_and_without_its_package_say_what_to_do() -> None:
    nowhere = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "HOME"), "/nonexistent")
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | nowhere
    bare |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}

    def failing(prelude: str, cache: str) -> str:
        script = f"import sys; {prelude}\nfrom tests.mini.one_reader import main\nmain('s3://builds/b', {cache!r}, '1')"
        done = subprocess.run([sys.executable, "-c", script], env=bare, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        return done.stderr

    with tempfile.TemporaryDirectory() as cache:
        assert "RemoteError: s3://builds/b/manifest.json: expected leave to read, found NoCred" in failing("", cache)
        for package in ("s3fs", "fsspec"):
            said = failing(f"sys.modules[{package!r}] = None", cache)
            assert f"MissingExtra: {package} is not installed: pip install 'sar-data[remote]'" in said


def test_a_build_in_a_folder_costs_no_remote_package() -> None:
    script = (
        "import sys; from sar_data.sealed.files import open_files; open_files('somewhere')\n"
        "print(*sorted({'fsspec', 'aiohttp', 's3fs', 'pydantic', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_scheme_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a path or a URL that fsspec knows"):
        open_files("sftpp://host/build", tmp_path)
