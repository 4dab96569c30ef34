"""kill -9 at watched file events while a file is fetched: the next process goes on, loses nothing, ends equal."""

from __future__ import annotations

import hashlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from signal import SIGKILL

import pytest

from sar_data.download import ledger
from sar_data.download.fetch import fetch
from sar_data.download.http import Web
from sar_data.spec import Source
from tests.download import site as web
from tests.download.site import BLOCK, Handler, Site
from tests.kill.builders import Command
from tests.kill.evidence import Moment
from tests.kill.watch import CLOSE_WRITE, CREATE, DELETE, MODIFY, MOVED_TO, Watch
from tests.mini.hang import HANG_S

DATA = random.Random(0).randbytes(3_000_000)
NAME = "data.bin"
MANY = 200
# What happens to a path, and how often in one download.
KINDS = {
    "lock": [(CREATE, rf"/{NAME}\.part$", 1), (MOVED_TO, rf"/{NAME}\.part\.json$", 2)],
    "receive": [(MODIFY, rf"/{NAME}\.part$", 24)],
    "publish": [(MOVED_TO, rf"/{NAME}$", 1), (DELETE, rf"/{NAME}\.part\.json$", 1)],
    "record": [
        (CREATE, r"/sources\.json\.\d+\.[0-9a-f]+\.partial$", 1),
        (CLOSE_WRITE, r"/sources\.json\.\d+\.[0-9a-f]+\.partial$", 1),
        (MOVED_TO, r"/sources\.json$", 1),
    ],
}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with web.serving() as running:
        running.answers["/a"] = [piecewise]
        yield running


def begun(self: Handler) -> int:
    """Send the head of an answer that goes on where it was asked to; return where."""
    start = self.asked.start
    part = {"content_range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"} if start else {}
    self.head(206 if start else 200, {"content_length": len(DATA) - start, "etag": web.etag(DATA), **part})
    return start


def piecewise(self: Handler) -> None:
    """Serve the file in blocks that arrive one by one, so that each is a write of its own."""
    for at in range(begun(self), len(DATA), BLOCK):
        self.put(DATA[at : at + BLOCK])
        self.wfile.flush()
        time.sleep(0.002)  # events that nobody has read yet melt into one


def fetcher(folder: Path, source: Source) -> Command:
    one = {"name": source.name, "url": source.url, "checksum": source.checksum}
    return Command(sys.executable, "-m", "tests.download.driver", json.dumps({"folder": str(folder), "sources": [one]}))


def killed(folder: Path, moment: Moment, source: Source) -> int | None:
    """Kill a fetcher at a moment; return the bytes it had kept, None where it ended before."""
    folder.mkdir()
    with Watch(folder, mask=moment.what | CREATE | MOVED_TO) as watch, fetcher(folder, source) as running:
        came = moment.came(watch.events(running.ending, HANG_S))
        running.signal(SIGKILL, alone=False)
        running.wait()
    part = folder / f"{NAME}.part"
    return None if came is None else part.stat().st_size if part.exists() else 0


def resumed(site: Site, folder: Path, kept: int, source: Source) -> None:
    """Fetch again, in this process; check that it goes on from the kept bytes and ends equal."""
    target, before = folder / NAME, len(site.asked)
    there = target.exists()
    with Web() as client:
        (outcome,) = fetch([source], folder, web=client, now=lambda: "2026-11-02T00:00:00+00:00")
    assert outcome.state == ("found" if there else "fetched"), outcome
    assert target.read_bytes() == DATA
    assert sorted(path.name for path in folder.iterdir()) == [NAME, ledger.NAME]
    entry = ledger.read(folder).files[NAME]
    assert outcome.file
    assert entry.checksum == outcome.file.checksum
    asked = site.asked[before:]
    if there or kept == len(DATA):
        assert not asked
    else:
        (request,) = asked
        assert request.start == kept  # nothing that was kept is sent again


def rounds(site: Site, root: Path, count: int) -> Counter[str]:
    hits: Counter[str] = Counter()
    sha256 = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
    checksums = cycle([sha256, None, f"md5:{hashlib.md5(DATA).hexdigest()}"])
    stages = cycle(["receive", "publish", "receive", "record", "receive", "lock"])
    for turn in range(count):
        stage = next(stages)
        what, path, most = KINDS[stage][turn // 6 % len(KINDS[stage])]
        moment = Moment(what, path, 1 + int(turn * 0.618034 % 1 * most))
        source = Source(name=NAME, url=f"{site.url}/a", checksum=next(checksums))
        folder = root / str(turn)
        kept = killed(folder, moment, source)
        hits[stage if kept is not None else "too late"] += 1
        resumed(site, folder, kept or 0, source)
    return hits


def test_a_killed_fetcher_is_resumed(site: Site, tmp_path: Path) -> None:
    hits = rounds(site, tmp_path, 6)
    assert hits["receive"], hits


@pytest.mark.kill
def test_a_fetcher_killed_many_times_in_every_stage_is_resumed(site: Site, tmp_path: Path) -> None:
    hits = rounds(site, tmp_path, MANY)
    print(f"fetch: {sum(hits.values())} kills, all gone on from, byte-equal; hit {dict(hits)}")
    assert min(hits[stage] for stage in KINDS) >= 20


def test_one_file_killed_again_and_again_still_ends_equal(site: Site, tmp_path: Path) -> None:
    step = 5 * BLOCK

    def halting(self: Handler) -> None:
        """Send some blocks, then wait until the client is gone."""
        start = begun(self)
        self.put(DATA[start : start + step])
        self.rfile.read(1)

    site.answers["/halting"] = [*[halting] * 4, web.good(DATA)]
    source = Source(name=NAME, url=f"{site.url}/halting", checksum=f"md5:{hashlib.md5(DATA).hexdigest()}")
    part = tmp_path / f"{NAME}.part"
    for turn in range(1, 5):
        with Watch(tmp_path, mask=MODIFY | CREATE) as watch, fetcher(tmp_path, source) as running:
            events = watch.events(running.ending, HANG_S)
            while not part.exists() or part.stat().st_size < turn * step:
                next(events)
            running.signal(SIGKILL, alone=False)
            running.wait()
        assert part.stat().st_size == turn * step
    resumed(site, tmp_path, 4 * step, source)
    assert site.sent["/halting"] == len(DATA)
