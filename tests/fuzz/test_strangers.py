"""No build of a stranger ends the process that reads it, or raises what nobody explains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.fuzz import strangers
from tests.mini.hang import HANG_S
from tests.places import ROOT

FEW, MANY, BATCH = 25, 1_025, 250


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("strangers")
    strangers.sound(root)
    return root


Done = subprocess.CompletedProcess[str]


def tried(kinds: Collection[str], first: int, count: int, folder: Path) -> Done:
    """Try some mutants of each kind in a process of its own."""
    asked = [",".join(kinds), str(first), str(count), str(folder)]
    command = [sys.executable, "-W", "error", "-m", "tests.fuzz.strangers", *asked]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=HANG_S)


def check(done: Done, kind: str, count: int) -> None:
    """Look at how the mutants of a kind ended, and the process with them."""
    lines = done.stdout.splitlines() or [""]
    ended = {one["kind"]: one for one in (json.loads(line) for line in lines if line.startswith("{"))}
    found = ended.get(kind)
    assert found is not None, f"{lines[-1]}: ended with {done.returncode}\n{done.stderr[-3000:]}"
    print(f"{kind:>10}: {found['mutants']} mutants, {found['ends']}")
    assert not found["traces"], f"{len(found['traces'])} of {count}:\n" + "\n".join(found["traces"][:5])
    assert found["mutants"] == sum(line.startswith(f"{kind} ") for line in lines) == count
    assert any(not end.endswith(": taken") for end in found["ends"]), "expected some mutants to be refused"


@pytest.fixture(scope="module")
def few(folder: Path) -> Done:
    return tried(strangers.KINDS, 0, FEW, folder)


@pytest.mark.parametrize("kind", strangers.KINDS)
def test_a_mutant_ends_no_process_and_is_refused_in_a_sentence(kind: str, few: Done) -> None:
    check(few, kind, FEW)


def test_a_process_of_mutants_ends_by_itself(few: Done) -> None:
    assert few.returncode == 0, few.stderr[-3000:]


@pytest.mark.fuzz
@pytest.mark.parametrize("first", range(FEW, MANY, BATCH))
@pytest.mark.parametrize("kind", strangers.KINDS)
def test_a_thousand_mutants_of_each_kind_end_no_process(kind: str, first: int, folder: Path) -> None:
    done = tried([kind], first, BATCH, folder)
    check(done, kind, BATCH)
    assert done.returncode == 0, done.stderr[-3000:]
