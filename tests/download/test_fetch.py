"""The command as a new user meets it: an automatic and a manual dataset, licences, parts, mirrors, full disks."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from click.testing import CliRunner

from sar_data import catalog, schemas
from sar_data.cli import main
from sar_data.download import ledger
from sar_data.download.fetch import FetchResult, check_results, fetch, folder_of
from sar_data.download.http import Web
from sar_data.download.plan import plan_sources
from sar_data.download.retry import Patience
from sar_data.errors import FetchError, SourceError, TargetError, Unreachable, UsageError
from sar_data.sources.lists import ListFinder
from sar_data.sources.tree import Folder
from sar_data.spec import Source
from tests.download import site as web
from tests.download.site import Handler, Site, cut, good, redirect, status
from tests.download.third_party import register
from tests.kill.watch import CREATE, MODIFY, MOVED_TO, Watch
from tests.mini.hang import HANG_S
from tests.places import ROOT

DATA = random.Random(0).randbytes(300_000)
ENTRY = [sys.executable, "-c", "from sar_data.cli import main; main()"]
HASTE = Patience(attempts=3, first_s=0.001, most_s=0.002, connect_s=HANG_S, read_s=HANG_S)


@pytest.fixture
def here() -> Iterator[Site]:
    with web.serving() as site:
        yield site


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def now() -> str:
    return "2026-11-02T00:00:00+00:00"


def fetched(sources: list[Source], folder: Path, **options: Any) -> list[FetchResult]:
    with Web(patience=HASTE, s3_endpoint=options.pop("s3_endpoint", None)) as client:
        return fetch(sources, folder, web=client, now=now, **options)


def command(*args: object, env: dict[str, str] | None = None, cwd: Path | None = None) -> Any:
    run = [*ENTRY, *map(str, args)]
    return subprocess.run(run, env=env, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def eurosat_zip(eurosat_source: Path, tmp_path: Path) -> bytes:
    return Path(shutil.make_archive(str(tmp_path / "packed" / "EuroSAT-SAR"), "zip", eurosat_source)).read_bytes()


def test_an_automatic_dataset_from_an_empty_folder(here: Site, eurosat_zip: bytes, tmp_path: Path) -> None:
    here.answers["/m/EuroSAT-SAR.zip"] = [cut(eurosat_zip, 100_000), good(eurosat_zip)]
    args = ("fetch", "eurosat-sar", "--mirror", f"{here.url}/m")
    env = register(tmp_path / "package", "unused-sets", "")
    first = command(*args, env=env, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    folder = tmp_path / "raw" / "eurosat-sar"
    assert first.stdout == f"sar-data build eurosat-sar --source {folder} --out builds\n"
    assert (folder / "EuroSAT-SAR.zip").read_bytes() == eurosat_zip
    for said in (
        "https://huggingface.co/datasets/wangyi111",
        "MIT",
        "Wang et al. 2023",
        "no checksum is published",
        "from byte 100,000",
        f"{sha256(eurosat_zip)} (observed, none is published)",
    ):
        assert said in first.stderr
    assert first.stderr.index("licence") < first.stderr.index("from byte")
    again = command(*args, env=env, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "was there" in again.stderr
    assert len(here.asked) == 2


def test_a_manual_dataset_gives_instructions_and_is_verified_once_present(tmp_path: Path) -> None:
    sources = (
        f'Source(name="ships.rar", url="https://example.org/form", checksum="{sha256(b"Rar!" + DATA)}", '
        'manual="fill in the form, the link comes by mail"), '
        'Source(name="extra.bin", url="https://example.org/share", manual="password abcd")'
    )
    env = register(tmp_path / "package", "ship-forms", sources, licence="research only")
    args = ("fetch", "ship-forms", "--to", tmp_path / "to")
    missing = command(*args, env=env)
    assert (missing.returncode, missing.stdout) == (3, "")
    for said in (
        "to get by hand",
        "fill in the form, the link comes by mail",
        "https://example.org/form",
        "password abcd",
        sha256(b"Rar!" + DATA),
        f"put it at {tmp_path / 'to' / 'ships.rar'}",
    ):
        assert said in missing.stderr
    build = command("build", "ship-forms", "--out", tmp_path / "out", env=env)
    assert build.returncode == 2
    for line in missing.stderr.splitlines()[:3]:
        assert line in build.stderr
    assert "fill in the form, the link comes by mail" in build.stderr
    assert "sar-data fetch ship-forms --to DIR" in build.stderr

    (tmp_path / "to").mkdir(exist_ok=True)
    (tmp_path / "to" / "ships.rar").write_bytes(b"Rar!" + DATA[::-1])
    (tmp_path / "to" / "extra.bin").write_bytes(DATA)
    wrong = command(*args, "--json", env=env)
    assert wrong.returncode == 1
    facts = json.loads(wrong.stdout)
    assert [row["state"] for row in facts["sources"]] == ["failed", "found"]
    assert "expected the published" in facts["sources"][0]["message"]
    assert facts["next"] is None
    (tmp_path / "to" / "ships.rar").write_bytes(b"Rar!" + DATA)
    right = command(*args, env=env)
    assert right.returncode == 0, right.stderr
    assert right.stdout.startswith("sar-data build ship-forms --source ")
    kinds = {name: entry.kind for name, entry in ledger.read(tmp_path / "to").files.items()}
    assert kinds == {"ships.rar": "published", "extra.bin": "observed"}


VARIANTS = """
from dataclasses import replace
OTHER = replace(PIPELINE, spec=replace(PIPELINE.spec, variant="other", sources=(Source(name="b.bin", url="https://b/b.bin"),)))
PIPELINE = replace(PIPELINE, variants={"other": OTHER})
"""


def test_a_variant_has_its_own_sources_and_folder(here: Site, tmp_path: Path) -> None:
    here.answers["/m/b.bin"] = [good(DATA)]
    env = register(tmp_path / "package", "form-sets", 'Source(name="a.bin", url="https://a/a.bin"),')
    with (tmp_path / "package" / "third_party_sets" / "form_sets.py").open("a") as module:
        module.write(VARIANTS)
    made = command("fetch", "form-sets", "--variant", "other", "--mirror", f"{here.url}/m", env=env, cwd=tmp_path)
    folder = tmp_path / "raw" / "form-sets-other"
    assert (made.returncode, made.stdout) == (
        0,
        f"sar-data build form-sets --variant other --source {folder} --out builds\n",
    )
    assert (folder / "b.bin").read_bytes() == DATA
    wrong = command("fetch", "form-sets", "--variant", "otter", env=env, cwd=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "unknown variant of form-sets 'otter'. Did you mean 'other'?" in wrong.stderr


def test_a_variant_of_the_same_files_shares_their_folder() -> None:
    base = catalog.pipeline("bigearthnet-s1-v2").spec
    folders = [folder_of(base, spec) for spec in (base, catalog.pipeline(base.name, "segmentation").spec)]
    assert folders == [Path("raw/bigearthnet-s1-v2")] * 2


def test_a_licence_is_accepted_first(here: Site, tmp_path: Path) -> None:
    here.answers["/m/a.bin"] = [good(DATA)]
    sources = 'Source(name="a.bin", url="https://example.org/a.bin"),'
    env = register(tmp_path / "package", "closed-sets", sources, licence="CC-BY-NC-4.0")
    args = ("fetch", "closed-sets", "--mirror", f"{here.url}/m", "--to", tmp_path / "to")
    refused = command(*args, env=env)
    assert refused.returncode == 2
    assert "comes under CC-BY-NC-4.0" in refused.stderr
    assert "give --accept-licence" in refused.stderr
    assert not here.asked
    assert not (tmp_path / "to").exists()
    assert command(*args, "--accept-licence", env=env).returncode == 0
    assert (tmp_path / "to" / "a.bin").read_bytes() == DATA


@pytest.mark.parametrize(("answered", "code"), [("y\n", 0), ("n\n", 2)])
def test_a_licence_is_asked_for_at_a_terminal(here: Site, tmp_path: Path, answered: str, code: int) -> None:
    here.answers["/m/a.bin"] = [good(DATA)]
    sources = 'Source(name="a.bin", url="https://example.org/a.bin"),'
    env = register(tmp_path / "package", "closed-sets", sources, licence="CC-BY-NC-4.0")
    args = ("fetch", "closed-sets", "--mirror", f"{here.url}/m", "--to", str(tmp_path / "to"))
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [*ENTRY, *args], env=env, stdin=terminal, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        os.write(master, answered.encode())
        assert running.wait(HANG_S) == code
    os.close(master)
    os.close(terminal)
    assert len(here.asked) == (0 if code else 1)


def test_parts_are_fetched_in_parallel_and_may_be_selected(here: Site, tmp_path: Path) -> None:
    parts = {f"s1.tar.gz.parta{letter}": random.Random(letter).randbytes(50_000) for letter in "abcdefghij"}
    meeting = threading.Barrier(2)

    def together(data: bytes) -> Callable[[Handler], None]:
        def turn(self: Handler) -> None:
            meeting.wait(HANG_S)  # which a client that takes one after the other never passes
            good(data)(self)

        return turn

    here.answers = {f"/m/{name}": [together(data)] for name, data in parts.items()}
    sources = [Source(name=name, url=f"{here.url}/m/{name}", checksum=sha256(data)) for name, data in parts.items()]
    outcomes = fetched(sources, tmp_path)
    assert [outcome.state for outcome in outcomes] == ["fetched"] * 10
    assert all((tmp_path / name).read_bytes() == data for name, data in parts.items())
    assert list(ledger.read(tmp_path).files) == sorted(parts)
    env = register(tmp_path / "package", "part-sets", ", ".join(map(repr, sources)))
    some = command("fetch", "part-sets", "--only", "*.parta[ab]", "--json", "--to", tmp_path, env=env)
    assert [row["name"] for row in json.loads(some.stdout)["sources"]] == ["s1.tar.gz.partaa", "s1.tar.gz.partab"]
    none = command("fetch", "part-sets", "--only", "s1.tar.gz.partzz", env=env)
    assert none.returncode == 2
    assert "Did you mean 's1.tar.gz.parta" in none.stderr


def test_a_public_bucket_is_read_without_signing(here: Site, tmp_path: Path) -> None:
    here.answers["/bucket/folder/a.tar.gz"] = [good(b"\x1f\x8b" + DATA)]
    source = Source(name="a.tar.gz", url="s3://bucket/folder/a.tar.gz", checksum=sha256(b"\x1f\x8b" + DATA))
    (outcome,) = fetched([source], tmp_path, s3_endpoint=f"{here.url}/")
    assert outcome.state == "fetched"
    assert "authorization" not in here.asked[0].headers
    with Web() as client:
        assert client.address("s3://bucket/a/b") == "https://bucket.s3.amazonaws.com/a/b"


def test_an_observed_checksum_must_stay_the_same(here: Site, tmp_path: Path) -> None:
    here.answers["/a.bin"] = [good(DATA), good(DATA[::-1])]
    source = Source(name="a.bin", url=f"{here.url}/a.bin")
    (first,) = fetched([source], tmp_path)
    assert first.kind == "observed"
    (tmp_path / "a.bin").unlink()
    (second,) = fetched([source], tmp_path)
    assert second.state == "failed"
    assert f"expected {sha256(DATA)} as at first download" in second.message
    assert not (tmp_path / "a.bin").exists()
    assert ledger.read(tmp_path).files["a.bin"].checksum == sha256(DATA)


def test_the_record_obeys_its_schema_and_keeps_the_first_time(here: Site, tmp_path: Path) -> None:
    here.answers["/a.bin"] = [good(DATA)]
    source = Source(name="a.bin", url=f"{here.url}/a.bin?signature=secret")
    fetched([source], tmp_path)
    with Web() as client:
        fetch([source], tmp_path, web=client, now=lambda: "2031-01-01T00:00:00+00:00")
    document = json.loads((tmp_path / "sources.json").read_text())
    jsonschema.Draft202012Validator(schemas.documents()["sources.schema.json"]).validate(document)
    assert document["files"]["a.bin"] == {
        "url": f"{here.url}/a.bin",
        "bytes": len(DATA),
        "checksum": sha256(DATA),
        "kind": "observed",
        "time": now(),
    }


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"version": 2, "files": {}}', '{"version": 1, "files": {"a": 1}}', '{"files": {}, "files": {}}', "NaN"],
)
def test_an_invalid_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "sources.json").write_text(text)
    with pytest.raises(FetchError, match=r"sources\.json: expected what an earlier fetch wrote"):
        fetched([Source(name="a.bin", url="https://example.org/a")], tmp_path)


def test_a_failing_file_does_not_stop_others(here: Site, tmp_path: Path) -> None:
    here.answers = {"/a": [status(404)], "/b": [good(DATA)], "/c": [status(503)]}
    outcomes = fetched([Source(name=name, url=f"{here.url}/{name}") for name in "abc"], tmp_path)
    assert [(outcome.state, outcome.passing) for outcome in outcomes] == [
        ("failed", False),
        ("fetched", False),
        ("failed", True),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "sources.json"]


def nowhere() -> str:
    """Return the address of a port of this machine at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("url", ["https://[::1/a", "https://a:x/a", "https://me:secret@[/a?k=1"])
