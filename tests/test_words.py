"""Plain words: names and prose of the rooms that are clean so far keep to the glossary of CONTRIBUTING.md."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import ROOT

ROOMS = (
    "builder",
    "cli",
    "containers",
    "download",
    "exporters",
    "formats",
    "labels",
    "own",
    "raster",
    "reports",
    "sealed",
    "sources",
    "split",
    "statistics",
    "stream",
    "system",
    "testing",
    "torch",
    "train/augment",
    "train/detect",
    "train/knowledge",
    "train/losses",
    "train/metrics",
    "train/models",
    "train/pictures",
    "train/pretrain",
    "train/probe",
    "train/rotated",
    "train/run",
    "train/segment",
    "train/weights",
    "views",
)
"""The list grows: a room is added once all of it is clean."""
FILES = [path for room in ROOMS for path in sorted((ROOT / "sar_data" / room).rglob("*.py"))]
FILES += sorted((ROOT / "sar_data").glob("*.py"))
FILES += sorted((ROOT / "flows").glob("*.py"))
FIELDS = {"found"}
"""A field may have this name: an error says what was expected and what was found."""
NAMES = {"abreast", "found", "held", "made", "mend", "nought", "one", "ours", "said", "theirs", "told", "wanted"}
"""A result is called by the noun of what it is: `paths`, `matches`, `size`."""
PROSE = re.compile(r"\b(abreast|anew|mend(s|ed)?|nought|sought|vouch\w*|whatever|what is none|gone on with)\b", re.I)
PARTICIPLE = re.compile(r"_*(?!embed$|feed$|need$|seed$)[a-z]+ed")


def functions_and_names(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """Yield line, name and whether it is that of an action: a function that is no property."""
    fields = {
        item.target
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.target.id in FIELDS
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node.lineno, node.name, not any("property" in ast.unparse(item) for item in node.decorator_list)
        elif isinstance(node, ast.ClassDef):
            yield node.lineno, node.name, False
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg, False
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node not in fields:
            yield node.lineno, node.id, False


def flaws(text: str) -> Iterator[str]:
    for line, name, is_action in functions_and_names(ast.parse(text)):
        if name.strip("_").lower() in NAMES:
            yield f"{line}: {name}: call it by the noun of what it is"
        if is_action and PARTICIPLE.fullmatch(name):
            yield f"{line}: {name}: call a function by a verb"
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING) and (match := PROSE.search(token.string)):
            yield f"{token.start[0]}: {match[0]!r}: take the word of the glossary"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_and_prose_are_plain(path: Path) -> None:
    assert list(flaws(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    ["found = 1", "def listed(): ...", "def f(told): ...", "# mended", '"""Fetch it anew."""', "[one for one in ()]"],
)
def test_a_riddle_is_detected(text: str) -> None:
    assert list(flaws(text))


@pytest.mark.parametrize("text", ["paths = 1", "def embed(need): ...", "# expected 1, found 2", "class A:\n seed = 1"])
def test_plain_words_pass(text: str) -> None:
    assert not list(flaws(text))
