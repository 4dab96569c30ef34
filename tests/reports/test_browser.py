"""Reports in headless Chromium: nothing asked of a network, nothing said, everything within a phone's width."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.reports.browser import PROGRAM, Page, browsing

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium here (apt-get install chromium)")

SMALLEST = 9  # pixels of a letter


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["english", "chinese", "hostile", "runs"])
def test_a_page_is_quiet_and_fits(
    page: Page, name: str, width: int, dark: bool, request: pytest.FixtureRequest
) -> None:
    file: Path = request.getfixturevalue(name)
    page.open(file, width, dark=dark)
    assert page.value("document.documentElement.scrollWidth") <= width
    wide = "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    assert page.value(f"{wide}.filter(e => !e.closest('svg, .wide')).map(e => e.outerHTML.slice(0, 80))") == []
    texts = "document.querySelectorAll('p, td, th, dd, dt, figcaption, li, .key')"
    small = f"[...{texts}].map(e => parseFloat(getComputedStyle(e).fontSize))"
    assert page.value(f"Math.min(...{small})") >= SMALLEST
    ground = page.value("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(22, 23, 26)") == dark
    assert page.value("document.images.length + document.scripts.length") == 0
    assert not page.noise
    assert {url for url in page.requests if not url.startswith("data:")} == {file.absolute().as_uri()}


def test_a_reader_gets_around_by_keyboard(page: Page, english: Path) -> None:
    page.open(english, 360)
    seen = []
    for _ in range(4):
        page.press("Tab")
        seen.append(page.value("document.activeElement.getAttribute('href')"))
        assert page.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert page.value("document.activeElement.getBoundingClientRect().left") >= 0
    assert seen == ["#main", "#data", "#making", "#splits"]
    links = page.value("[...document.querySelectorAll('nav a')].map(e => e.getAttribute('href').slice(1))")
    assert all(page.value(f"document.getElementById('{name}') !== null") for name in links)


def test_pictures_say_what_they_show(page: Page, english: Path) -> None:
    page.open(english, 1280)
    assert page.value("[...document.querySelectorAll('svg')].filter(e => !e.getAttribute('aria-label')).length") == 0
    assert page.value("[...document.querySelectorAll('th')].filter(e => !e.getAttribute('scope')).length") == 0
    levels = page.value("[...document.querySelectorAll('h1, h2, h3')].map(e => +e.tagName[1])")
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_a_printed_page_is_dark_on_white(page: Page, english: Path) -> None:
    page.open(english, 1280, dark=True, media="print")
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    printed = page.pdf()
    pages = len(re.findall(rb"/Type\s*/Page\b", printed))
    assert printed.startswith(b"%PDF")
    assert 2 <= pages <= 20
