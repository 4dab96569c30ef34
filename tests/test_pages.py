"""The pages lead to the code: what they say is where, is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sar_data import __version__, catalog
from tests.places import ROOT

TOPS = ("sar_data", "pipelines", "flows", "examples", "tests")
FILES = [path.relative_to(ROOT).as_posix() for top in TOPS for path in (ROOT / top).rglob("*.py")]
ROOMS = {path.parent.relative_to(ROOT / "sar_data") for path in (ROOT / "sar_data").rglob("*/__init__.py")}


def lost(text: str) -> set[str]:
    """Return the Python files that a text names by the end of their path, and that are nowhere."""
    named = {name for name in re.findall(r"[\w/]+\.py\b", text) if not name.endswith("NAME.py")}
    assert named
    return {name for name in named if not any(f"/{file}".endswith(f"/{name}") for file in FILES)}


def test_the_page_of_what_is_where_names_every_room_and_only_files_that_are_there() -> None:
    found = re.search(r"# What is where\n.*?```\n(.*?)```", (ROOT / "docs" / "what-is-where.md").read_text(), re.DOTALL)
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


NAMED = re.compile(r"(?<![\w./-])((?:[\w-]+/)+)((?:[\w-]+\.(?:py|toml|md|json|yaml)\b)?)")


@pytest.mark.parametrize(
    ("page", "below"),
    [("README.md", "."), ("README.zh.md", "."), ("CONTRIBUTING.md", "sar_data"), ("docs/architecture.md", "sar_data")],
)
def test_a_path_of_the_house_that_a_page_names_is_there_as_written(page: str, below: str) -> None:
    houses = [ROOT, ROOT / below]
    known = {*TOPS, "schemas", "docs", *(room.parts[0] for room in ROOMS)}
    named = {
        f"{folder}{'' if 'NAME' in file or file == 'foo_bar.py' else file}"
        for folder, file in NAMED.findall((ROOT / page).read_text())
        if folder.split("/")[0] in known and (file or folder.count("/") > 1)
    }
    assert named
    assert not {name for name in named if not any((house / name).exists() for house in houses)}


PAGES = [ROOT / "README.md", ROOT / "README.zh.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def test_the_readme_is_short_and_names_as_many_datasets_as_there_are() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    published = [name for name in catalog.names() if catalog.pipeline(name).spec.sources]
    assert f"{len(published)} published datasets" in text


def test_the_figures_of_the_readme_are_those_of_their_pages() -> None:
    for row in (ROOT / "README.md").read_text().splitlines():
        if page := re.search(r"\]\((docs/(?:performance|leakage)\.md)\) \|$", row):
            rates = re.findall(r"\d+,\d{3}|\d+\.\d\d", row)
            assert not [rate for rate in rates if rate not in (ROOT / page[1]).read_text()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_of_a_page_leads_to_a_file_that_is_there(page: Path) -> None:
    assert not [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]


def test_a_link_of_a_page_leads_to_a_file_of_the_site() -> None:
    pages = [*PAGES, *(ROOT / name for name in ("FORMAT.md", "SECURITY.md", "CONTRIBUTING.md"))]
    links = {
        (page.parent / link).resolve().relative_to(ROOT) for page in pages for link in LINK.findall(page.read_text())
    }
    hook = (ROOT / "docs" / "site.py").read_text()  # adds what is not in docs/
    outside = {
        link for link in links if link.parts[0] not in ("docs", "examples", "schemas") and f'"{link}"' not in hook
    }
    assert not outside


def test_the_page_of_leakage_says_of_each_published_dataset_what_its_split_leaks_or_what_would_tell() -> None:
    rows = re.findall(r"^\|(.*?)\|", (ROOT / "docs" / "leakage.md").read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}
    assert not [name for name in catalog.names() if catalog.pipeline(name).spec.sources and name not in named]


def test_every_picture_is_on_a_page_and_small() -> None:
    shown = {(page.parent / link).resolve() for page in PAGES for link in LINK.findall(page.read_text())}
    for picture in (ROOT / "docs" / "pictures").iterdir():
        assert picture in shown
        assert picture.stat().st_size <= (60_000 if picture.suffix == ".png" else 120_000)


def test_the_readme_links_every_page() -> None:
    linked = {(ROOT / link).resolve() for link in LINK.findall((ROOT / "README.md").read_text())}
    # Pages in Chinese are linked from those.
    assert not [page for page in PAGES[2:] if page not in linked and not page.name.endswith(".zh.md")]


TRANSLATED = {
    page: page.replace(".md", ".zh.md") for page in ("README.md", "docs/getting-started.md", "docs/from-the-diary.md")
}


@pytest.mark.parametrize(("page", "other"), TRANSLATED.items())
def test_a_page_in_chinese_has_the_headings_commands_figures_and_links_of_the_page(page: str, other: str) -> None:
    ours, theirs = (_bones((ROOT / name).read_text()) for name in (page, other))
    for name, bones in ours.items():
        assert theirs[name] == bones, f"{other}: {name}"


def _bones(text: str) -> dict[str, list[str]]:
    """Return what a translation keeps: levels of headings, commands without remarks, figures, and where links go."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```\w*\n.*?^```|\[(中文|English)\]\(.*?\)", "", text, flags=re.DOTALL | re.MULTILINE)
    commands = [re.sub(r"\s+#.*", "", line) for block in blocks for line in block.splitlines()]
    typed = re.compile(r"\s*(sar-data|torchrun|pip|make|git|python|eval|import|from|build|baked|train|for)\b")
    links = [link.replace(".zh.md", ".md") for link in LINK.findall(prose)]
    return {
        "headings": re.findall(r"^#+", prose, re.MULTILINE),
        "commands": [line for line in commands if typed.match(line)],
        "figures": re.findall(r"\d[\d,.]*\d", re.sub(r"\]\(.*?\)|`.*?`", "", prose)),
        "links": sorted(links),
    }


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
