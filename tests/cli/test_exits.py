"""The exit codes of all commands are those of the page, of the help, and of what is run."""

from __future__ import annotations

import ast
import re

import pytest
from click.testing import CliRunner

from sar_data.cli import exits, main
from tests.places import ROOT

ROW = re.compile(r"^\| (every|`[a-z ]+`) \| (\d+) \| (.*) \|$", re.MULTILINE)
EARLIER = ROOT / "tests" / "golden" / "schema2"
CLI = sorted((ROOT / "sar_data" / "cli").glob("*.py"))


def test_the_page_lists_the_codes_of_all_commands() -> None:
    rows = [
        (name.strip("`"), int(code), text) for name, code, text in ROW.findall((ROOT / "docs/operate.md").read_text())
    ]
    known = {"every": exits.EVERY, **exits.OWN}
    assert rows == [(name, code, text) for name, codes in known.items() for code, text in codes.items()]


def test_whatever_module_chooses_a_code_has_it_in_the_list() -> None:
    names = {value: name for name, value in vars(exits).items() if isinstance(value, int)}
    for path in CLI:
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "ctx.exit":
                used = {node.id for node in ast.walk(call) if isinstance(node, ast.Name) and node.id.isupper()}
                assert used == {names[code] for code in exits.OWN[path.stem]}, path
                assert not [
                    node
                    for node in ast.walk(call)
                    if isinstance(node, ast.Constant) and node.value not in (0, "failed", "missing")
                ]


@pytest.mark.parametrize("name", exits.OWN)
def test_the_help_of_a_command_lists_its_own_codes(name: str) -> None:
    text = " ".join(CliRunner().invoke(main, [*name.split(), "--help"]).stdout.split())
    assert all(f"{code} {meaning}" in text for code, meaning in exits.OWN[name].items())


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("datasets", 0),
        ("no-such-command", exits.USAGE),
        ("verify --no-such-option", exits.USAGE),
        ("verify nowhere", exits.USAGE),
        (f"export coco {EARLIER}/lmdb-multiclass --out out", exits.USAGE),
        (f"verify {EARLIER}/lmdb-multiclass", 0),
        (f"diff {EARLIER}/lmdb-multiclass {EARLIER}/lmdb-multiclass --workers 1", 0),
        (f"diff {EARLIER}/lmdb-multiclass {EARLIER}/zarr-normalized --workers 1", exits.FAILURE),
    ],
)
def test_a_command_ends_with_the_code_of_the_list(words: str, code: int) -> None:
    assert CliRunner().invoke(main, words.split()).exit_code == code
