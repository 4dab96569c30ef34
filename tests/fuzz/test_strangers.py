"""No build of a stranger ends the process that reads it, or raises what nobody explains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import strangers
from tests.mini.hang import HANG_S
from tests.places import ROOT

FEW, MANY, BATCH = 50, 1_050, 250


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("strangers")
    strangers.sound(root)
    return root


def check(kind: str, first: int, count: int, folder: Path) -> None:
    """Try some mutants in a process of their own, and look at how it ended."""
    command = [sys.executable, "-W", "error", "-m", "tests.fuzz.strangers", kind, str(first), str(count), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=HANG_S)
    *numbers, last = done.stdout.splitlines() or [""]
    assert done.returncode == 0, f"{kind} {last}: ended with {done.returncode}\n{done.stderr[-3000:]}"
    found = json.loads(last)
    print(f"{kind:>10}: {found['mutants']} mutants, {found['ends']}")
    assert not found["traces"], f"{len(found['traces'])} of {count}:\n" + "\n".join(found["traces"][:5])
    assert found["mutants"] == len(numbers) == count
    assert any(not end.endswith(": taken") for end in found["ends"]), "expected some mutants to be refused"


@pytest.mark.parametrize("kind", strangers.KINDS)
def test_a_mutant_ends_no_process_and_is_refused_in_a_sentence(kind: str, folder: Path) -> None:
    check(kind, 0, FEW, folder)


@pytest.mark.fuzz
@pytest.mark.parametrize("first", range(FEW, MANY, BATCH))
@pytest.mark.parametrize("kind", strangers.KINDS)
def test_a_thousand_mutants_of_each_kind_end_no_process(kind: str, first: int, folder: Path) -> None:
    check(kind, first, BATCH, folder)