def test_an_invalid_address_fails_its_file_only(url: str, tmp_path: Path) -> None:
    (outcome,) = fetched([Source(name="a", url=url, checksum=sha256(DATA))], tmp_path)
    assert outcome.state == "failed"
    assert "expected a valid URL, found another text" in outcome.message
    assert "secret" not in outcome.message
    assert "k=1" not in outcome.message


def test_without_a_network_one_error_says_so_after_the_first_refusals(tmp_path: Path) -> None:
    away = nowhere()
    sources = [Source(name=f"{i}.bin", url=f"{away}/{i}", checksum=sha256(DATA)) for i in range(10)]
    sources += [Source(name="x.bin", url="http://no-such-host.invalid/x", checksum=sha256(DATA))]
    said: list[str] = []
    with pytest.raises(Unreachable, match=r"no connection \(.*\), nor to any other host") as caught:
        fetched(sources, tmp_path, say=said.append)
    assert "This machine is offline, or a proxy is needed: set HTTPS_PROXY" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert len(said) <= 5, "each of four threads, and the second host, tries once more"
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".json"]


def test_a_proxy_that_does_not_answer_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = nowhere()
    monkeypatch.setenv("HTTPS_PROXY", proxy.replace("//", "//me:secret@"))
    with pytest.raises(Unreachable, match=f"offline, or its proxy {proxy} does not answer") as caught:
        fetched([Source(name="a", url="https://example.invalid/a", checksum=sha256(DATA))], tmp_path)
    assert "secret" not in str(caught.value)


