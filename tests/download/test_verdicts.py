"""What becomes of a download under each behaviour of a server: one table, real servers, one verdict each."""

from __future__ import annotations

import gzip
import hashlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from sar_data.download import transfer
from sar_data.download.http import Web
from sar_data.download.retry import Patience
from sar_data.download.target import Target
from sar_data.download.transfer import download
from sar_data.errors import FetchError, TargetError, Unreachable
from tests.download import site as web
from tests.download.site import Site, Turn, answer, chunked, cut, good, raw, redirect, status
from tests.mini.hang import HANG_S

DATA = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
MD5 = f"md5:{hashlib.md5(DATA).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
PAGE = b"<!DOCTYPE html><html><title>Sign in</title>" + b" " * 400
HASTE = Patience(attempts=4, first_s=0.001, most_s=0.002, connect_s=HANG_S, read_s=HANG_S)
STALL = replace(HASTE, read_s=1.0)
MIB = 1 << 20


@pytest.fixture
def here() -> Iterator[Site]:
    with web.serving() as site:
        yield site


@dataclass
class Case:
    """Behaviours of the addresses /a and /b, and the verdict: a file, or an error that says so.

    `asked` is how many requests of /a there are, `resent` how many bytes were sent more than once at most.
    """

    a: list[Turn]
    verdict: type[Exception] | None = None
    says: str = ""
    b: list[Turn] = field(default_factory=list)
    name: str = "data.bin"
    data: bytes = DATA
    checksum: str | None = SHA256
    size: int | None = None
    asked: int | None = None
    resent: int = 0
    patience: Patience = HASTE


def range_answer(start: int, total: int, body: bytes, **headers: Any) -> Turn:
    return answer(206, body, content_range=f"bytes {start}-{start + len(body) - 1}/{total}", **headers)


