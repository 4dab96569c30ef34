"""A test's limits end what hangs, never what is slow: nobody writes seconds down where something is waited for."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.places import ROOT

FILES = sorted((ROOT / "tests").rglob("*.py"))
WAITS = {"wait", "join", "result", "communicate", "acquire"}
CLOCKS = {"monotonic", "perf_counter", "time"}


def _seconds(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def _called(node: ast.AST) -> str | None:
    """Return the last part of the name of what is called, None for anything else."""
    if not isinstance(node, ast.Call):
        return None
    return getattr(node.func, "attr", getattr(node.func, "id", None))


def limits(source: str) -> Iterator[int]:
    """Yield the lines where seconds are written down as a limit of waiting, or are compared with a clock."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            given = [word.value for word in node.keywords if word.arg == "timeout"]
            given += node.args if _called(node) in WAITS else []
        elif isinstance(node, ast.Compare) and any(_called(part) in CLOCKS for part in ast.walk(node.left)):
            given = node.comparators
        else:
            continue
        if any(map(_seconds, given)):
            yield node.lineno


def test_no_test_fails_where_the_machine_is_slow() -> None:
    found = [f"{path.relative_to(ROOT)}:{line}" for path in FILES for line in limits(path.read_text())]
    assert not found, "wait for tests.mini.hang.HANG_S, or give the seconds a name that says why"


def test_such_limits_are_seen() -> None:
    source = "run(timeout=60)\nthread.join(60)\nassert time.monotonic() - since < 5\nrun(timeout=HANG_S)\n', '.join(a)"
    assert list(limits(source)) == [1, 2, 3]
