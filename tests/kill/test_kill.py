"""kill -9 at watched file events, in every stage: nothing half-made is seen, and the same command goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import count

import pytest

from sar_data.runners import AHEAD
from tests.kill.rig import PATCHES, QUIET_S, VARIANTS, WORKERS, Evidence, Ledger, Moment, Rig, gone, remove
from tests.kill.watch import CLOSE_WRITE, CREATE, DELETE, MODIFY, MOVED_TO, OPEN, Watch

pytestmark = pytest.mark.kill

WANTED = int(__import__('os').environ.get('W','34'))  # hits of each of six stages: 204 in all
ATTEMPTS = 3 * WANTED


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("kill"))
    yield rig
    rig.close()


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    return Ledger()


def spread(kinds: Sequence[tuple[int, str, int]]) -> Iterator[Moment]:
    """Take the kinds in turn, for ever; each has a most `n`, which its moments fill evenly (golden-ratio steps)."""
    for turn in count():
        for what, path, most in kinds:
            yield Moment(what, path, 1 + int(turn * 0.618034 % 1 * most))


SHARDS = 12  # of 13, or of 6 in zarr-zstd: a moment that does not come is no kill
SCAN = [
    (OPEN, r"_labels_metadata\.json$", PATCHES),
    (OPEN, r"_labels_metadata\.json$", PATCHES),
    (OPEN, r"_labels_metadata\.json$", PATCHES),
    (CREATE, r"\.building$", 1),
    (OPEN, r"_labels_metadata\.json$", PATCHES),
    (CREATE, r"\.building/owner\.json\.\d+\.partial$", 1),
    (CREATE, r"\.building/scan\.parquet\.\d+\.partial$", 1),
]
PROOF = r"/proofs/\w+-\d+\.arrow"
INTO_FILES = r"(?:/image/c/\d+/0/0/0|/\d{6}\.tar)"
PACK = {
    "files": [
        (CREATE, INTO_FILES + r"\.\d+\.partial$", SHARDS),
        (MODIFY, INTO_FILES + r"\.\d+\.partial$", 4 * SHARDS),
        (CLOSE_WRITE, INTO_FILES, SHARDS),
        (MOVED_TO, INTO_FILES + "$", SHARDS),
        (CREATE, PROOF + r"\.\d+\.partial$", SHARDS),
        (CLOSE_WRITE, PROOF, SHARDS),
        (MOVED_TO, PROOF + "$", SHARDS),
    ],
    "lmdb": [
        (CREATE, r"/spool/\w+/\d{6}\.\d+\.partial$", SHARDS),
        (MODIFY, r"/spool/\w+/\d{6}\.\d+\.partial$", 4 * SHARDS),
        (MOVED_TO, r"/spool/\w+/\d{6}$", SHARDS),
        (MOVED_TO, r"/proofs/\w+-\d+\.pending$", SHARDS),
        (MODIFY, r"/data\.mdb$", 3 * SHARDS),
        (MODIFY, r"/data\.mdb$", 3 * SHARDS),
        (MOVED_TO, PROOF + "$", SHARDS),
        (DELETE, r"/spool/\w+/\d{6}$", SHARDS),
    ],
}
SEAL = [
    (CREATE, r"/(key|valid)/c/[^/]*partial$", 6),
    (CREATE, r"/index\.parquet\.\d+\.partial$", 1),
    (CLOSE_WRITE, r"/index\.parquet", 1),
    (MOVED_TO, r"/index\.parquet$", 1),
    (OPEN, INTO_FILES + "$", SHARDS),
    (OPEN, r"/data\.mdb$", 3),
    (CREATE, r"/SHA256SUMS\.\d+\.partial$", 1),
    (MODIFY, r"/SHA256SUMS\.\d+\.partial$", 1),
    (MOVED_TO, r"/SHA256SUMS$", 1),
    (CREATE, r"/manifest\.json\.\d+\.partial$", 1),
    (MODIFY, r"/manifest\.json\.\d+\.partial$", 1),
]
RENAME = [
    (CLOSE_WRITE, r"/manifest\.json", 1),
    (MOVED_TO, r"/manifest\.json$", 1),
    (MOVED_TO, r"/(zarr|webdataset|lmdb)-[0-9a-f]{8}$", 1),
    (DELETE, r"\.building/", 8),
]


def hit(rig: Rig, ledger: Ledger, stage: str, variants: Sequence[str], moments: Iterator[Moment]) -> None:
    """Kill at one moment after the other until the evidence shows WANTED hits of the stage."""
    hits = 0
    for trial, moment in zip(range(ATTEMPTS), moments, strict=False):
        variant = variants[trial % len(variants)]
        workers = 1 if trial % 3 == 2 else WORKERS
        following = 1 if trial % 3 == 1 else WORKERS
        hits += killed(rig, ledger, variant, moment, stage, workers, following, alone=trial % 2 == 1, apart=trial % 5 == 0)
        if hits == WANTED:
            return
    pytest.fail(f"{stage} {variants}: {hits} hits in {ATTEMPTS} attempts\n{ledger.table()}")


def killed(
    rig: Rig, ledger: Ledger, variant: str, moment: Moment, aim: str, workers: int, following: int, *, alone: bool, apart: bool
) -> bool:
    """Run one trial; say whether the evidence shows the stage that was aimed at."""
    out = rig.folder()
    roots = (out, rig.source) if aim == "scan" else (out,)
    mask = moment.what | CREATE | MOVED_TO
    with rig.builder(workers, after=following) as builder, Watch(*roots, mask=mask) as watch:
        builder.start(source=rig.source, out=out, options=rig.options(variant))
        came = moment.came(watch.events(builder.ending, QUIET_S))
        builder.kill(alone=alone)
        since = time.monotonic()
        builder.wait()
        evidence = Evidence.of(rig.home(out), rig.known[variant])
        rig.check_left(out, variant)
        ledger.aimed[aim] += 1
        if evidence.stage == "done":
            ledger.missed[aim] += 1
        rig.resume(out, variant, evidence, apart=apart, alone=alone)
        ledger.orphan_s = max(ledger.orphan_s, gone(builder, since))
    remove(out)
    if came is None or evidence.stage == "done":
        return False
    ledger.hits[evidence.stage, variant] += 1
    ledger.redone[variant] = max(ledger.redone.get(variant, 0), len(evidence.begun))
    assert evidence.sealed or len(evidence.begun) <= workers * (AHEAD if variant == "lmdb" else 1)
    return evidence.stage == aim


def test_a_build_killed_while_it_scans_goes_on(rig: Rig, ledger: Ledger) -> None:
    hit(rig, ledger, "scan", list(VARIANTS), spread(SCAN))


@pytest.mark.parametrize("variant", ["lmdb", "webdataset", "zarr"])
def test_a_build_killed_while_it_packs_goes_on(rig: Rig, ledger: Ledger, variant: str) -> None:
    hit(rig, ledger, "pack", [variant], spread(PACK["lmdb" if variant == "lmdb" else "files"]))


def test_a_build_killed_while_it_seals_goes_on(rig: Rig, ledger: Ledger) -> None:
    hit(rig, ledger, "seal", list(VARIANTS), spread(SEAL))


def test_a_build_killed_before_or_after_its_folder_is_renamed_goes_on(rig: Rig, ledger: Ledger) -> None:
    hit(rig, ledger, "rename", list(VARIANTS), spread(RENAME))


def test_every_stage_was_hit(ledger: Ledger) -> None:
    print("\n" + ledger.table())
    for stage, variants in {"scan": VARIANTS, "seal": VARIANTS, "rename": VARIANTS}.items():
        assert sum(ledger.hits[stage, variant] for variant in variants) >= 20
    for variant in ("lmdb", "webdataset", "zarr"):
        assert ledger.hits["pack", variant] >= 20
