"""kill -9 at watched file events, in every stage: nothing half-made is seen, and the same command goes on."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, cycle
from pathlib import Path
from shutil import rmtree
from signal import SIGINT, SIGKILL, SIGTERM

import pytest

from sar_data.runners import AHEAD
from tests.kill.builders import Builder, Command
from tests.kill.evidence import SHARD, Evidence, Ledger, Moment
from tests.kill.rig import DATASET, PATCHES, VARIANTS, WORKERS, Rig
from tests.kill.watch import CLOSE_WRITE, CREATE, DELETE, MODIFY, MOVED_TO, OPEN, Watch
from tests.mini.hang import HANG_S

pytestmark = pytest.mark.kill

WANTED = 34  # hits of each of six stages: 204 in all
ATTEMPTS = 3 * WANTED


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("kill"))
    yield rig
    rig.close()


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    return Ledger()


Kind = tuple[int, str, int]
"""What happens to a path, and how often in one build."""

OWN = r"\.\d+\.[0-9a-f]+\.partial$"
PROOF = r"/proofs/\w+-\d+\.arrow"
FILE = r"/(?:image/c/\d+/0/0/0|\d{6}\.tar)"
SPOOL = r"/spool/\w+/\d{6}"


def scan_kinds(variant: str, shards: int) -> list[Kind]:
    labels = OPEN, r"_labels_metadata\.json$", PATCHES
    folder = CREATE, r"\.building$", 1
    owner = CREATE, r"/owner\.json" + OWN, 1
    table = CREATE, r"/scan\.parquet" + OWN, 1
    return [labels, labels, folder, labels, owner, labels, table]


def pack_kinds(variant: str, shards: int) -> list[Kind]:
    last = shards - 1
    if variant == "lmdb":
        pages = MODIFY, r"/data\.mdb$", 3 * last
        proof = MOVED_TO, PROOF + "$", last
        pending = MOVED_TO, r"/proofs/\w+-\d+\.pending$", last
        begun, grown = (CREATE, SPOOL + OWN, last), (MODIFY, SPOOL + OWN, 4 * last)
        return [begun, pages, grown, (MOVED_TO, SPOOL + "$", last), pending, pages, proof, (DELETE, SPOOL, last)]
    begun, grown = (CREATE, FILE + OWN, last), (MODIFY, FILE + OWN, 4 * last)
    shard = [begun, grown, (CLOSE_WRITE, FILE, last), (MOVED_TO, FILE + "$", last)]
    return [*shard, (CREATE, PROOF + OWN, last), (CLOSE_WRITE, PROOF, last), (MOVED_TO, PROOF + "$", last)]


def seal_kinds(variant: str, shards: int) -> list[Kind]:
    kinds: list[Kind] = []
    if variant.startswith("zarr"):
        kinds = [(CREATE, r"/(key|valid)/c/[^/]*partial$", 6), (MOVED_TO, r"/(key|valid)/c/0$", 6)]
    if variant != "lmdb":
        kinds += [(OPEN, FILE + "$", shards), (OPEN, FILE + "$", shards)]
    kinds += [(what, r"/index\.parquet", 1) for what in (CREATE, CLOSE_WRITE, MOVED_TO)]
    kinds += [(what, r"/SHA256SUMS", 1) for what in (CREATE, MODIFY, MOVED_TO)]
    return [*kinds, (CREATE, r"/manifest\.json" + OWN, 1), (MODIFY, r"/manifest\.json" + OWN, 1)]


def rename_kinds(variant: str, shards: int) -> list[Kind]:
    before = [(CLOSE_WRITE, r"/manifest\.json", 1), (MOVED_TO, r"/manifest\.json$", 1)]
    return [*before, (MOVED_TO, r"/(zarr|webdataset|lmdb)-[0-9a-f]{8}$", 1), (DELETE, r"\.building/", 8)]


def spread(kinds: Sequence[Kind]) -> Iterator[Moment]:
    """Take the kinds in turn, for ever, and their events in golden-ratio steps, which fill a build evenly."""
    for turn in count():
        for what, path, most in kinds:
            yield Moment(what, path, 1 + int(turn * 0.618034 % 1 * most))


def hit(rig: Rig, ledger: Ledger, stage: str, variants: Sequence[str], kinds: Callable[[str, int], list[Kind]]) -> None:
    """Kill at one moment after the other until the evidence shows WANTED hits of the stage."""
    moments = {variant: spread(kinds(variant, rig.known[variant].shards)) for variant in variants}
    hits, crews = 0, cycle((WORKERS, WORKERS, 1) if stage == "pack" else (WORKERS, 1, 1))
    workers = next(crews)
    for trial, variant in zip(range(ATTEMPTS), cycle(variants), strict=False):
        following = next(crews)
        with rig.builder(workers, after=following) as builder:
            hits += killed(rig, ledger, builder, variant, next(moments[variant]), stage, trial)
        workers = following
        if hits == WANTED:
            return
    pytest.fail(f"{stage} {variants}: {hits} hits in {ATTEMPTS} attempts\n{ledger.table()}")


def killed(rig: Rig, ledger: Ledger, builder: Builder, variant: str, moment: Moment, aim: str, trial: int) -> bool:
    """Kill a builder, with its workers or (every other time) alone; say whether the stage aimed at was hit."""
    out, alone, at_once = rig.folder(), trial % 2 == 1, trial % 4 == 1
    roots = (out, rig.source) if aim == "scan" else (out,)
    with Watch(*roots, mask=moment.what | CREATE | MOVED_TO) as watch:
        builder.start(source=rig.source, out=out, options=rig.options(variant))
        came = moment.came(watch.events(builder.ending, HANG_S))
        builder.signal(SIGKILL, alone=alone)
    since = time.monotonic()
    builder.wait()
    evidence = Evidence.of(rig.home(out), rig.known[variant])
    rig.check_left(out, variant)
    if not at_once:  # else what is left of the workers meets the next builder
        ledger.orphan_s = max(ledger.orphan_s, builder.gone(since))
    rig.resume(out, variant, evidence, apart=trial % 5 == 0, alone=alone)
    builder.gone(time.monotonic())
    rmtree(out)
    ledger.aimed[aim] += 1
    if came is None or evidence.stage == "done":
        ledger.missed[aim] += 1
        return False
    ledger.hits[evidence.stage, variant] += 1
    ledger.sealed += evidence.sealed
    ledger.redone[variant] = max(ledger.redone[variant], len(evidence.begun))
    assert evidence.sealed or len(evidence.begun) <= builder.workers * (AHEAD if variant == "lmdb" else 1)
    return evidence.stage == aim


def test_a_build_killed_while_it_scans_goes_on(rig: Rig, ledger: Ledger) -> None:
    hit(rig, ledger, "scan", list(VARIANTS), scan_kinds)


@pytest.mark.parametrize("variant", ["lmdb", "webdataset", "zarr"])
def test_a_build_killed_while_it_packs_goes_on(rig: Rig, ledger: Ledger, variant: str) -> None:
    hit(rig, ledger, "pack", [variant], pack_kinds)


def test_a_build_killed_while_it_seals_goes_on(rig: Rig, ledger: Ledger) -> None:
    hit(rig, ledger, "seal", list(VARIANTS), seal_kinds)


def test_a_build_killed_before_or_after_its_folder_is_renamed_goes_on(rig: Rig, ledger: Ledger) -> None:
    hit(rig, ledger, "rename", list(VARIANTS), rename_kinds)


def test_a_build_that_loses_one_worker_names_the_shard_and_goes_on(rig: Rig, ledger: Ledger) -> None:
    for trial, variant in enumerate(("zarr", "lmdb", "webdataset", "zarr", "lmdb")):
        out = rig.folder()
        begun = SPOOL + OWN if variant == "lmdb" else FILE + OWN
        moment = Moment(CREATE, begun, 1 + 2 * trial)
        with rig.builder(WORKERS, after=WORKERS) as builder, Watch(out, mask=CREATE | MOVED_TO) as watch:
            builder.start(source=rig.source, out=out, options=rig.options(variant))
            came = moment.came(watch.events(builder.ending, HANG_S))
            assert came is not None
            held = SHARD.search(came.path)
            assert held is not None
            os.kill(int(held[3]), SIGKILL)
            answer = builder.answer()
            builder.wait()
            assert answer["error"] == "WorkerDied"
            assert f"worked on {held[1]}/{held[2].zfill(6)} " in answer["message"]
            evidence = Evidence.of(rig.home(out), rig.known[variant])
            assert evidence.stage == "pack"
            rig.check_left(out, variant)
            rig.resume(out, variant, evidence)
            builder.gone(time.monotonic())
        rmtree(out)
    ledger.others.append("one worker killed 5 times: 5 named the shard and were resumed equal")


def test_a_command_that_is_stopped_ends_soon_and_goes_on(rig: Rig, ledger: Ledger) -> None:
    slowest = 0.0
    kinds = {name: spread(pack_kinds(name, rig.known[name].shards)) for name in ("zarr", "lmdb", "webdataset")}
    for trial, variant in zip(range(10), cycle(kinds), strict=False):
        out, number = rig.folder(), (SIGTERM, SIGINT)[trial % 2]
        moment, options = next(kinds[variant]), rig.options(variant)
        command = [str(Path(sys.executable).with_name("sar-data")), "build", DATASET]
        command += ["--source", str(rig.source), "--out", str(out), "--workers", str(WORKERS)]
        for name in ("format", "split", "shard_length"):
            command += [f"--{name.replace('_', '-')}", str(options[name])]
        with Command(*command) as stopped, Watch(out, mask=moment.what | CREATE | MOVED_TO) as watch:
            assert moment.came(watch.events(stopped.ending, HANG_S))
            # A terminal sends SIGINT to the whole group, `kill` sends SIGTERM to the one process.
            stopped.signal(number, alone=number == SIGTERM)
            since = time.monotonic()
            code = stopped.wait()
            slowest = max(slowest, stopped.gone(since))
            said, explained = stopped.end()
            evidence = Evidence.of(rig.home(out), rig.known[variant])
            rig.check_left(out, variant)
            if evidence.stage != "done":
                assert (code, said) == (128 + number, "")
                assert "Traceback" not in explained
                assert "stopped" in explained
            rig.resume(out, variant, evidence)
        rmtree(out)
    ledger.others.append(f"stopped by SIGTERM or SIGINT 10 times: ended within {slowest:.2f} s, resumed equal")


def test_every_stage_was_hit(ledger: Ledger) -> None:
    print("\n" + ledger.table())
    for stage in ("scan", "seal", "rename"):
        assert sum(ledger.hits[stage, variant] for variant in VARIANTS) >= WANTED
    for variant in ("lmdb", "webdataset", "zarr"):
        assert ledger.hits["pack", variant] >= WANTED
    # A rename is hit before it and after it.
    assert 3 <= ledger.sealed <= ledger.hits.total() - 3