def test_an_unreachable_host_stops_nothing_while_another_answers(here: Site, tmp_path: Path) -> None:
    here.answers = {"/b": [good(DATA)]}
    away = Source(name="a", url=f"{nowhere()}/a", checksum=sha256(DATA))
    there = Source(name="b", url=f"{here.url}/b", checksum=sha256(DATA))
    both = Source(name="c", url=f"{nowhere()}/c", mirrors=(f"{here.url}/b",), checksum=sha256(DATA))
    outcomes = fetched([away, there, both], tmp_path)
    assert [outcome.state for outcome in outcomes] == ["failed", "fetched", "fetched"]
    assert outcomes[0].passing


def test_http_alone_needs_a_published_checksum(tmp_path: Path) -> None:
    plain = Source(name="a.bin", url="http://192.0.2.1/a.bin")
    (refused,) = fetched([plain], tmp_path)
    assert refused.state == "failed"
    assert "expected https or a published checksum" in refused.message
    (tmp_path / "a.bin").write_bytes(DATA)  # got from elsewhere, as the message says
    (there,) = fetched([plain], tmp_path)
    assert there.state == "found"


def test_https_never_becomes_http(here: Site, tmp_path: Path) -> None:
    made = web.certificate(tmp_path)
    if made is None:
        pytest.skip("no openssl command to make a certificate with")
    server, client = made
    with web.serving(tls=server) as safe:
        safe.answers = {
            "/good": [cut(DATA, 100_000), good(DATA)],
            "/away": [redirect("http://192.0.2.1/a")],
            "/same": [redirect(f"{here.url}/good")],
        }
        for path, says in {"good": "", "away": "expected to stay with https", "same": "404"}.items():
            source = Source(name=path, url=f"{safe.url}/{path}", checksum=sha256(DATA))
            with Web(patience=HASTE, verify=client) as trusting:
                (outcome,) = fetch([source], tmp_path / "to", web=trusting, now=now)
            assert (outcome.state == "fetched") is not bool(says)
            assert says in outcome.message
        (stranger,) = fetched([Source(name="x", url=f"{safe.url}/good", checksum=sha256(DATA))], tmp_path / "to")
        assert stranger.state == "failed"
        assert not stranger.passing
        assert "CERTIFICATE_VERIFY_FAILED" in stranger.message


