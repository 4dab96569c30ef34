"""The pages lead to the code: what they say is where, is there."""

from __future__ import annotations

import re

from tests.places import ROOT

TOPS = ("sar_data", "pipelines", "flows", "tests")
FILES = [path.relative_to(ROOT).as_posix() for top in TOPS for path in (ROOT / top).rglob("*.py")]
ROOMS = {path.parent.relative_to(ROOT / "sar_data") for path in (ROOT / "sar_data").rglob("*/__init__.py")}


def lost(text: str) -> set[str]:
    """Return the Python files that a text names by the end of their path, and that are nowhere."""
    named = {name for name in re.findall(r"[\w/]+\.py\b", text) if not name.endswith("NAME.py")}
    assert named
    return {name for name in named if not any(f"/{file}".endswith(f"/{name}") for file in FILES)}


def test_the_tree_of_the_readme_names_every_room_and_only_files_that_are_there() -> None:
    found = re.search(r"## What is where\n.*?```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found
    assert {room.name for room in ROOMS} <= set(re.findall(r"(\w+)/(?=\s)", found[1]))
    assert not lost(found[1])


def test_the_page_of_the_house_says_of_every_room_whom_it_knows_and_names_only_files_that_are_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| ([\w/, .]+) \|.*\|.*\|$", page, re.MULTILINE)
    assert {room.parts[0] for room in ROOMS} <= {name for row in rows for name in row.split(", ")}
    assert not lost(page)


def test_contributing_names_only_files_that_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert not lost(text) - {"pipelines/foo_bar.py"}