def stalled(data: bytes, size: int) -> Turn:
    """Send some of a file, then nothing for longer than a reader waits."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: %s\r\n\r\n" % (len(data), web.etag(data).encode())
    return raw(head, data[:size], after=lambda: time.sleep(2 * STALL.read_s))


def dripping(data: bytes) -> Turn:
    """Send a file in small pieces with pauses."""

    def turn(self: web.Handler) -> None:
        self.head(200, {"content_length": len(data)})
        for at in range(0, len(data), 30_000):
            self.put(data[at : at + 30_000])
            self.wfile.flush()
            time.sleep(0.02)

    return turn


def trickling(data: bytes, every_s: float = 0.02) -> Turn:
    """Send a file byte by byte, from where it is asked for."""

    def turn(self: web.Handler) -> None:
        start = self.asked.start
        part = {"content_range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        self.head(206 if start else 200, {"content_length": len(data) - start, "etag": web.etag(data), **part})
        for at in range(start, len(data)):
            self.put(data[at : at + 1])
            self.wfile.flush()
            time.sleep(every_s)

    return turn


CUT = cut(DATA, 100_000)
GZ = gzip.compress(b"a list", mtime=0)
CASES: dict[str, Case] = {
    "the right bytes": Case([good(DATA)], asked=1),
    "the right md5": Case([good(DATA)], checksum=MD5, asked=1),
    "nothing published, seen for the first time": Case([good(DATA)], checksum=None, asked=1),
    "another file": Case([good(OTHER)], FetchError, f"expected the published {SHA256}, found sha256:", asked=1),
    "a file of another size than published": Case(
        [good(DATA)], FetchError, "expected 7 bytes as published, the server offers 300,000", size=7, asked=1
    ),
    "a length that is too long": Case([answer(200, DATA[:1000], content_length=300_000), good(DATA)], resent=1000),
    "a length too long for ever": Case([answer(200, DATA, content_length=300_001)], Unreachable, "peer closed"),
    "a length that is too short": Case([answer(200, DATA, content_length=1000)], FetchError, "found sha256:", asked=1),
    "a negative length": Case([answer(200, DATA, content_length=-1)], Unreachable, "attempt 4"),
    "a length larger than any disk": Case([answer(200, DATA, content_length=10**18)], TargetError, "MB free", asked=1),
    "an empty answer": Case([answer(200, b""), good(DATA)], asked=2),
    "an early close": Case([CUT, good(DATA)], asked=2),
    "a close every 20 kB": Case([cut(DATA, 20_000)], asked=15),
    "a close before the first byte, for ever": Case([cut(DATA, 0)], Unreachable, "attempt 4", asked=4),
    "no answer": Case([raw(), good(DATA)], asked=2),
    "an answer that is not HTTP": Case([raw(b"SSH-2.0-OpenSSH_9.2\r\n")], Unreachable, "attempt 4", asked=4),
    "a stall": Case([stalled(DATA, 100_000), good(DATA)], asked=2, patience=STALL),
    "a stall for ever": Case([stalled(DATA, 0)], Unreachable, "timed out", asked=4, patience=STALL),
    "a slow answer": Case([dripping(DATA)], asked=1),
    "a 206 that begins elsewhere": Case([CUT, range_answer(0, 300_000, DATA), good(DATA)], asked=3, resent=MIB),
    "a 206 without a range": Case([CUT, answer(206, DATA[100_000:]), good(DATA)], asked=3, resent=MIB),
    "a 206 that nobody asked for": Case([range_answer(0, 300_000, DATA), good(DATA)], asked=2, resent=MIB),
    "a 206 of another length": Case([CUT, range_answer(100_000, 400_000, OTHER), good(DATA)], asked=3, resent=MIB),
    "a 206 in parts": Case([CUT, range_answer(100_000, 300_000, DATA[100_000:150_000]), good(DATA)], asked=3),
    "a 206 of another file": Case([CUT, range_answer(100_000, 300_000, OTHER[100_000:]), good(DATA)], resent=MIB),
    "ranges ignored": Case([CUT, good(DATA, ranges=False)], asked=2, resent=100_000),
    "ranges ignored, and cut for ever": Case([cut(DATA, 100_000, ranges=False)], Unreachable, "attempt 4", resent=MIB),
    "a file that changes between its parts": Case([cut(OTHER, 100_000), good(DATA)], asked=2, resent=MIB),
    "a file that changes, unpublished": Case([cut(OTHER, 100_000), good(DATA)], checksum=None, asked=2, resent=MIB),
    "a change that the server overlooks": Case(
        [CUT, range_answer(100_000, 300_000, OTHER[100_000:], etag='"other"'), good(DATA)],
        checksum=None,
        asked=3,
        resent=MIB,
    ),
    "a weak tag": Case([cut(DATA, 100_000, tag='W/"1"'), good(DATA)], checksum=None, asked=2, resent=100_000),
    "a weak tag and a checksum": Case([cut(DATA, 100_000, tag='W/"1"'), good(DATA)], asked=2),
    "only a date": Case(
        [
            cut(DATA, 100_000, tag="", last_modified="Mon, 02 Nov 2026 00:00:00 GMT"),
            good(DATA, tag="Mon, 02 Nov 2026 00:00:00 GMT"),
        ],
        checksum=None,
        asked=2,
    ),
    "a 416 though there is more": Case([CUT, status(416), good(DATA)], asked=3, resent=100_000),
    "a 416 since there is no more": Case([chunked(DATA, whole=False), good(DATA)], asked=2),
    "a 429 that says how long": Case([status(429, retry_after=0), good(DATA)], asked=2),
    "a 429 that says until when": Case([status(429, retry_after=formatdate(usegmt=True)), good(DATA)], asked=2),
    "a 429 for a day": Case([status(429, retry_after=86_400)], Unreachable, "asks to wait 86400 s", asked=1),
    "a burst of 503": Case([status(503), status(502), status(500), good(DATA)], asked=4),
    "a 503 for ever": Case([status(503)], Unreachable, "status 503", asked=4),
    "a 503 for ever, and a mirror": Case([status(503)], b=[good(DATA)], asked=4),
    "a 503 for ever, after a part, and a mirror": Case([CUT, status(503)], b=[good(DATA)], asked=4),
    "a part, and a mirror of another size": Case(
        [CUT, status(503), status(503), status(503), good(DATA)],
        FetchError,
        "expected 300,000 bytes as at first",
        b=[good(DATA + b"x")],
    ),
    "a tag that cannot be sent back": Case([cut(DATA, 100_000, tag='"\xe9"'), good(DATA)], asked=2),
    "a range of very many digits": Case(
        [CUT, answer(206, b"", content_range=f"bytes 100000-{'9' * 5000}/{'9' * 5000}"), good(DATA)], resent=100_000
    ),
    "a 429 that says nonsense": Case([status(429, retry_after="\xb2"), status(429, retry_after="soon"), good(DATA)]),
    "a 404": Case([status(404)], FetchError, "status 404 Not Found", asked=1),
    "a 404 and a mirror": Case([status(404)], b=[good(DATA)], asked=1),
    "two mirrors of another file": Case([good(OTHER)], FetchError, "; ", b=[good(OTHER)], asked=1),
    "a status nobody expects": Case([status(204, b"")], FetchError, "status 204", asked=1),
    "redirects": Case([redirect("/a", 301), redirect("/a", 307), redirect("/a", 308), good(DATA)], asked=4),
    "a redirect to the file": Case([redirect("/b")], b=[good(DATA)], asked=1),
    "a redirect loop": Case([redirect("/a")], FetchError, "more than 10 redirects", asked=11),
    "a redirect into the clear": Case([redirect("http://192.0.2.1/a")], FetchError, "stay with https", asked=1),
    "a redirect to a file of this machine": Case([redirect("file:///etc/passwd")], FetchError, "found file", asked=1),
    "a redirect to ftp": Case([redirect("ftp://127.0.0.1/a")], FetchError, "found ftp", asked=1),
    "a redirect with a password": Case([redirect("http://u:p@127.0.0.1/a")], FetchError, "no user or", asked=1),
    "a redirect to nowhere": Case([redirect("http://127.0.0.1:port/a")], Unreachable, "Invalid URL", asked=4),
    "a login page": Case([answer(200, PAGE, content_type="text/html")], FetchError, "found an HTML page", asked=1),
    "a login page in disguise": Case([answer(200, PAGE)], FetchError, "found an HTML page", checksum=None, asked=1),
    "an archive that is none": Case(
        [good(DATA)], FetchError, "expected a .zip file, found one that begins", name="a.zip", checksum=None, asked=1
    ),
    "an encoded body": Case(
        [answer(200, gzip.compress(DATA), content_encoding="gzip")], FetchError, "encoded as gzip", asked=1
    ),
    "a .gz labelled as encoded": Case(
        [good(GZ, content_encoding="gzip")], name="a.csv.gz", data=GZ, checksum=None, asked=1
    ),
    "chunks": Case([chunked(DATA)], asked=1),
    "chunks, unpublished": Case([chunked(DATA)], checksum=None, asked=1),
    "chunks without an end": Case([chunked(DATA[:200_000], whole=False), good(DATA)], asked=2),
    "chunks without an end, unpublished": Case(
        [chunked(DATA[:200_000], whole=False), good(DATA)], checksum=None, asked=2, resent=MIB
    ),
    "chunks for ever": Case([chunked(DATA, times=99)], FetchError, "at most 300,000 bytes", size=300_000, asked=1),
    "chunks for ever, of unknown size": Case([chunked(DATA, times=99)], FetchError, "goes on sending", asked=1),
    "an end that is only a close": Case([raw(b"HTTP/1.0 200 OK\r\n\r\n", DATA)], asked=1),
    "an end that is only a close, unpublished": Case(
        [raw(b"HTTP/1.0 200 OK\r\n\r\n", DATA)], FetchError, "would be a guess", checksum=None, asked=1
    ),
    "a login that nobody has": Case([status(401)], FetchError, "it needs a login", asked=2),
    "a file that nobody may have": Case([status(403)], FetchError, "status 403", asked=2),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_behaviour_has_its_verdict(
    case: Case, here: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "UNSIZED_BYTES", 1_000_000)
    here.answers = {"/a": case.a, "/b": case.b}
    urls = [f"{here.url}/a"] + ([f"{here.url}/b"] if case.b else [])
    wanted = Target(name=case.name, urls=tuple(urls), checksum=case.checksum, size=case.size)
    with Web(patience=case.patience) as client:
        if case.verdict is None:
            got = download(wanted, tmp_path, web=client)
            assert got.path.read_bytes() == case.data
            assert got.checksum == case.checksum or got.checksum == f"sha256:{hashlib.sha256(case.data).hexdigest()}"
            assert sum(here.sent.values()) - len(case.data) <= case.resent
            assert list(tmp_path.iterdir()) == [got.path]
        else:
            with pytest.raises(case.verdict) as caught:
                download(wanted, tmp_path, web=client)
            assert type(caught.value) is case.verdict
            assert case.says in str(caught.value)
            assert not (tmp_path / case.name).exists()
    if case.asked is not None:
        assert len(here.of("/a")) == case.asked


PACE = Patience(attempts=3, first_s=0.001, most_s=0.002, connect_s=5.0, read_s=5.0, least_bytes_s=1000.0, over_s=0.2)


def test_a_slow_response_is_a_stall_and_is_resumed(here: Site, tmp_path: Path) -> None:
    here.answers = {"/a": [trickling(DATA), good(DATA)]}
    said: list[str] = []
    with Web(patience=PACE) as client:
        got = download(
            Target(name="a", urls=(f"{here.url}/a",), checksum=SHA256), tmp_path, web=client, say=said.append
        )
    assert got.path.read_bytes() == DATA
    assert here.of("/a")[1].start > 0
    (line,) = said
    assert "/a: stalled: expected 1,000 bytes a second or more over 0 s, found " in line
    assert f"from byte {here.of('/a')[1].start:,}" in line


def test_a_server_that_is_always_too_slow_fails(here: Site, tmp_path: Path) -> None:
    here.answers = {"/a": [trickling(DATA)]}
    with Web(patience=PACE) as client, pytest.raises(Unreachable, match=r"stalled: .*, attempt 3\. Received"):
        download(Target(name="a", urls=(f"{here.url}/a",), checksum=SHA256), tmp_path, web=client)
    starts = [asked.start for asked in here.of("/a")]
    assert len(starts) == 3
    assert 0 == starts[0] < starts[1] < starts[2]
    assert DATA.startswith((tmp_path / "a.part").read_bytes())


def test_the_lowest_speed_is_a_mean_over_a_minute() -> None:
    assert (Patience().least_bytes_s, Patience().over_s) == (1000.0, 60.0)


def test_a_wrong_file_is_kept_under_another_name_and_not_used(here: Site, tmp_path: Path) -> None:
    """The first is replaced by the second; the file that is right is fetched anew beside it."""
    third = random.Random(2).randbytes(300_000)
    here.answers = {"/a": [good(OTHER), good(third), good(DATA)]}
    wanted = Target(name="a.bin", urls=(f"{here.url}/a",), checksum=SHA256)
    aside = tmp_path / "a.bin.rejected"
    with Web(patience=HASTE) as client:
        for data in (OTHER, third):
            with pytest.raises(
                FetchError, match=r"found sha256:\w+\. The received file is kept as .*/a\.bin\.rejected"
            ):
                download(wanted, tmp_path, web=client)
            assert list(tmp_path.iterdir()) == [aside]
            assert aside.read_bytes() == data
        assert download(wanted, tmp_path, web=client).path.read_bytes() == DATA
    assert aside.read_bytes() == third
    assert [asked.start for asked in here.of("/a")] == [0, 0, 0]


def test_a_mirror_is_tried_after_a_wrong_file(here: Site, tmp_path: Path) -> None:
    here.answers = {"/a": [good(OTHER)], "/b": [cut(DATA, 100_000), good(DATA)]}
    wanted = Target(name="a.bin", urls=(f"{here.url}/a", f"{here.url}/b"), checksum=SHA256)
    with Web(patience=HASTE) as client:
        assert download(wanted, tmp_path, web=client).path.read_bytes() == DATA
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "a.bin.rejected"]
    assert (tmp_path / "a.bin.rejected").read_bytes() == OTHER


def test_a_part_survives_a_mirror_of_another_file(here: Site, tmp_path: Path) -> None:
    here.answers = {"/a": [CUT, status(503)], "/b": [good(OTHER + b"x")]}
    wanted = Target(name="a", urls=(f"{here.url}/a", f"{here.url}/b"), checksum=SHA256)
    with Web(patience=HASTE) as client:
        with pytest.raises(FetchError):
            download(wanted, tmp_path, web=client)
        assert (tmp_path / "a.part").read_bytes() == DATA[:100_000]
        here.answers["/a"] = [good(DATA)]
        assert download(wanted, tmp_path, web=client).path.read_bytes() == DATA
    assert here.of("/a")[-1].start == 100_000


def test_any_response_gives_the_right_file_or_an_error(here: Site, tmp_path: Path) -> None:
    """Answers with bytes of their heads and lengths changed at random, to fresh and to resumed requests."""
    draw = random.Random(7)
    heads = [
        b'HTTP/1.1 200 OK\r\nContent-Length: 300000\r\nETag: "1"\r\nContent-Type: a/b\r\n\r\n',
        b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 100000-299999/300000\r\nContent-Length: 200000\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 429 Slow\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 416 Range\r\nContent-Range: bytes */300000\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nLast-Modified: Mon, 02 Nov 2026 00:00:00 GMT\r\n\r\n",
    ]
    quick = Patience(attempts=3, first_s=0.0001, most_s=0.0001, max_requested_s=0.01, connect_s=HANG_S, read_s=0.5)
    explained: list[str] = []
    for turn in range(80):
        head = bytearray(draw.choice(heads))
        for _ in range(draw.randrange(1, 4)):
            head[draw.randrange(9, len(head))] = draw.choice(b'\x00\r\n \x80\xff0-9:,;/*"W' + bytes(range(256)))
        body = DATA[100_000:] if b"206" in head[:16] else b"%x\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA)
        here.answers = {"/a": [CUT, raw(bytes(head), body)], "/b": [good(DATA)]}
        here.turns.clear()
        wanted = Target(name="a", urls=(f"{here.url}/a",), checksum=SHA256)
        with Web(patience=quick) as client:
            try:
                assert download(wanted, tmp_path / str(turn), web=client).path.read_bytes() == DATA
            except (FetchError, TargetError) as error:
                explained.append(str(error))
    assert 10 < len(explained) < 80
    assert all(here.url in text or "MB free" in text for text in explained)