@pytest.mark.parametrize("mirror", ["ftp://a/b", "https://u:p@a/b", "https://a/b?key=1", "/a/b"])
def test_a_mirror_is_the_address_of_a_folder(mirror: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected the https, http or s3 address of a folder") as caught:
        fetched([Source(name="a", url="https://example.org/a")], tmp_path, mirror=mirror)
    assert "u:p" not in str(caught.value)
    assert "key" not in str(caught.value)


def test_a_packed_list_is_fetched_as_it_is_and_read(here: Site, small_source: Path, tmp_path: Path) -> None:
    import bz2

    spec = catalog.pipeline("bigearthnet-s1").spec
    (source,) = (source for source in spec.sources if source.file != source.name)
    packed = bz2.compress(b"S2A_MSIL2A_20170613T101031_0_45\n")
    here.answers[f"/{source.file}"] = [good(packed)]
    (outcome,) = fetched([source], tmp_path, mirror=here.url)
    assert outcome.state == "fetched"
    assert ListFinder.beside(tmp_path, tmp_path, Folder.at(tmp_path)).find(source.name) == bz2.decompress(packed)
    (tmp_path / source.file).write_bytes(packed[:-4])
    with pytest.raises(FileNotFoundError, match="expected a whole list"):
        ListFinder.beside(tmp_path, tmp_path, Folder.at(tmp_path)).find(source.name)


def test_a_size_that_no_disk_has_is_refused_before_the_first_byte(here: Site, tmp_path: Path) -> None:
    sources = [Source(name=name, url=f"{here.url}/{name}", size=10**17) for name in "ab"]
    with pytest.raises(TargetError, match=r"needs 200,000,000\.00 GB more, .* GB free"):
        fetched(sources, tmp_path)
    assert not here.asked


def test_a_plan_says_what_is_to_come_and_asks_no_server(here: Site, tmp_path: Path) -> None:
    sources = [
        Source(name="there", url=f"{here.url}/there", size=4),
        Source(name="begun", url=f"{here.url}/begun", size=100),
        Source(name="rounded", url=f"{here.url}/rounded", about=2_000),
        Source(name="secret", url=f"{here.url}/secret"),
        Source(name="shown", url=f"{here.url}/shown", about=7_000, manual="log in"),
    ]
    (tmp_path / "there").write_bytes(b"data")
    (tmp_path / "begun.part").write_bytes(bytes(30))
    plan = plan_sources(sources, tmp_path)
    assert [(file.state, file.size, file.exact, file.left) for file in plan.parts] == [
        ("there", 4, True, 0),
        ("to fetch", 100, True, 70),
        ("to fetch", 2_000, False, 2_000),
        ("to fetch", None, False, None),
        ("by hand", 7_000, False, 7_000),
    ]
    assert (plan.needed_bytes, plan.unknown) == (2_070, ["secret"])
    assert plan.sentence().startswith("files to fetch: 3, of 0.00 GB, and secret of unknown size; ")
    assert not here.asked


@pytest.fixture
def mounted(tmp_path: Path) -> Callable[[str], list[str]]:
    """Run a script in a name space of this user's own, where DISK is a file system of 2 MiB; return its lines."""
    disk = tmp_path / "disk"
    disk.mkdir()
    alone = ["unshare", "-rm", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=2m tmpfs {disk}"
    if shutil.which("unshare") is None or subprocess.run([*alone, mount], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")

    def run(script: str) -> list[str]:
        command = f"{mount} && {script.replace('DISK', str(disk))}"
        done = subprocess.run([*alone, command], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def driver(*sources: Source) -> str:
    wanted = [{"name": source.name, "url": source.url, "checksum": source.checksum} for source in sources]
    return f"{sys.executable} -m tests.download.driver '{json.dumps({'folder': 'DISK', 'sources': wanted})}'"


def test_a_full_disk_gives_an_error_and_the_fetch_resumes(here: Site, mounted: Callable[[str], list[str]]) -> None:
    data = random.Random(3).randbytes(3_000_000)
    here.answers["/a"] = [web.chunked(data, etag=web.etag(data)), good(data)]  # a known size is refused at once
    fetch_it = driver(Source(name="a", url=f"{here.url}/a", checksum=sha256(data)))
    lines = mounted(f"{fetch_it} && mount -o remount,size=8m DISK && {fetch_it} && sha256sum DISK/a")
    first, second = (json.loads(line) for line in lines[:2])
    assert first["error"] == "TargetError"
    assert "/disk/a: disk full, 0.0 MB free" in first["message"]
    assert second["states"] == ["fetched"]
    assert lines[2].startswith(hashlib.sha256(data).hexdigest())
    assert [asked.start > 1_000_000 for asked in here.asked] == [False, True]


def test_the_error_for_files_too_large_together_says_the_needed_space(
    here: Site, mounted: Callable[[str], list[str]]
) -> None:
    data = random.Random(3).randbytes(1_500_000)
    both = threading.Barrier(2)

    def together(self: Handler) -> None:
        both.wait(HANG_S)
        good(data)(self)

    here.answers = {"/a": [together, good(data)], "/b": [together, good(data)]}
    fetch_them = driver(*(Source(name=name, url=f"{here.url}/{name}", checksum=sha256(data)) for name in "ab"))
    lines = mounted(f"{fetch_them} && mount -o remount,size=8m DISK && {fetch_them} && sha256sum DISK/a DISK/b")
    first, second = (json.loads(line) for line in lines[:2])
    assert first["error"] == "TargetError"
    # Either may find the other's bytes there before its own first. Where the last block is the record of a file that
    # came whole, it is a few bytes that are missing.
    told = re.search(r"/disk/[ab]: needs (\d\.\d) MB more, (\d\.\d) MB free|sources.json: disk full", first["message"])
    assert told
    assert told[1] is None or float(told[1]) >= float(told[2])
    assert set(second["states"]) <= {"fetched", "found"}
    assert [line.split()[0] for line in lines[2:]] == [hashlib.sha256(data).hexdigest()] * 2


def test_a_file_that_may_not_grow_is_explained_and_kept(here: Site, tmp_path: Path) -> None:
    here.answers["/a"] = [web.chunked(DATA, etag=web.etag(DATA)), good(DATA)]
    request = {"folder": str(tmp_path), "sources": [{"name": "a", "url": f"{here.url}/a", "checksum": sha256(DATA)}]}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    run = [sys.executable, "-m", "tests.download.driver", json.dumps(request)]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, preexec_fn=limit)
    answered = json.loads(done.stdout)
    assert answered["error"] == "TargetError", done.stderr
    assert "File too large" in answered["message"]
    assert (tmp_path / "a.part").stat().st_size == 100_000
    (outcome,) = fetched([Source(**request["sources"][0])], tmp_path)
    assert outcome.state == "fetched"
    assert here.asked[-1].start == 100_000


def test_of_eight_processes_for_one_file_only_one_fetches(here: Site, tmp_path: Path) -> None:
    told, running = tmp_path / "told", list[subprocess.Popen[str]]()

    def patient(self: Handler) -> None:
        """Answer once all others wait."""
        while told.read_text().count("is fetching it: waiting for it") < 7 and all(
            one.poll() is None for one in running
        ):
            time.sleep(0.02)
        good(DATA)(self)

    here.answers["/a"] = [patient]
    request = {"folder": str(tmp_path / "to"), "sources": [{"name": "a", "url": f"{here.url}/a"}]}
    run = [sys.executable, "-m", "tests.download.driver", json.dumps(request)]
    with told.open("a") as sink:
        for _ in range(8):
            running.append(subprocess.Popen(run, cwd=ROOT, stdout=subprocess.PIPE, stderr=sink, text=True))
    answers = [json.loads(one.communicate(timeout=HANG_S)[0]) for one in running]
    assert sorted(one["states"][0] for one in answers) == ["fetched"] + ["found"] * 7
    assert len(here.asked) == 1
    (pid,) = {line.split()[2] for line in told.read_text().splitlines()}
    assert int(pid) in [one.pid for one in running]
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["a", "sources.json"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_command_keeps_its_bytes_and_resumes(here: Site, tmp_path: Path, number: int, code: int) -> None:
    data = b"PK\x03\x04" + DATA
    sent, go_on = threading.Event(), threading.Event()

    def halting(self: Handler) -> None:
        self.head(200, {"content_length": len(data), "etag": web.etag(data)})
        self.put(data[:200_000])
        self.wfile.flush()
        sent.set()
        go_on.wait(HANG_S)

    here.answers["/m/EuroSAT-SAR.zip"] = [halting, good(data)]
    args = [*ENTRY, "fetch", "eurosat-sar", "--mirror", f"{here.url}/m", "--to", str(tmp_path / "to")]
    running = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    part = tmp_path / "to" / "EuroSAT-SAR.zip.part"
    with running, Watch(tmp_path, mask=MODIFY | CREATE | MOVED_TO) as watch:
        ending = os.pidfd_open(running.pid)
        assert sent.wait(HANG_S)
        events = watch.events(ending, HANG_S)
        while not part.exists() or part.stat().st_size < 200_000:
            next(events)
        running.send_signal(number)
        said = running.communicate(timeout=HANG_S)[1]
        os.close(ending)
    go_on.set()
    assert running.returncode == code
    assert said.splitlines()[-1].endswith("the same command continues from there")
    assert "Traceback" not in said
    assert part.stat().st_size == 200_000
    assert subprocess.run(args, capture_output=True).returncode == 0
    assert here.asked[-1].start == 200_000


def test_progress_of_a_large_response_has_its_size(here: Site, tmp_path: Path) -> None:
    data = random.Random(4).randbytes(5_000_000)
    here.answers["/a"] = [good(data)]
    told: list[tuple[str, int, int | None]] = []
    fetched([Source(name="a", url=f"{here.url}/a")], tmp_path, progress=lambda *step: told.append(step))
    assert told[-1] == ("a", len(data), len(data))
    assert 3 <= len(told) <= 8
    assert [have for _, have, _ in told] == sorted(have for _, have, _ in told)


def test_an_html_page_saved_instead_of_the_file_is_detected(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"<!doctype html><title>Sign in</title>")
    (outcome,) = fetched([Source(name="a.zip", url="https://example.org", manual="log in")], tmp_path)
    assert outcome.state == "failed"
    assert "found an HTML page" in outcome.message


def test_a_manual_folder_is_left_to_the_build(tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    (outcome,) = fetched([Source(name="scenes", url="https://example.org", manual="register")], tmp_path)
    assert outcome.there
    assert outcome.file is None
    check_results([outcome])
    missing = FetchResult(source=outcome.source, state="missing", message="register")
    with pytest.raises(SourceError, match=r"scenes: missing: register \(https://example.org\)"):
        check_results([outcome, missing])


def test_help_names_where_credentials_come_from() -> None:
    text = CliRunner().invoke(main, ["fetch", "--help"]).stdout
    for word in (
        "~/.netrc",
        "SAR_DATA_TOKEN_HOST",
        "SAR_DATA_PASSWORD_HOST",
        "keyring",
        "--accept-licence",
        "--mirror",
    ):
        assert word in text
    fetch = main.get_command(click.Context(main), "fetch")
    assert fetch is not None
    assert "password" not in [option.name for option in fetch.params]
